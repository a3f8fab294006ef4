"""A model behind an OpenAI-compatible endpoint: completions with log-probabilities (vLLM's), or chat alone.

Also what such an endpoint's errors (FastChat's, vLLM's) mean for who asked.
"""

import json
import os
import re
from collections.abc import Sequence

import tenacity
from openai import APIConnectionError, APIStatusError, NotFoundError, OpenAI, OpenAIError

from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError, draw_seed
from eval_agent.agents.chat_format import format_of_recipe
from eval_agent.agents.chat_templates import get_template
from eval_agent.errors import InputError


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
        self.template = get_template(format_of_recipe(recipe).template) if recipe is not None else None
        self.top_logprobs = top_logprobs
        key = os.environ.get("OPENAI_API_KEY", "EMPTY")
        self._client = OpenAI(base_url=api_base, api_key=key, max_retries=0, timeout=timeout)
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
            stop=tenacity.stop_after_delay(120),
            reraise=True,
        )

    def generate(
        self, messages: list[dict], *, stop: Sequence[str] = (), temperature: float, max_new_tokens: int
    ) -> str:
        sampling: dict = {"temperature": temperature, "max_tokens": max_new_tokens}
        if self.seed is not None and temperature > 0:
            sampling["seed"] = draw_seed(self.seed, json.dumps(messages))
        if self.template is None:
            return self._chat(messages, list(stop), **sampling)
        return self._complete(messages, stop=[self.template.stop, *stop], **sampling).text

    def score(self, messages: list[dict], candidates: Sequence[str]) -> list[CandidateScore]:
        """First-token scores; ``logprob`` repeats them. See the class for what is not known."""
        choice = self._complete(messages, temperature=0.0, max_tokens=1, logprobs=self.top_logprobs)
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

    def _chat(self, messages: list[dict], stop: list[str], **request) -> str:
        if messages[-1]["role"] == "assistant":
            raise ModelError(f"{self.model_name} at {self.api_base}: a chat endpoint cannot continue a reply")
        if stop:  # some servers refuse an empty list
            request["stop"] = stop
        answer = self._ask(self._client.chat.completions, messages=messages, **request)
        return answer.choices[0].message.content or ""

    def _complete(self, messages: list[dict], **request):
        if self.template is None:
            raise ModelError(
                f"{self.model_name} at {self.api_base}: a chat endpoint gives no scores to plan with; name "
                'the recipe of a completions endpoint\'s model in the model config: "recipe"'
            )
        prompt = self.template.render(messages)
        return self._ask(self._client.completions, prompt=prompt, **request).choices[0]

    def _ask(self, endpoint, **request):
        try:
            return self._retry(endpoint.create, model=self.model_name, **request)
        except NotFoundError as error:
            raise InputError(f'no model "{self.model_name}" at {self.api_base}: {reason(error)}') from None
        except OpenAIError as error:
            if full_context(error):
                raise ContextOverflow(f"{self.model_name} at {self.api_base}: {reason(error)}") from None
            raise ModelError(f"{self.model_name} at {self.api_base}: {reason(error)}") from None


# the words of OpenAI, FastChat and vLLM
_CONTEXT = re.compile(r"maximum context length is (\d+)")
_PROMPT_TOKENS = re.compile(r"(\d+) in the messages|(\d+) in the prompt|resulted in (\d+) tokens|(\d+) input tokens")


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later: timeouts, dropped connections, 408, 429 and 5xx."""
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError) and not _never_connected(error)


def reason(error: OpenAIError) -> str:
    """The error in one line, down to what the connection met."""
    if isinstance(error, APIConnectionError):
        while error.__cause__ is not None:  # the outer ones only say "Connection error."
            error = error.__cause__
    return f"{type(error).__name__} ({error})"


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
