"""What a request to the worker may hold; another one is answered with FastChat's error code and the field at fault."""

from typing import Annotated

from fastchat.constants import ErrorCode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval_agent.serve.engine import RequestError

_Text = Annotated[str, Field(min_length=1)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str | None = None


class Generation(_Fields):
    """/worker_generate and /worker_generate_stream; FastChat's API server sends more, which it does not read either."""

    prompt: str
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = -1
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: Annotated[int, Field(ge=1)] = 256
    stop: str | list[_Text] | None = None
    stop_token_ids: list[int] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None


class Scoring(_Fields):
    """/worker_score_candidates"""

    prompt: str
    candidates: list[str]


class Embedding(_Fields):
    """/worker_get_embeddings"""

    input: str | list[str]
    encoding_format: str | None = None


def check(params: dict, kind: type[_Fields]) -> None:
    """Raises RequestError for the first field that is missing or wrong."""
    try:
        kind.model_validate(params)
    except ValidationError as error:
        first = error.errors()[0]
        found = "" if first["type"] == "missing" else f", found {str(first['input'])[:80]!r}"
        field = first["loc"][0] if first["loc"] else "the request"
        out_of_range = first["type"].startswith(("greater", "less"))
        code = ErrorCode.PARAM_OUT_OF_RANGE if out_of_range else ErrorCode.VALIDATION_TYPE_ERROR
        raise RequestError(code, f'"{field}": {first["msg"]}{found}') from None
