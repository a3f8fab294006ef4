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
from openai import APIConnectionError, APIStatusError, BadRequestError, NotFoundError, OpenAI, OpenAIError
from pydantic import ConfigDict, Field, ValidationError

from eval_agent import connection
from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError, draw_seed
from eval_agent.agents.candidates import tokenise_after
from eval_agent.agents.chat_format import base_of_auto, template_of_recipe
from eval_agent.agents.chat_templates import OwnTemplate
from eval_agent.agents.openai_scores import NotExact, Question, Tree, load_tokenizer, top_scores
from eval_agent.connection import Reply, checked_address, is_loopback, proxy_of
from eval_agent.errors import InputError, warn

_MALFORMED_TRIES = 4  # of an endpoint that answers, but with nothing that can be read
_NOT_OFFERED = (400, 404, 405, 422, 501)  # how servers answer to routes and fields that they do not have
_WARNED: set[tuple[str, str]] = set()  # models whose scores are guesses, so far: threads have agents of their own
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
    index: int = 0
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None

    @property
    def top(self) -> dict[str, float] | None:
        """The log-probabilities that it tells of its first token."""
        return self.logprobs.top_logprobs[0] if self.logprobs and self.logprobs.top_logprobs else None


class _Completion(_Answer):
    choices: Annotated[list[_Choice], Field(min_length=1)]


class _Tokens(_Answer):
    tokens: Annotated[list[int], Field(min_length=1)]


_Kind = TypeVar("_Kind", _Chat, _Completion, _Tokens)


class _Malformed(ModelError):
    """Status 200, but not the answer that was asked for."""


class OpenAIAgent(LMAgent):
    """One served model, asked with prompts in the chat format of its training ``recipe``; servers do not tell it.

    Without a recipe its chat endpoint is asked (GPT-style servers have no other): it writes whole replies,
    but neither continues one nor scores, so it cannot be the agent of a method that plans.

    Its scores are exact where the server tells the log-probabilities of given token ids (vLLM); the tokens are those of
    ``tokenizer`` (a folder or hub name), of the recipe's base where its chat format is the base's own ("auto"), or else
    of the server's own POST /tokenize. Elsewhere only the ``top_logprobs`` most probable first tokens are known: a
    candidate that begins with none of them gets the least of their log-probabilities, which is more than its own, and
    one warning names such candidates. No state is kept here; the server may cache prefixes.
    """

    def __init__(
        self, model_name: str, api_base: str, recipe: str | None = None, top_logprobs: int = 20,
        timeout: float = 600, tokenizer: str | None = None, seed: int | None = None,
    ):
        self.model_name, self.api_base, self.seed = model_name, api_base, seed
        self.template = template_of_recipe(recipe) if recipe is not None else None
        self.top_logprobs = top_logprobs
        if tokenizer is None and recipe is not None:
            tokenizer = base_of_auto(recipe)
        self._tokenizer = load_tokenizer(tokenizer) if tokenizer is not None else None
        self._exact: bool | None = None  # not known yet
        self._why = ""  # it does not tell exact scores
        self._client = OpenAI(**connect(api_base, 'field "api_base" of the model config'), timeout=timeout)
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass) | tenacity.retry_if_exception_type(_Malformed),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
            stop=tenacity.stop_any(tenacity.stop_after_delay(120), _malformed_too_often),
            reraise=True,
        )

    @property
    def scores_whole_strings(self) -> bool:
        """As far as the server has shown until now."""
        return self._exact is not False

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
        prompt = self.template.render(messages)
        return self._retry(self._written, self._complete, prompt, stop=[self.template.stop, *stop], **sampling)

    def score(self, messages: list[dict], candidates: Sequence[str]) -> list[CandidateScore]:
        """See the class for what is known where the server does not tell exact scores."""
        prompt = self._prompt(messages)
        if self._exact is not False:
            try:
                scores = self._retry(self._exact_scores, prompt, list(candidates))
                self._exact = True
                return scores
            except (NotExact, _Malformed) as fault:
                if self._exact:
                    raise
                self._exact, self._why = False, str(fault)
        choice = self._retry(self._complete, prompt, temperature=0.0, max_tokens=1, logprobs=self.top_logprobs)
        if not choice.top:
            raise ModelError(f"{self.model_name} at {self.api_base}: the answer has no top_logprobs to score with")
        scores, guessed = top_scores(choice.top, candidates)
        if guessed and (self.model_name, self.api_base) not in _WARNED:
            _WARNED.add((self.model_name, self.api_base))
            warn(f"{self.model_name} at {self.api_base} gives no exact scores ({self._why}); guesses, as none of the "
                 f"{len(choice.top)} most probable tokens begins them: {', '.join(map(str.strip, guessed))}")
        return scores

    def _exact_scores(self, prompt: str, candidates: list[str]) -> list[CandidateScore]:
        """Raises NotExact where the server, which has not done so before, does not tell them."""
        try:
            tree = Tree(*self._tokenise(prompt, candidates))
            found = {}
            for question in tree.questions():
                found |= tree.read(question, self._told(question))
            return tree.scores(found)
        except APIStatusError as error:
            if self._exact or error.status_code not in _NOT_OFFERED or _overflows(error):
                raise
            raise NotExact(reason(error, self.api_base)) from None
        except NotExact as fault:
            if self._exact:
                raise self._malformed(str(fault)) from None
            raise

    def _tokenise(self, prompt: str, candidates: list[str]) -> tuple[list[int], list[list[int]]]:
        """Token ids of ``prompt``, and of the prompt with each candidate behind it."""
        if self._tokenizer is not None:
            ids = self._tokenizer(prompt).input_ids
            return ids, tokenise_after(self._tokenizer, prompt, ids, candidates)
        first, *others = (self._tokens(text) for text in (prompt, *(prompt + c for c in candidates)))
        return first, others

    def _tokens(self, text: str) -> list[int]:
        url = self.api_base.rstrip("/").removesuffix("/v1") + "/tokenize"
        body = {"model": self.model_name, "prompt": text}
        return self._ask(self._client.post, _Tokens, path=url, cast_to=object, body=body).tokens

    def _told(self, question: Question) -> list[dict[str, float] | None]:
        answer = self._ask(self._client.completions.create, _Completion, model=self.model_name, **question.fields)
        return [choice.top for choice in sorted(answer.choices, key=lambda choice: choice.index)]

    def _written(self, ask, prompt, **request) -> str:
        """The choice's text: one that is empty for want of room, or by a filter, is none.

        A server that refuses more new tokens than have room is asked for what has, as our worker and vLLM do.
        """
        try:
            choice = ask(prompt, **request)
        except BadRequestError as error:
            room = _room(error)
            if not 0 < room < request["max_tokens"]:
                raise
            choice = ask(prompt, **{**request, "max_tokens": room})
        if not choice.text and choice.finish_reason in ("length", "content_filter"):
            raise self._malformed(f'no text, and "finish_reason" is "{choice.finish_reason}"')
        return choice.text

    def _chat(self, messages: list[dict], stop: list[str], **request) -> _ChatChoice:
        if messages[-1]["role"] == "assistant":
            raise ModelError(f"{self.model_name} at {self.api_base}: a chat endpoint cannot continue a reply")
        if stop:  # some servers refuse an empty list
            request["stop"] = stop
        ask = self._client.chat.completions.create
        return self._ask(ask, _Chat, model=self.model_name, messages=messages, **request).choices[0]

    def _prompt(self, messages: list[dict]) -> str:
        if self.template is None:
            raise ModelError(
                f"{self.model_name} at {self.api_base}: a chat endpoint gives no scores to plan with; name "
                'the recipe of a completions endpoint\'s model in the model config: "recipe"'
            )
        return self.template.render(messages)

    def _complete(self, prompt: str, **request) -> _Choice:
        ask = self._client.completions.create
        return self._ask(ask, _Completion, model=self.model_name, prompt=prompt, **request).choices[0]

    def _ask(self, ask, kind: type[_Kind], **request) -> _Kind:
        try:
            answer = ask(**request)
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
            kind = ContextOverflow if _overflows(error) else ModelError
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
_CONTEXT = re.compile(r"maximum context length is (\d+)|cannot be greater than max_model_len=(\d+)")
_PROMPT_TOKENS = re.compile(r"(\d+) in the messages|(\d+) in the prompt|resulted in (\d+) tokens|(\d+) input tokens")


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later: timeouts, dropped connections, 408, 429 and 5xx.

    FastChat's server says 400 to everything; its own code, 42901 to 50006, tells a lost worker from a wrong request.
    """
    if isinstance(error, APIStatusError):
        lost = str(error.code).isdecimal() and int(error.code) > 42900
        return error.status_code in (408, 429) or error.status_code >= 500 or lost
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
    return int(context[context.lastindex]), int(used[used.lastindex]) if used else None


def _overflows(error: OpenAIError) -> bool:
    """vLLM has other words for a prompt that fills the context to the last token."""
    return full_context(error) is not None or "max_tokens must be at least 1, got 0" in str(error)


def _room(error: BadRequestError) -> int:
    """How many new tokens a server that refused more would take, as far as it says; 0 where it does not."""
    context, used = full_context(error) or (0, None)
    if used is None:  # vLLM, of new tokens alone
        return context if "max_model_len=" in str(error) else 0
    return context - used


def _never_connected(error: BaseException) -> bool:
    """Whether nothing listens there. Which HTTP library reports it depends on the client's version."""
    while error is not None:
        if type(error).__name__ == "ConnectError":
            return True
        error = error.__cause__
    return False
