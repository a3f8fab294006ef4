"""How candidate strings are tokenised behind a prompt, and from which token on they count; for every server alike.

Knows token ids and a tokenizer of transformers, nothing of models.
"""

from collections.abc import Sequence

import numpy as np


def tokenise_after(tokenizer, prompt: str, prompt_ids: list[int], candidates: list[str]) -> list[list[int]]:
    """Token ids of ``prompt + candidate`` for each candidate.

    Special tokens split a text before anything else happens to it, so what stands before the prompt's last
    one (nearly all of a dialogue) is not tokenised again. Where the prompt itself does not come out the same
    that way, or nothing follows its last special token, everything is.
    """
    special_ids = set(tokenizer.all_special_ids)
    last = max((place for place, token in enumerate(prompt_ids) if token in special_ids), default=None)
    if last is not None:
        _, special, tail = prompt.rpartition(tokenizer.convert_ids_to_tokens(prompt_ids[last]))
        head = prompt_ids[: last + 1]
        plain, *ends = tokenizer([tail, *(tail + c for c in candidates)], add_special_tokens=False).input_ids
        if special and tail and head + plain == prompt_ids:
            return [head + end for end in ends]
    return tokenizer([prompt + candidate for candidate in candidates]).input_ids


def first_scored(prompt_ids: Sequence[int], ids: Sequence[int]) -> int:
    """The place in ``ids``, those of prompt and candidate, of the first token that counts: the first unlike the prompt's.

    Where tokens merge across the border that is one of the prompt's own places. 0: nothing precedes the candidate.
    """
    return min(common_prefix(np.asarray(prompt_ids), np.asarray(ids)), len(ids) - 1)


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    """Length of the longest common prefix of two token sequences."""
    length = min(len(a), len(b))
    differ = a[:length] != b[:length]
    return int(differ.argmax()) if differ.any() else length
