"""Knowledge from a language model behind an OpenAI-compatible endpoint (FastChat's, vLLM's), by LangChain."""

import os
import re
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI
from openai import APIConnectionError, BadRequestError, NotFoundError, OpenAIError

from eval_agent.errors import InputError
from eval_agent.knowledge.records import one_line
from eval_agent.knowledge.synthesis import NoKnowledge
from eval_agent.trajectory import ACTION, OBSERVATION, Step

PROMPTS = Path(__file__).resolve().parent.parent / "prompt" / "synthesis"
OPENINGS = {"task_knowledge": "Task Knowledge: When", "state_knowledge": "State Knowledge:"}
MAX_TOKENS = {"task_knowledge": 512, "state_knowledge": 128}  # the paper's limit for state knowledge
TEMPERATURES = {"task_knowledge": 0.5, "state_knowledge": 0.0}  # the paper names the first one
ASKED_AGAIN = 3
_RETRIES = 6  # with the client's exponential backoff: a worker that restarts is waited for
_REQUEST_SECONDS = 300
# as models write them: other case, markdown around them
_OPENED = {
    "task_knowledge": re.compile(r"task\s+knowledge\W*:\W*when\b", re.IGNORECASE),
    "state_knowledge": re.compile(r"state\s+knowledge\W*:[\s*_]*", re.IGNORECASE),
}
_NEXT_PART = re.compile(r"^\W*(task knowledge|state knowledge|thought|action|observation)\W*:", re.I | re.M)


class LLMSynthesizer:
    """Asks for the knowledge of one benchmark; the same two methods as :mod:`eval_agent.knowledge.rules`."""

    def __init__(self, task: str, model_name: str, api_base: str, temperature: float | None):
        """Raises InputError at once where nothing answers at ``api_base`` or it has no such model."""
        self._task = task
        self._api_base = api_base
        self._temperature = temperature
        self._model_name = model_name
        self._models = {gen: self._client(gen) for gen in OPENINGS}
        self._check_model()

    def task_knowledge(self, chosen: list[Step], rejected: list[Step]) -> str:
        """kappa ~ pi(. | prompt, u, tau_w, tau_l). Raises NoKnowledge; InputError if the endpoint fails."""
        return self._ask(
            "task_knowledge", task=chosen[0].observation, chosen=_told(chosen), rejected=_told(rejected)
        )

    def state_knowledge(self, task: str, history: list[tuple[str, str]]) -> str:
        """s_t ~ pi(. | prompt, h_t); ``history``: (action, observation). Raises as :meth:`task_knowledge`."""
        lines = [f"Action: {action}\nObservation: {observation}" for action, observation in history]
        return self._ask("state_knowledge", task=task, history="\n".join(lines) or "(nothing was done yet)")

    def _ask(self, gen: str, **values: str) -> str:
        template = (PROMPTS / f"{self._task}_{gen}.txt").read_text(encoding="utf-8")
        messages: list[BaseMessage] = [HumanMessage(template.format(**values).strip())]
        for _ in range(1 + ASKED_AGAIN):
            answer = self._call(self._models[gen], messages)
            try:
                return clean(gen, answer.text, answer.response_metadata.get("finish_reason") == "length")
            except NoKnowledge as fault:
                reason = str(fault)
                correction = f'{reason} Answer again with one short line that begins with "{OPENINGS[gen]}".'
                messages = [messages[0], AIMessage(answer.text or "(empty)"), HumanMessage(correction)]
        raise NoKnowledge(f"{1 + ASKED_AGAIN} malformed answers; the last one: {reason}")

    def _client(self, gen: str) -> ChatOpenAI:
        return ChatOpenAI(
            model=self._model_name,
            base_url=self._api_base,
            api_key=os.environ.get("OPENAI_API_KEY", "EMPTY"),
            temperature=TEMPERATURES[gen] if self._temperature is None else self._temperature,
            # the client's own max_tokens travels as max_completion_tokens, which FastChat does not read
            extra_body={"max_tokens": MAX_TOKENS[gen]},
            max_retries=_RETRIES,
            timeout=_REQUEST_SECONDS,
        )

    def _call(self, model: ChatOpenAI, messages: list[BaseMessage]) -> AIMessage:
        try:
            return model.invoke(messages)
        except BadRequestError as error:  # such as a prompt longer than the context
            raise NoKnowledge(f"refused: {error.message}") from None
        except OpenAIError as error:
            raise InputError(
                f"{self._api_base}: {type(error).__name__} ({error}); what is finished is "
                "kept: mend the endpoint and run the same command again"
            ) from None

    def _check_model(self) -> None:
        client = self._models["task_knowledge"].root_client.with_options(max_retries=0)
        try:
            served = [model.id for model in client.models.list()]
        except APIConnectionError:
            raise InputError(
                f"{self._api_base}: nothing answers there; start the endpoint (python -m "
                "fastchat.serve.openai_api_server), give another --api_base, or use --model_name rules"
            ) from None
        except NotFoundError:
            return  # an endpoint without a list of models
        except OpenAIError as error:
            raise InputError(f"{self._api_base}: cannot list its models: {error}") from None
        if self._model_name not in served:
            raise InputError(
                f'{self._api_base} serves no model "{self._model_name}"; --model_name can be one of: '
                f"{', '.join(served) or 'none'}, or rules"
            )


def clean(gen: str, text: str, cut_off: bool) -> str:
    """The knowledge in a model's answer, on one line, from its opening words to the next part of a dialogue.

    ``cut_off``: the answer reached the token limit; state knowledge then ends with its last whole sentence.
    Raises NoKnowledge where the opening words, or words after them, are missing or task knowledge is cut off.
    """
    opening = OPENINGS[gen]
    text = text.rpartition("</think>")[2]  # reasoning models
    found = _OPENED[gen].search(text)
    if not found:
        raise NoKnowledge(f'The answer does not begin with "{opening}": {one_line(text)[:80]!r}.')
    rest = text[found.end() :]
    following = _NEXT_PART.search(rest)
    if following:
        rest, cut_off = rest[: following.start()], False
    rest = one_line(rest)
    if cut_off and gen == "state_knowledge":
        rest = rest[: rest.rfind(".") + 1]
    elif cut_off:
        raise NoKnowledge(f"The answer is longer than {MAX_TOKENS[gen]} tokens.")
    if not rest:
        raise NoKnowledge(f'Nothing follows "{opening}".')
    return f"{opening} {rest}"


def _told(steps: list[Step]) -> str:
    """A trajectory as prompt text: replies and observations, without the task that begins it."""
    turns = []
    for step in steps:
        reply = step.reply if ACTION in step.reply else f"{ACTION} {step.action}"
        turns += [f"{OBSERVATION}{step.observation}", reply]
    return "\n".join(turns[1:])
