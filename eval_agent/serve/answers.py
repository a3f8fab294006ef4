"""Answers that were given already: runs that ask the same (a sweep over gamma) have it computed once.

Knows requests and answers as plain values, nothing of models. An answer may stand for a second one only where
that would be the same: of greedy decoding, of sampling with a seed, of scores.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator

from cachetools import LRUCache

_GREEDY = 1e-5  # FastChat's border: a lower temperature takes the most probable token


class Answers:
    """The last ``most`` answers by request; with 0 all are computed. For use by several threads."""

    def __init__(self, most: int):
        self._known: LRUCache = LRUCache(most)
        self._lock = threading.Lock()

    def stream(self, route: str, request: dict, compute: Callable[[], Iterator[dict]]) -> Iterator[dict]:
        """What ``compute`` yields, or at once the last thing that it yielded for the same request before."""
        key = hashlib.sha256(json.dumps([route, request], sort_keys=True).encode()).digest()
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            yield known
            return
        for known in compute():
            yield known
        if self._known.maxsize:
            with self._lock:
                self._known[key] = known


def repeatable(params: dict) -> bool:
    """Whether the same /worker_generate request has the same answer each time."""
    return params.get("seed") is not None or float(params.get("temperature", 1.0)) < _GREEDY
