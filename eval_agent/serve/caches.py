"""What the worker keeps between requests: key-value states of prompts already read, and whole answers.

Knows tokens, tensors and plain requests, nothing of models. An entry of the prefix cache belongs to one adapter: the
same tokens have other states under another one. An answer may stand for a second one only where that would be the
same: of greedy decoding, of sampling with a seed, of scores.
"""

import math
import mmap
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from cachetools import LRUCache
from transformers.cache_utils import Cache, DynamicLayer

from eval_agent.agents.candidates import common_prefix
from eval_agent.files import cache_key

# a prompt's last tokens may merge with what follows it, so an entry may lose a few and still be continued
_SLACK = 8
_OWN_PAGES = 2**20  # bytes, from which a buffer has memory pages of its own


class GrowingLayer(DynamicLayer):
    """One layer's keys and values [1, heads, length, d] in a buffer with spare room.

    transformers' own DynamicLayer copies everything it holds for each new token.
    """

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """Append states; returns all keys and values so far (views of the buffers)."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if start == 0 or end > self._key_buffer.shape[-2]:
            self._grow(key_states, value_states, start, end)
        self._key_buffer[..., start:end, :] = key_states
        self._value_buffer[..., start:end, :] = value_states
        self.show(end)
        return self.keys, self.values

    def _grow(self, key_states, value_states, start, end):
        room = end + max(64, end // 4)
        new_keys = _room_for(key_states, room)
        new_values = _room_for(value_states, room)
        if start:
            new_keys[..., :start, :] = self.keys
            new_values[..., :start, :] = self.values
        self._key_buffer, self._value_buffer = new_keys, new_values
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def show(self, length: int) -> None:
        """Hold the first ``length`` positions of the buffers."""
        self.keys = self._key_buffer[..., :length, :]
        self.values = self._value_buffer[..., :length, :]

    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        return self._key_buffer.nbytes + self._value_buffer.nbytes


def _room_for(states: torch.Tensor, room: int) -> torch.Tensor:
    """A buffer for ``room`` positions of states like these.

    A large one of the CPU goes back to the system when it is dropped. By PyTorch's allocator it would leave a hole that
    the next, longer one does not fit into: with SmolLM2-135M and 24 episodes such holes were half of a worker's 15 GB.
    """
    shape = (*states.shape[:-2], room, states.shape[-1])
    size = math.prod(shape) * states.itemsize
    if states.device.type != "cpu" or size < _OWN_PAGES:
        return states.new_empty(shape)
    return torch.frombuffer(mmap.mmap(-1, size), dtype=states.dtype).view(shape)


def new_cache() -> Cache:
    """An empty cache of :class:`GrowingLayer`, one a model layer."""
    return Cache(layer_class_to_replicate=GrowingLayer)


@dataclass
class Prefix:
    """Tokens that an adapter has read, and ``cache``, their key-value states (``len(ids)`` positions)."""

    adapter: str | None
    ids: list[int] = field(default_factory=list)
    cache: Cache = field(default_factory=new_cache)
    prompt_length: int = 0  # the rest of ``ids`` was generated

    def crop(self, length: int) -> None:
        """Forget all tokens from ``length`` on."""
        if length < len(self.ids):
            del self.ids[length:]
            for layer in self.cache.layers:  # Cache.crop counts from the other end in transformers 5
                layer.show(length)

    def restore(self) -> None:
        """Forget states of tokens that are not in ``ids``: a pass over them failed halfway."""
        if not self.ids:
            self.cache = new_cache()
        for layer in self.cache.layers:
            layer.show(len(self.ids))

    def copy(self, length: int) -> "Prefix":
        """The first ``length`` tokens, in memory of their own."""
        twin = Prefix(self.adapter, self.ids[:length])
        for index, layer in enumerate(self.cache.layers):
            twin.cache.update(layer.keys[..., :length, :], layer.values[..., :length, :], index)
        return twin

    def nbytes(self) -> int:
        return sum(layer.nbytes() for layer in self.cache.layers)


class PrefixCache:
    """Least recently used prefixes, at most ``max_bytes`` of key-value states."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._entries: OrderedDict[int, tuple[Prefix, np.ndarray, int]] = OrderedDict()
        self._keys = count()

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, adapter: str | None, ids: Sequence[int]) -> Prefix:
        """A prefix of ``ids`` for the caller to own and extend, the longest known one; empty where none is.

        An entry whose prompt ``ids`` goes on from is handed over; one that only shares its beginning (the
        instruction that all episodes start with) is copied, since its own dialogue will go on too.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        best_key, best = None, 0
        for key, (prefix, known, _) in self._entries.items():
            if prefix.adapter == adapter:
                common = common_prefix(known, wanted)
                if common > best:
                    best_key, best = key, common
        if best_key is None:
            return Prefix(adapter)
        prefix, _, nbytes = self._entries[best_key]
        if best < prefix.prompt_length - _SLACK:
            self._entries.move_to_end(best_key)
            return prefix.copy(best)
        del self._entries[best_key]
        self.nbytes -= nbytes
        prefix.crop(best)
        return prefix

    def put(self, prefix: Prefix) -> None:
        """Keep a prefix (the caller gives it up); the least recently used ones make room."""
        nbytes = prefix.nbytes()
        if not prefix.ids or nbytes > self.max_bytes:
            return
        self._entries[next(self._keys)] = (prefix, np.asarray(prefix.ids, dtype=np.int64), nbytes)
        self.nbytes += nbytes
        while self.nbytes > self.max_bytes:
            _, (_, _, freed) = self._entries.popitem(last=False)
            self.nbytes -= freed


_GREEDY = 1e-5  # FastChat's border: a lower temperature takes the most probable token


class Answers:
    """The last ``most`` answers by request; with 0 all are computed. For use by several threads."""

    def __init__(self, most: int):
        self._known: LRUCache = LRUCache(most)
        self._lock = threading.Lock()

    def stream(self, route: str, request: dict, compute: Callable[[], Iterator[dict]]) -> Iterator[dict]:
        """What ``compute`` yields, or at once the last thing that it yielded for the same request before."""
        key = cache_key(route=route, request=request)
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
