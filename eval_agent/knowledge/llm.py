"""Knowledge from a language model behind an OpenAI-compatible endpoint (FastChat's, vLLM's), by LangChain."""

import re
import threading
from pathlib import Path

import tenacity
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, NotFoundError, OpenAIError

from eval_agent.agents.openai import UNREADABLE, connect, full_context, may_pass, reason
from eval_agent.errors import InputError
from eval_agent.knowledge.synthesis import NoKnowledge
from eval_agent.trajectories.format import OBSERVATION, Step, one_line
from eval_agent.trajectories.reply import ACTION, without_reasoning

PROMPTS = Path(__file__).resolve().parent.parent / "prompt" / "synthesis"
OPENINGS = {"task_knowledge": "Task Knowledge: When", "state_knowledge": "State Knowledge:"}
WORKFLOWS = "The action workflows are:"
MAX_TOKENS = {"task_knowledge": 512, "state_knowledge": 128}  # the paper's limit for state knowledge
TEMPERATURES = {"task_knowledge": 0.5, "state_knowledge": 0.0}  # the paper names the first one
LEFT_OUT = f"{OBSERVATION}(left out)"
NO_BEGINNER = "(There is none for this task: write what the expert's run alone teaches.)"
_TRIES = 8  # of one request that meets a fault that may pass, over some two minutes
_WAIT = tenacity.wait_random_exponential(multiplier=1, max=60)
_MOST_CUTS = 4
# as models write them: other case, markdown around them
_OPENED = {
    "task_knowledge": re.compile(r"task\s+knowledge\W*:\W*when\b", re.IGNORECASE),
    "state_knowledge": re.compile(r"state\s+knowledge\W*:[\s*_]*", re.IGNORECASE),
}
_WORKFLOWS = re.compile(r"the\s+action\s+workflows?\s+(?:are|is)\W*:[\s*_]*", re.IGNORECASE)
# of a dialogue, or of the prompt, which small models go on with
_NEXT_PART = re.compile(
    r"^\W*(?:(?:task knowledge|state knowledge|thought|action|observation|task|so far|(?:expert|beginner)'s run|answer)\W*:"
    r"|now do the same\b)", re.I | re.M,
)


class _TooLong(Exception):
    """The prompt leaves no room for the answer; ``share`` of it would."""

    def __init__(self, share: float):
        self.share = share


class _Unreadable(Exception):
    """Status 200, but no answer in it."""


class LLMSynthesizer:
    """Asks for the knowledge of one benchmark; the same methods as :mod:`eval_agent.rules.alfworld` has functions.

    Threads may share it. ``malformed`` counts the answers that had to be asked for again.
    """

    def __init__(
        self, task: str, model_name: str, api_base: str, temperature: float | None,
        max_attempts: int, timeout: float,
    ):
        """Raises InputError for numbers out of range, and at once where nothing answers at ``api_base`` or it has no such model."""
        if not 0 < timeout < float("inf"):
            raise InputError(f"--timeout is {timeout}, expected seconds, more than 0")
        if temperature is not None and not 0 <= temperature < float("inf"):
            raise InputError(f"--temperature is {temperature}, expected 0 or more")
        self.malformed = 0
        self._max_attempts = max_attempts
        self._lock = threading.Lock()
        self._longest: dict[str, int] = {}  # characters that a prompt may have, where one was too long
        self._templates = {gen: (PROMPTS / f"{task}_{gen}.txt").read_text(encoding="utf-8") for gen in OPENINGS}
        self._api_base = api_base
        self._temperatures = TEMPERATURES if temperature is None else dict.fromkeys(OPENINGS, temperature)
        self._task = task
        self._model_name = model_name
        self._models = {gen: self._client(gen, timeout) for gen in OPENINGS}
        self._check_model()

    def identity(self, gen: str) -> dict:
        """See :class:`~eval_agent.knowledge.synthesis.Synthesizer`."""
        return {
            "task": self._task,
            "model_name": self._model_name,
            "api_base": self._api_base,
            "temperature": self._temperatures[gen],
            "max_tokens": MAX_TOKENS[gen],
            "prompt": [self._templates[gen], NO_BEGINNER, LEFT_OUT],
        }

    def task_knowledge(self, chosen: list[Step], rejected: list[Step]) -> str:
        """kappa ~ pi(. | prompt, u, tau_w, tau_l). Raises NoKnowledge; InputError if the endpoint fails."""
        runs = {"chosen": _as_lines(chosen), "rejected": _as_lines(rejected) if rejected else [NO_BEGINNER]}
        return self._ask("task_knowledge", chosen[0].observation, runs)

    def state_knowledge(self, task: str, history: list[tuple[str, str]]) -> str:
        """s_t ~ pi(. | prompt, h_t); ``history``: (action, observation). Raises as :meth:`task_knowledge`."""
        lines = [line for action, seen in history for line in (f"{ACTION} {action}", OBSERVATION + seen)]
        return self._ask("state_knowledge", task, {"history": lines or ["(nothing was done yet)"]})

    def _ask(self, gen: str, task: str, runs: dict[str, list[str]]) -> str:
        """One piece of knowledge; a prompt that is too long is cut, a malformed answer is asked for again."""
        template, cuts, attempts, correction = self._templates[gen], 0, 0, []
        while True:
            prompt = fill(template, task, runs, self._longest.get(gen))
            try:
                answer = self._call(gen, [HumanMessage(prompt), *correction])
            except _TooLong as fault:
                cuts += 1
                if cuts > _MOST_CUTS:
                    raise NoKnowledge("the prompt stays too long for the model's context") from None
                with self._lock:
                    self._longest[gen] = min(self._longest.get(gen, len(prompt)), int(len(prompt) * fault.share))
                continue
            except _Unreadable as fault:
                attempts += 1
                self._count_malformed(attempts, str(fault))
                continue
            attempts += 1
            try:
                return clean(gen, answer.text, answer.response_metadata.get("finish_reason") == "length")
            except NoKnowledge as fault:
                self._count_malformed(attempts, str(fault))
                hint = f'{fault} Answer again with one short line that begins with "{OPENINGS[gen]}".'
                correction = [AIMessage(answer.text or "(empty)"), HumanMessage(hint)]

    def _count_malformed(self, attempts: int, fault: str) -> None:
        """One more answer to ask for again. Raises NoKnowledge where there were enough of them."""
        if attempts == self._max_attempts:
            raise NoKnowledge(f"{attempts} malformed answers; the last one: {fault}") from None
        with self._lock:
            self.malformed += 1

    def _client(self, gen: str, timeout: float) -> ChatOpenAI:
        settings = connect(self._api_base, "--api_base")
        return ChatOpenAI(
            **settings,
            http_async_client=DefaultAsyncHttpxClient(trust_env=False),  # unused; made by the library, it reads proxies
            openai_proxy=None,
            http_socket_options=(),  # else it warns that the environment's proxy is passed over, which it is not
            model=self._model_name,
            temperature=self._temperatures[gen],
            # the client's own max_tokens travels as max_completion_tokens, which FastChat does not read
            extra_body={"max_tokens": MAX_TOKENS[gen]},
            timeout=timeout,
        )

    def _call(self, gen: str, messages: list[BaseMessage]) -> AIMessage:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            wait=_WAIT, stop=tenacity.stop_after_attempt(_TRIES), reraise=True,
        )
        try:
            answer = retry(self._models[gen].invoke, messages)
        except OpenAIError as error:
            if may_pass(error):
                raise NoKnowledge(f"failed {_TRIES} times, the last time: {reason(error, self._api_base)}") from None
            if full_context(error):
                raise _too_long(*full_context(error), gen) from None
            raise InputError(
                f"{self._api_base}: {reason(error, self._api_base)}; what is finished is "
                "kept: mend the endpoint and run the same command again"
            ) from None
        except UNREADABLE as error:
            raise _Unreadable(f"The endpoint's answer cannot be read ({one_line(str(error))[:200]}).") from None
        used = answer.usage_metadata or {}
        if (
            answer.response_metadata.get("finish_reason") == "length"
            and 0 < used.get("output_tokens", 0) < MAX_TOKENS[gen]
        ):  # FastChat shortens the answer where the context is full
            raise _too_long(used["input_tokens"] + used["output_tokens"], used["input_tokens"], gen)
        return answer

    def _check_model(self) -> None:
        client = self._models["task_knowledge"].root_client
        try:
            served = [model.id for model in client.models.list()]
        except NotFoundError:
            return  # an endpoint without a list of models
        except OpenAIError as error:
            fault = reason(error, self._api_base)
            start = (
                ": nothing answers there; start the endpoint (python -m fastchat.serve.openai_api_server), give "
                "another --api_base, or use --model_name rules"
            )
            refused = fault.startswith("Connection refused")
            raise InputError(f"{self._api_base}{start if refused else f' cannot list its models: {fault}'}") from None
        except UNREADABLE as error:
            raise InputError(
                f"{self._api_base}: no OpenAI-compatible endpoint (its address ends in /v1 as a rule): the list of "
                f"models cannot be read ({one_line(str(error))[:200]})"
            ) from None
        if self._model_name not in served:
            raise InputError(
                f'{self._api_base} serves no model "{self._model_name}"; --model_name can be one of: '
                f"{', '.join(served) or 'none'}, or rules"
            )


def fill(template: str, task: str, runs: dict[str, list[str]], longest: int | None) -> str:
    """The prompt, with the text of the oldest observations left out until it has ``longest`` characters.

    ``runs``: lines by the template's field. The task, the actions and thoughts are never cut. Raises
    NoKnowledge where they alone are longer.
    """
    runs = {name: list(lines) for name, lines in runs.items()}

    def filled() -> str:
        return template.format(task=task, **{name: "\n".join(lines) for name, lines in runs.items()}).strip()

    prompt = filled()
    if longest is None or len(prompt) <= longest:
        return prompt
    excess = len(prompt) - longest
    oldest = sorted((index, name) for name, lines in runs.items() for index in range(len(lines)))
    for index, name in oldest:
        line = runs[name][index]
        if line.startswith(OBSERVATION) and len(line) > len(LEFT_OUT):
            runs[name][index] = LEFT_OUT
            excess -= len(line) - len(LEFT_OUT)
        if excess <= 0:
            return filled()
    raise NoKnowledge("task and actions alone are too long for the model's context")


def clean(gen: str, text: str, cut_off: bool) -> str:
    """The knowledge in a model's answer, on one line, from its opening words to the next part of a dialogue or of the prompt.

    ``cut_off``: the answer reached the token limit; state knowledge then ends with its last whole sentence.
    Raises NoKnowledge where the opening words, or words after them, are missing, and for task knowledge
    without workflows or cut off.
    """
    opening = OPENINGS[gen]
    text = without_reasoning(text)
    found = _OPENED[gen].search(text)
    if not found:
        raise NoKnowledge(f'The answer does not begin with "{opening}": {one_line(text)[:80]!r}.')
    rest = text[found.end() :]
    following = _NEXT_PART.search(rest)
    if following:
        rest, cut_off = rest[: following.start()], False
    rest = one_line(rest)
    if gen == "task_knowledge":
        if cut_off:
            raise NoKnowledge(f"The answer is longer than {MAX_TOKENS[gen]} tokens.")
        rest = _with_workflows(rest)
    elif cut_off:
        rest = rest[: rest.rfind(".") + 1]
    if not rest:
        raise NoKnowledge(f'Nothing follows "{opening}".')
    return f"{opening} {rest}"


def _with_workflows(rest: str) -> str:
    """``rest`` with the words before the workflows as the paper has them."""
    found = _WORKFLOWS.search(rest)
    if not found or not rest[found.end() :]:
        raise NoKnowledge(f'The answer has nothing after "{WORKFLOWS}".')
    return f"{rest[: found.start()].rstrip(' *_#')} {WORKFLOWS} {rest[found.end() :]}"


def _too_long(context: int, prompt_tokens: int | None, gen: str) -> Exception:
    room = context - MAX_TOKENS[gen]
    if room <= 0:
        return NoKnowledge(f"the model's context of {context} tokens has no room for {MAX_TOKENS[gen]} new ones")
    share = 0.95 * room / prompt_tokens if prompt_tokens else 0.7
    return _TooLong(min(share, 0.95))


def _as_lines(steps: list[Step]) -> list[str]:
    """A trajectory as lines of prompt text: replies and observations, without the task that begins it."""
    turns = []
    for step in steps:
        reply = step.reply if ACTION in step.reply else f"{ACTION} {step.action}"
        turns += [f"{OBSERVATION}{step.observation}", reply]
    return turns[1:]
