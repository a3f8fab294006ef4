"""Candidate scores from an unmodified FastChat worker: ``echo`` and ``logprobs`` of prompt + candidate.

A slow road (the worker ranks its whole vocabulary at each token of the prompt, for each candidate), for workers
that cannot score themselves.
"""

from collections.abc import Callable

from eval_agent.agents.base import CandidateScore


def score(ask: Callable[[dict], dict], prompt: str, candidates: list[str]) -> list[CandidateScore]:
    """Scores with the boundary of eval_agent.serve.scoring: the first token that differs from the prompt's own.

    ``ask`` sends one /worker_generate request. Token ids are unknown here: candidates that share the text of
    their first token share a negative ``first_token``.
    """
    prompt_tokens, _ = _tokens(ask, prompt)
    first_tokens: dict[tuple, int] = {}
    scores = []
    for candidate in candidates:
        tokens, logprobs = _tokens(ask, prompt + candidate)
        boundary = min(_common_prefix(prompt_tokens, tokens), len(tokens) - 1)
        first = first_tokens.setdefault((boundary, tokens[boundary]), -1 - len(first_tokens))
        scores.append(CandidateScore(first, logprobs[boundary], sum(logprobs[boundary:])))
    return scores


def _tokens(ask, text) -> tuple[list[str], list[float]]:
    """Each token of ``text`` decoded by itself, and its log-probability (None for the first)."""
    request = {"prompt": text, "max_new_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
    reply = ask(request)
    n_tokens = reply["usage"]["prompt_tokens"]  # the rest is the one new token
    return reply["logprobs"]["tokens"][:n_tokens], reply["logprobs"]["token_logprobs"][:n_tokens]


def _common_prefix(a: list[str], b: list[str]) -> int:
    length = min(len(a), len(b))
    return next((i for i in range(length) if a[i] != b[i]), length)
