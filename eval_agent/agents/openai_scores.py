"""Scores of candidate strings from a completions endpoint: exact ones, or what its most probable tokens tell of them.

Candidates hang as a tree on the prompt. Each node, the prompt and what some candidates begin with, becomes one prompt
of token ids; vLLM tells the log-probabilities of the ids named in ``logprob_token_ids`` after it (0.27 and later;
other servers may ignore the field). Knows token ids and answers, not how they are asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from eval_agent.agents.base import CandidateScore, ModelError
from eval_agent.agents.candidates import first_scored
from eval_agent.errors import InputError
from eval_agent.model_folder import find_model

MOST_IDS = 128  # that vLLM takes in one request
_ID = "token_id:"  # what vLLM's names of tokens begin with where ids are asked for

Node = tuple[int, ...]


class NotExact(Exception):
    """The endpoint does not tell the log-probabilities that it was asked for; the message says what it did."""


@dataclass(frozen=True)
class Question:
    """One request: after each of ``nodes``, the log-probabilities of ``tokens``."""

    nodes: tuple[Node, ...]
    tokens: tuple[int, ...]

    @property
    def fields(self) -> dict:
        ids = {"logprob_token_ids": list(self.tokens), "return_tokens_as_token_ids": True}
        prompts = [list(node) for node in self.nodes]
        return {"prompt": prompts, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "extra_body": ids}


class Tree:
    """Prompt and candidates as token ids: what follows on each node, and each candidate's way through them."""

    def __init__(self, prompt_ids: Sequence[int], candidates: Sequence[Sequence[int]]):
        self._candidates = [(tuple(ids), first_scored(prompt_ids, ids)) for ids in candidates]
        if not all(begin for _, begin in self._candidates):
            raise ModelError("nothing precedes the candidates")
        self._following: dict[Node, dict[int, None]] = {}  # ordered, each once
        for ids, begin in self._candidates:
            for place in range(begin, len(ids)):
                self._following.setdefault(ids[:place], {})[ids[place]] = None

    def questions(self) -> Iterator[Question]:
        """What has to be asked: one request, more where candidates have over 128 tokens of their own."""
        nodes: dict[Node, None] = {}
        tokens: dict[int, None] = {}
        for node, following in self._following.items():
            for token in following:
                if token not in tokens and len(tokens) == MOST_IDS:
                    yield Question(tuple(nodes), tuple(tokens))
                    nodes, tokens = {}, {}
                nodes[node] = tokens[token] = None
        yield Question(tuple(nodes), tuple(tokens))

    def read(self, question: Question, told: Sequence[Mapping[str, float] | None]) -> dict[tuple[Node, int], float]:
        """The log-probabilities in an answer: of each node, by the names of tokens. Raises NotExact for a missing one."""
        if len(told) != len(question.nodes):
            raise NotExact(f"{len(told)} answers to {len(question.nodes)} prompts")
        found = {}
        for node, logprobs in zip(question.nodes, told):
            by_id = {name.removeprefix(_ID): value for name, value in (logprobs or {}).items() if name.startswith(_ID)}
            wanted = [token for token in self._following[node] if token in question.tokens]
            missing = [token for token in wanted if str(token) not in by_id]
            if missing:
                raise NotExact(f"token ids {', '.join(map(str, missing[:5]))} were asked for and did not come back")
            found |= {(node, token): by_id[str(token)] for token in wanted}
        return found

    def scores(self, found: Mapping[tuple[Node, int], float]) -> list[CandidateScore]:
        scores = []
        for ids, begin in self._candidates:
            values = [found[ids[:place], ids[place]] for place in range(begin, len(ids))]
            scores.append(CandidateScore(ids[begin], values[0], sum(values)))
        return scores


def top_scores(top: Mapping[str, float], candidates: Sequence[str]) -> tuple[list[CandidateScore], list[str]]:
    """First-token scores from the most probable tokens' texts, and the candidates that begin with none of them.

    These get the least of the log-probabilities, which is more than their own. ``logprob`` repeats the first token's.
    """
    ranks = {token: -1 - rank for rank, token in enumerate(top)}
    scores, guessed = [], []
    for candidate in candidates:
        begins = [token for token in top if token.strip() and candidate.strip().startswith(token.strip())]
        token = max(begins, key=len, default=None)
        logprob = min(top.values()) if token is None else top[token]
        unknown = -1 - len(top) - len(scores)  # a first token of its own, as far as is known
        scores.append(CandidateScore(ranks.get(token, unknown), logprob, logprob))
        if token is None:
            guessed.append(candidate)
    return scores, guessed


@lru_cache
def load_tokenizer(name: str):
    """The tokenizer in a folder, or of a hub name. Raises InputError naming the model config's field."""
    from transformers import AutoTokenizer  # takes seconds, and only few clients need it

    field = f'field "tokenizer" of the model config is "{name}"'
    try:
        return AutoTokenizer.from_pretrained(find_model(name, f"{field}: no such folder"), trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower for a broken file
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{field}: {told}") from None
