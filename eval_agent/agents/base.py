"""What the episode loop asks of a language model, whoever serves it."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


class ModelError(Exception):
    """The model could not answer for a technical reason; the message names the worker."""


class ContextOverflow(ModelError):
    """The prompt does not fit the model's context length."""


def draw_seed(seed: int, prompt: str) -> int:
    """The seed of one sampled answer (31 bits): the run's ``seed`` alone would draw alike at every step."""
    return zlib.crc32(f"{seed}\n{prompt}".encode()) >> 1


@dataclass(frozen=True)
class CandidateScore:
    """Natural log-probabilities of one candidate string after a prompt.

    ``first_token`` tells which candidates share their first token (their ``first_token_logprob`` then ties):
    the vocabulary id, or a negative number where the worker does not tell ids.
    """

    first_token: int
    first_token_logprob: float
    logprob: float  # of the whole string


class LMAgent(ABC):
    """A language model behind chat messages ``[{"role": "user" | "assistant", "content": str}, ...]``.

    A last assistant message is an unfinished reply: it is continued. An agent made with a ``seed`` samples the
    same text each time for the same messages, where its server lets it.
    """

    scores_whole_strings = True  # else ``logprob`` is that of the first token

    @abstractmethod
    def generate(
        self, messages: list[dict], *, stop: Sequence[str] = (), temperature: float, max_new_tokens: int
    ) -> str:
        """The new text alone, up to but without the first stop string.

        Raises ContextOverflow, ModelError (after retries), InputError (nothing serves the model).
        """

    @abstractmethod
    def score(self, messages: list[dict], candidates: Sequence[str]) -> list[CandidateScore]:
        """How likely each candidate string is to follow, as it stands, on the last message.

        Raises ContextOverflow, ModelError (after retries), InputError (nothing serves the model).
        """
