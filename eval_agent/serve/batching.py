"""Model calls that wait at the same time become one, their tokens side by side in a single row.

Everything in a decoder but attention works token by token, so dialogues of different lengths, and under
different adapters, share one pass over the weights; in attention each sees its own key-value states only, where
they lie. Nothing is padded or copied. A dialogue under adapter A that reads two new tokens after three known ones,
and one under B that decodes its fifth token::

    input_ids       [[ d  e  V ]]                   attention    a b c d e   R S T U V
    position_ids    [[ 3  4  4 ]]                   d            1 1 1 1
    spans            [(0, 2), (2, 3)]               e            1 1 1 1 1
    adapters          A  A  B                       V                        1 1 1 1 1
    KV caches        call 0: a b c | d e            rows [1, 2]: logits of e and of V
                     call 1: R S T U | V
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear as LoraLinear
from transformers import AttentionInterface
from transformers.cache_utils import Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from eval_agent.serve.caches import Prefix

SIDE_BY_SIDE = "side_by_side"  # the attention implementation's name in transformers
_MOST_TOKENS = 8192  # in one pass: more would need memory that the caches could have
_PATIENCE = 0.005  # seconds that a call waits for the other requests' calls


@dataclass
class Call:
    """``ids`` to read after ``prefix``, and what is wanted of it: logits of ``rows`` [n_rows, vocabulary].

    ``mask`` [n_ids, all so far]: True where a token may look; None for what stands before it.
    """

    prefix: Prefix
    ids: list[int]
    positions: list[int]
    rows: list[int]
    mask: torch.Tensor | None = None
    answer: Future = field(default_factory=Future)

    def attend(self, query, keys, values, scaling: float) -> torch.Tensor:
        """Attention of this call's tokens, [1, heads, n_ids, d], to all of its own states."""
        mask, causal = self.mask, False
        if mask is None and len(self.ids) > 1:
            if len(self.ids) == keys.shape[-2]:
                causal = True
            else:
                mask = self.mask = _after(len(self.ids), keys.shape[-2], query.device)
        groups = query.shape[1] != keys.shape[1]
        return F.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=groups
        )


def _after(n_new: int, n_all: int, device) -> torch.Tensor:
    return torch.ones(n_new, n_all, dtype=torch.bool, device=device).tril(n_all - n_new)


class States(Cache):
    """Stands for the caches of all ``calls`` in one pass; the last one's tokens end the row."""

    def __init__(self, calls: list[Call]):
        super().__init__(layers=[])
        self.calls = calls
        ends = [sum(len(call.ids) for call in calls[:n]) for n in range(len(calls) + 1)]
        self.spans = list(zip(ends, ends[1:]))

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        """Give each call's cache its part; returns what :func:`_attention` is then handed as key, value."""
        held = [
            call.prefix.cache.update(key_states[:, :, start:end], value_states[:, :, start:end], layer_idx)
            for call, (start, end) in zip(self.calls, self.spans)
        ]
        return self, held

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0  # positions are given


def _attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    if not isinstance(key, States):  # a call of another kind, such as FastChat's own generation
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    parts = [
        call.attend(query[:, :, start:end], keys, values, scaling)
        for call, (start, end), (keys, values) in zip(key.calls, key.spans, value)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(SIDE_BY_SIDE, _attention)


def _is_plain(module: torch.nn.Module) -> bool:
    if not isinstance(module, LoraLinear) or module.lora_variant:
        return False
    return all(up.bias is None for up in module.lora_B.values())


class AdapterSpans:
    """Lets the LoRA layers of a model apply a different adapter to each part of the row.

    ``possible`` is False where a layer is of a kind that this cannot do (DoRA, biases, saved modules).
    """

    def __init__(self, switches: list[torch.nn.Module]):
        self._spans: list[tuple[str, int, int]] | None = None
        self.possible = all(_is_plain(module) for module in switches)
        if self.possible:
            for module in switches:
                module.forward = self._routed(module, module.forward)

    def _routed(self, module: LoraLinear, forward: Callable) -> Callable:
        def routed(x, *args, **kwargs):
            if self._spans is None:
                return forward(x, *args, **kwargs)
            result = module.base_layer(x)
            for adapter, start, end in self._spans:
                if adapter in module.lora_A:
                    down, up = module.lora_A[adapter].weight, module.lora_B[adapter].weight
                    part = F.linear(F.linear(x[0, start:end].to(down.dtype), down), up)
                    result[0, start:end].add_(part, alpha=module.scaling[adapter])
            return result

        return routed

    @contextmanager
    def apply(self, states: States):
        """While this is open, each call's tokens pass through its own adapter."""
        spans: list[tuple[str, int, int]] = []
        for call, (start, end) in zip(states.calls, states.spans):
            if spans and spans[-1][0] == call.prefix.adapter:
                spans[-1] = (call.prefix.adapter, spans[-1][1], end)
            elif call.prefix.adapter is not None:
                spans.append((call.prefix.adapter, start, end))
        self._spans = spans
        try:
            yield
        finally:
            self._spans = None


class Batcher:
    """Collects calls from many threads and hands them to ``run`` as lists, in a thread of its own."""

    def __init__(self, run: Callable[[list[Call]], None]):
        self._run = run
        self._waiting: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._requests = 0
        threading.Thread(target=self._work, daemon=True, name="model").start()

    @contextmanager
    def request(self):
        """Around all calls of one request: calls of others wait a moment for its next one."""
        with self._lock:
            self._requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1

    def submit(self, call: Call) -> torch.Tensor:
        """The call's logits; raises what its pass raised."""
        self._waiting.put(call)
        return call.answer.result()

    def _work(self) -> None:
        while True:
            self._answer(self._collect())

    def _answer(self, calls: list[Call]) -> None:
        try:
            self._run(calls)
        except Exception as error:  # noqa: BLE001  the requests' threads report it
            if len(calls) == 1:
                return calls[0].answer.set_exception(error)
            for call in calls:  # by itself each: the others shall not fail with the one that cannot be read
                if not call.answer.done():
                    call.prefix.restore()
                    self._answer([call])

    def _collect(self) -> list[Call]:
        calls = [self._waiting.get()]
        deadline = time.monotonic() + _PATIENCE
        while sum(len(call.ids) for call in calls) < _MOST_TOKENS:
            patience = deadline - time.monotonic() if len(calls) < self._requests else 0
            try:
                calls.append(self._waiting.get(timeout=max(patience, 0)) if patience > 0
                             else self._waiting.get_nowait())
            except queue.Empty:
                break
        # calls under one adapter stand together
        return sorted(calls, key=lambda call: call.prefix.adapter or "")
