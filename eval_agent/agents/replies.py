"""The fields that are read of what FastChat's controller and workers answer, ours and its own, and of a list of models."""

from pydantic import model_validator

from eval_agent.agents.chat_templates import AUTO, OwnTemplate
from eval_agent.connection import Reply


class Address(Reply):
    """/get_worker_address: empty where no worker serves the model."""

    address: str


class Models(Reply):
    """/list_models"""

    models: list[str]


class _Listed(Reply):
    id: str


class Listed(Reply):
    """GET /v1/models of an OpenAI-compatible server."""

    data: list[_Listed]


class Known(Reply):
    """/receive_heart_beat"""

    exist: bool


class WorkerStatus(Reply):
    """/worker_get_status; a stock worker has neither id nor digests of its models' weights."""

    model_names: list[str]
    worker_id: str | None = None
    made_of: dict[str, str] = {}


class Coded(Reply):
    """Any answer of a worker's: 0 or an ErrorCode, and then ``text`` says why."""

    error_code: int = 0
    text: str = ""


class _Named(Reply):
    name: str


class Conversation(Reply):
    """/worker_get_conv_template"""

    conv: _Named


class Format(Reply):
    """/worker_chat_format; with "auto" comes the model's own chat template."""

    template: str | None
    source: str
    own: OwnTemplate | None = None

    @model_validator(mode="after")
    def _comes_along(self):
        if self.template == AUTO and self.own is None:
            raise ValueError(f'"template" is "{AUTO}", and "own" is missing')
        return self


class Details(Reply):
    """/model_details"""

    context_length: int


class Count(Reply):
    """/count_token"""

    count: int


class _Usage(Reply):
    prompt_tokens: int


class _Logprobs(Reply):
    tokens: list[str]
    token_logprobs: list[float | None]


class Generated(Reply):
    """/worker_generate"""

    text: str
    usage: _Usage
    logprobs: _Logprobs | None = None


class _Score(Reply):
    first_token: int
    first_token_logprob: float
    logprob: float


class Scores(Reply):
    """/worker_score_candidates"""

    scores: list[_Score]


class Embeddings(Reply):
    """/worker_get_embeddings"""

    embedding: list[list[float]]
