"""What an unmodified FastChat worker does not offer, made from what it does: candidate scores, exact spaces.

The scores are a slow road (the worker ranks its whole vocabulary at each token of the prompt, for each
candidate); eval_agent.serve.model_worker answers in one call.
"""

from collections.abc import Callable, Sequence

from eval_agent.agents.base import CandidateScore, ModelError
from eval_agent.agents.candidates import first_scored
from eval_agent.agents.replies import Generated


def score(ask: Callable[[dict], Generated], prompt: str, candidates: list[str]) -> list[CandidateScore]:
    """Scores from the same token on as eval_agent.serve.scoring: the first unlike the prompt's own.

    ``ask`` sends one /worker_generate request. Token ids are unknown here: candidates that share the text of
    their first token share a negative ``first_token``.
    """
    prompt_tokens, _ = _tokens(ask, prompt)
    first_tokens: dict[tuple, int] = {}
    scores = []
    for candidate in candidates:
        tokens, logprobs = _tokens(ask, prompt + candidate)
        boundary = first_scored(prompt_tokens, tokens)
        first = first_tokens.setdefault((boundary, tokens[boundary]), -1 - len(first_tokens))
        scores.append(CandidateScore(first, logprobs[boundary], sum(logprobs[boundary:])))
    return scores


def continue_reply(ask: Callable[[dict], Generated], request: dict, begun: str, stop: Sequence[str]) -> str:
    """The text after ``begun``, the unfinished reply that ends ``request["prompt"]``.

    The worker decodes new tokens by themselves, and sentencepiece tokenizers then lose the first one's space
    ("go" + "to"). With ``echo`` they are decoded behind the prompt; the new text starts after the same
    occurrence of ``begun`` as in the prompt.
    """
    text = ask({**request, "echo": True}).text
    end = 0
    for _ in range(request["prompt"].count(begun)):
        place = text.find(begun, end)
        if place < 0:  # the worker tidied spaces inside it
            return ask(request).text
        end = place + len(begun)
    new = text[end:]
    # the worker looks for stop strings after as many characters as the prompt has with its special tokens
    return new[: min(place for place in (len(new), *map(new.find, stop)) if place >= 0)]


def _tokens(ask, text) -> tuple[list[str], list[float]]:
    """Each token of ``text`` decoded by itself, and its log-probability (None for the first)."""
    request = {"prompt": text, "max_new_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
    reply = ask(request)
    if reply.logprobs is None:
        raise ModelError("the worker answers without the log-probabilities that it was asked for")
    n_tokens = reply.usage.prompt_tokens  # the rest is the one new token
    return reply.logprobs.tokens[:n_tokens], reply.logprobs.token_logprobs[:n_tokens]

