"""BM25 as Lucene computes it (k1 0.9, b 0.4), over postings on disk that processes share by memory map.

Products are numbered by rising asin, which is how Lucene's search breaks ties here. All numbers are float32 where
Lucene's are: equal scores decide the order of one query in three.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval_agent.webshop.analyser import terms

RESULTS = 50
_K1, _B = np.float32(0.9), np.float32(0.4)
_EXACT = 24  # lengths below are stored as they are, larger ones with four bits
_ONE = np.float32(1)


def _lengths() -> np.ndarray:
    """The 256 lengths that one byte can say."""
    values = list(range(_EXACT))
    for byte in range(256 - _EXACT):
        shift = max(byte // 8 - 1, 0)
        values.append(_EXACT + ((byte % 8 + (8 if byte >= 8 else 0)) << shift))
    return np.array(values, dtype=np.int64)


LENGTHS = _lengths()


def length_byte(n: int | np.ndarray) -> np.ndarray:
    """The byte of the largest such length that is not above ``n``."""
    return (np.searchsorted(LENGTHS, n, side="right") - 1).astype(np.uint8)


class Index:
    """Postings of a folder: which products have a term, and how often."""

    def __init__(self, folder: Path, n_products: int, n_tokens: int):
        """``n_products`` have a token at least; ``n_tokens`` are all tokens."""
        self._terms = np.load(folder / "terms.npy", mmap_mode="r").data
        self._term_starts = np.asarray(np.load(folder / "term_starts.npy", mmap_mode="r"))
        self._starts = np.asarray(np.load(folder / "posting_starts.npy", mmap_mode="r"))
        self._products = np.asarray(np.load(folder / "posting_products.npy", mmap_mode="r"))
        self._counts = np.asarray(np.load(folder / "posting_counts.npy", mmap_mode="r"))
        self._lengths = np.asarray(np.load(folder / "lengths.npy", mmap_mode="r"))
        self._n_products = n_products
        average = np.float32(n_tokens / n_products) if n_products else _ONE
        lengths = LENGTHS.astype(np.float32)
        self._norms = _ONE / (_K1 * ((_ONE - _B) + _B * lengths / average))
        self._scores = np.zeros(len(self._lengths))  # zero between searches

    def search(self, query: str, k: int = RESULTS) -> np.ndarray:
        """Numbers of the ``k`` best products, best first; equal scores by number."""
        touched = [self._add(*found, times) for term, times in Counter(terms(query)).items()
                   if (found := self._find(term))]
        if not touched:
            return np.empty(0, dtype=np.int32)
        products = touched[0] if len(touched) == 1 else np.concatenate(touched)
        scores = self._scores[products].astype(np.float32)
        if len(products) > 4 * k:  # few are left for the exact order
            products = products[scores >= _bound(scores, k * len(touched))]
        products = np.unique(products)
        scores = self._scores[products].astype(np.float32)
        best = products[np.argsort(-scores, kind="stable")[:k]]
        for part in touched:
            self._scores[part] = 0
        return best

    def _add(self, start: int, end: int, times: int) -> np.ndarray:
        """Add one term's part to the scores of its products, which are returned."""
        products = np.asarray(self._products[start:end])
        n_with = end - start
        idf = np.float32(math.log(1 + (self._n_products - n_with + 0.5) / (n_with + 0.5)))
        weight = np.float32(times) * idf
        counts = self._counts[start:end].astype(np.float32)
        norms = self._norms[self._lengths[products]]
        self._scores[products] += weight - weight / (_ONE + counts * norms)
        return products

    def _find(self, term: str) -> tuple[int, int] | None:
        """Where the postings of a term begin and end."""
        wanted = term.encode("utf-8", "surrogatepass")
        number = bisect_left(_Terms(self._terms, self._term_starts), wanted)
        if number == len(self._term_starts) - 1 or _Terms(self._terms, self._term_starts)[number] != wanted:
            return None
        return int(self._starts[number]), int(self._starts[number + 1])


def _bound(scores: np.ndarray, n: int) -> np.float32:
    """The n-th largest score: a product stands among ``scores`` once for each of its terms."""
    return np.partition(scores, len(scores) - n)[len(scores) - n] if n < len(scores) else np.float32(0)


class _Terms(Sequence):
    """The sorted terms on disk as a sequence of bytes."""

    def __init__(self, data: memoryview, starts: np.ndarray):
        self._data, self._starts = data, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> bytes:
        return bytes(self._data[int(self._starts[number]):int(self._starts[number + 1])])
