"""A model behind an OpenAI-compatible endpoint: completions with log-probabilities (vLLM's), or chat alone.

Also what such an endpoint's errors (FastChat's, vLLM's) mean for who asked.
"""

import json
import os
import re
from collections.abc import Sequence
from typing import Annotated, TypeVar

import openai
import tenacity
from openai import APIConnectionError, APIStatusError, NotFoundError, OpenAI, OpenAIError
from pydantic import ConfigDict, Field, ValidationError

from eval_agent import connection
from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError, draw_seed
from eval_agent.agents.chat_format import template_of_recipe
from eval_agent.agents.chat_templates import OwnTemplate
from eval_agent.connection import Reply, checked_address, is_loopback, proxy_of
from eval_agent.errors import InputError

_MALFORMED_TRIES = 4  # of an endpoint that answers, but with nothing that can be read
# what the clients raise for a body that is another kind of JSON, or none
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)


class _Answer(Reply):
    model_config = ConfigDict(from_attributes=True)


class _Part(_Answer):
    text: str


class _Message(_Answer):
    content: str | list[_Part]


class _ChatChoice(_Answer):
    message: _Message
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        content = self.message.content
        return content if isinstance(content, str) else "".join(part.text for part in content)


class _Chat(_Answer):
    choices: Annotated[list[_ChatChoice], Field(min_length=1)]


class _Logprobs(_Answer):
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(_Answer):
    text: str
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Completion(_Answer):
    choices: Annotated[list[_Choice], Field(min_length=1)]


_Kind = TypeVar("_Kind", _Chat, _Completion)


class _Malformed(ModelError):
    """Status 200, but not the answer that was asked for."""


class OpenAIAgent(LMAgent):
    """One served model, asked with prompts in the chat format of its training ``recipe``; servers do not tell it.

    Without a recipe its chat endpoint is asked (GPT-style servers have no other): it writes whole replies,
    but neither continues one nor scores, so it cannot be the agent of a method that plans.

    Limits of its scores: only the first token counts, and only the ``top_logprobs`` most probable tokens are
    known (vLLM gives 20 at most): a candidate that begins with none of them gets the least of their
    log-probabilities, which is more than its own. No state is kept here; the server may cache prefixes.
    """

    scores_whole_strings = False

    def __init__(
        self, model_name: str, api_base: str, recipe: str | None = None, top_logprobs: int = 20,
        timeout: float = 600, seed: int | None = None,
    ):
        self.model_name, self.api_base, self.seed = model_name, api_base, seed
        self.template = template_of_recipe(recipe) if recipe is not None else None
        self.top_logprobs = top_logprobs
        self._client = OpenAI(**connect(api_base, 'field "api_base" of the model config'), timeout=timeout)
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass) | tenacity.retry_if_exception_type(_Malformed),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
            stop=tenacity.stop_any(tenacity.stop_after_delay(120), _malformed_too_often),
            reraise=True,
        )

    def generate(
        self, messages: list[dict], *, stop: Sequence[str] = (), temperature: float, max_new_tokens: int
    ) -> str:
        sampling: dict = {"temperature": temperature, "max_tokens": max_new_tokens}
        if self.seed is not None and temperature > 0:
            sampling["seed"] = draw_seed(self.seed, json.dumps(messages))
        if self.template is None:
            return self._retry(self._written, self._chat, messages, stop=list(stop), **sampling)
        if isinstance(self.template, OwnTemplate):  # vLLM leaves special tokens out of the text that it searches
            sampling["extra_body"] = {"stop_token_ids": list(self.template.stop_token_ids)}
        return self._retry(self._written, self._complete, messages, stop=[self.template.stop, *stop], **sampling)

    def score(self, messages: list[dict], candidates: Sequence[str]) -> list[CandidateScore]:
        """First-token scores; ``logprob`` repeats them. See the class for what is not known."""
        choice = self._retry(self._complete, messages, temperature=0.0, max_tokens=1, logprobs=self.top_logprobs)
        if not (choice.logprobs and choice.logprobs.top_logprobs and choice.logprobs.top_logprobs[0]):
            raise ModelError(f"{self.model_name} at {self.api_base}: the answer has no top_logprobs to score with")
        top = choice.logprobs.top_logprobs[0]
        ranks = {token: -1 - rank for rank, token in enumerate(top)}
        scores = []
        for candidate in candidates:
            begins = [token for token in top if token.strip() and candidate.strip().startswith(token.strip())]
            token = max(begins, key=len, default=None)
            logprob = min(top.values()) if token is None else top[token]
            unknown = -1 - len(top) - len(scores)  # a first token of its own, as far as is known
            scores.append(CandidateScore(ranks.get(token, unknown), logprob, logprob))
        return scores

    def _written(self, ask, messages: list[dict], **request) -> str:
        """The choice's text: one that is empty for want of room, or by a filter, is none."""
        choice = ask(messages, **request)
        if not choice.text and choice.finish_reason in ("length", "content_filter"):
            raise self._malformed(f'no text, and "finish_reason" is "{choice.finish_reason}"')
        return choice.text

    def _chat(self, messages: list[dict], stop: list[str], **request) -> _ChatChoice:
        if messages[-1]["role"] == "assistant":
            raise ModelError(f"{self.model_name} at {self.api_base}: a chat endpoint cannot continue a reply")
        if stop:  # some servers refuse an empty list
            request["stop"] = stop
        return self._ask(self._client.chat.completions, _Chat, messages=messages, **request).choices[0]

    def _complete(self, messages: list[dict], **request) -> _Choice:
        if self.template is None:
            raise ModelError(
                f"{self.model_name} at {self.api_base}: a chat endpoint gives no scores to plan with; name "
                'the recipe of a completions endpoint\'s model in the model config: "recipe"'
            )
        prompt = self.template.render(messages)
        return self._ask(self._client.completions, _Completion, prompt=prompt, **request).choices[0]

    def _ask(self, endpoint, kind: type[_Kind], **request) -> _Kind:
        try:
            answer = endpoint.create(model=self.model_name, **request)
        except UNREADABLE as error:
            raise self._malformed(f"no JSON object ({error})") from None
        try:
            return kind.model_validate(answer)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the whole"
            found = getattr(answer, "error", None) or first["input"]
            raise self._malformed(f'field "{field}": {first["msg"]}, found {str(found)[:200]!r}') from None

    def _retry(self, function, *arguments, **request):
        try:
            return self._retrying(function, *arguments, **request)
        except NotFoundError as error:
            fault = reason(error, self.api_base)
            raise InputError(f'no model "{self.model_name}" at {self.api_base}: {fault}') from None
        except OpenAIError as error:
            kind = ContextOverflow if full_context(error) else ModelError
            raise kind(f"{self.model_name} at {self.api_base}: {reason(error, self.api_base)}") from None

    def _malformed(self, what: str) -> _Malformed:
        return _Malformed(f"{self.model_name} at {self.api_base}: not the answer expected: {what}")


def _malformed_too_often(state: tenacity.RetryCallState) -> bool:
    return isinstance(state.outcome.exception(), _Malformed) and state.attempt_number >= _MALFORMED_TRIES


def connect(api_base: str, source: str) -> dict:
    """Arguments of an OpenAI client for ``api_base``: it asks once, with $OPENAI_API_KEY, loopback past any proxy.

    Raises InputError for an address, a key or a proxy that no request could be sent with; it names ``source``.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip() or "EMPTY"
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("OPENAI_API_KEY holds a blank, a line break or a letter that no key has")
    base_url = checked_address(api_base, source, "http://localhost:8000/v1")
    try:
        client = openai.DefaultHttpxClient(trust_env=not is_loopback(base_url))
    except (ImportError, ValueError) as error:
        raise InputError(f"the proxy {proxy_of(base_url)} cannot be used: {error}") from None
    return {"base_url": base_url, "api_key": key, "max_retries": 0, "http_client": client}


# the words of OpenAI, FastChat and vLLM
_CONTEXT = re.compile(r"maximum context length is (\d+)")
_PROMPT_TOKENS = re.compile(r"(\d+) in the messages|(\d+) in the prompt|resulted in (\d+) tokens|(\d+) input tokens")


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later: timeouts, dropped connections, 408, 429 and 5xx."""
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError) and not _never_connected(error)


def reason(error: OpenAIError, api_base: str) -> str:
    """The error in one line, down to what the connection met."""
    if isinstance(error, APIConnectionError):
        return connection.reason(error, api_base)
    said = " ".join(str(error).split())[:300]
    if not isinstance(error, APIStatusError):
        return f"{type(error).__name__} ({said})"
    key = "; the key comes from $OPENAI_API_KEY" if error.status_code in (401, 403) else ""
    through = f"; asked through the proxy {proxy_of(api_base)}" if proxy_of(api_base) else ""
    return f"HTTP {error.status_code} ({said}){key}{through}"


def full_context(error: OpenAIError) -> tuple[int, int | None] | None:
    """(context length, the prompt's tokens where it says them) where the prompt was too long, else None."""
    context, used = _CONTEXT.search(str(error)), _PROMPT_TOKENS.search(str(error))
    if not context:
        return None
    return int(context[1]), int(used[used.lastindex]) if used else None


def _never_connected(error: BaseException) -> bool:
    """Whether nothing listens there. Which HTTP library reports it depends on the client's version."""
    while error is not None:
        if type(error).__name__ == "ConnectError":
            return True
        error = error.__cause__
    return False
