"""One base model in memory with its LoRA adapters: which one reads, and what it has read.

Generation, scoring and embedding are functions over an :class:`Engine` in the modules beside this one. Threads
share it: what they have to read at the same time is read in one pass (:mod:`eval_agent.serve.batching`).
"""

import inspect
import threading
from collections.abc import Sequence

import torch
from fastchat.constants import ErrorCode
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval_agent.serve.batching import SIDE_BY_SIDE, AdapterSpans, Batcher, Call, States
from eval_agent.serve.caches import Prefix, PrefixCache

# parameters x tokens of a pass from which on more threads than one pay on a CPU: below it (float32, 2 cores, measured)
# the threads' meeting after each operation costs more than they save, and the other processes need the cores too
_WORTH_THREADS = 4e9


class RequestError(Exception):
    """A request that cannot be served, with FastChat's error code for it."""

    def __init__(self, code: ErrorCode, text: str):
        super().__init__(text)
        self.code = code


class Engine:
    """The model, its tokenizer, its adapters by served name (None: the base itself) and the prefix cache."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        adapters: dict[str, str | None],
        context_length: int,
        prefix_cache_bytes: int,
    ):
        model.eval().requires_grad_(False)
        self.lm = model.get_base_model() if isinstance(model, PeftModel) else model
        self.tokenizer = tokenizer
        self.adapters = adapters
        self.context_length = context_length
        self.device = next(self.lm.parameters()).device
        self._n_tokens = self.lm.config.get_text_config().vocab_size
        self._n_parameters = self.lm.num_parameters()
        self._n_threads = torch.get_num_threads()
        if self.device.type == "cpu":
            _lay_out_for_cpu(self.lm)
        self._lock = threading.Lock()  # of the model
        self._prefixes_lock = threading.Lock()
        self._prefixes = PrefixCache(prefix_cache_bytes)
        adapted = (BaseTunerLayer, AuxiliaryTrainingWrapper)
        self._switches = [module for module in self.lm.modules() if isinstance(module, adapted)]
        self._selected = object()  # no adapter yet
        self._keeps_rows = "logits_to_keep" in inspect.signature(self.lm.forward).parameters
        self.lm.set_attn_implementation(SIDE_BY_SIDE)
        self._spans = AdapterSpans(self._switches)
        self._batcher = Batcher(self._run)
        self.request = self._batcher.request

    def adapter_of(self, name: str | None) -> str | None:
        """The adapter served as ``name``; the first one where a request names none."""
        if name is None:
            return next(iter(self.adapters.values()))
        if name not in self.adapters:
            text = f'no model "{name}" here, this worker serves {", ".join(self.adapters)}'
            raise RequestError(ErrorCode.INVALID_MODEL, text)
        return self.adapters[name]

    def encode_prompt(self, prompt: str) -> list[int]:
        """Token ids of a prompt that leaves room for at least one new token, else RequestError."""
        ids = self.tokenizer(prompt).input_ids
        if not ids:
            raise RequestError(ErrorCode.VALIDATION_TYPE_ERROR, "the prompt is empty")
        self.check_known(ids)
        self.check_fits(len(ids) + 1, "the prompt and one new token")
        return ids

    def check_known(self, ids: list[int]) -> None:
        """RequestError for a token that the model has no row for: on a GPU it would end the worker."""
        if max(ids) >= self._n_tokens:
            text = f"token {max(ids)} is not among the model's {self._n_tokens} tokens"
            raise RequestError(ErrorCode.VALIDATION_TYPE_ERROR, text)

    def check_fits(self, n_tokens: int, what: str) -> None:
        """RequestError (CONTEXT_OVERFLOW) where ``n_tokens`` exceed the context; nothing is ever cut off."""
        if n_tokens > self.context_length:
            text = f"{what}: {n_tokens} tokens, the model's context length is {self.context_length}"
            raise RequestError(ErrorCode.CONTEXT_OVERFLOW, text)

    def take_prefix(self, adapter: str | None, ids: Sequence[int]) -> Prefix:
        """The longest part of ``ids`` already read, to be extended and given back with ``keep_prefix``."""
        with self._prefixes_lock, torch.inference_mode():
            return self._prefixes.take(adapter, ids)

    def keep_prefix(self, prefix: Prefix) -> None:
        with self._prefixes_lock:
            self._prefixes.put(prefix)

    def extend(
        self,
        prefix: Prefix,
        ids: list[int],
        rows: list[int] | None = None,
        positions: list[int] | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Read ``ids`` after ``prefix`` (which grows); logits [n_rows, vocabulary] in the model's dtype.

        ``rows``: places in ``ids``, the last one by default. ``positions`` and ``mask`` [n_ids, all] (True
        where a token may look) are those of a plain continuation by default. Waits for a pass with room.
        """
        known = len(prefix.ids)
        logits = self._batcher.submit(Call(
            prefix, ids, positions or list(range(known, known + len(ids))), rows or [len(ids) - 1], mask
        ))
        prefix.ids.extend(ids)
        return logits

    def _run(self, calls: list[Call]) -> None:
        """One pass for all ``calls``, or one for each adapter where its layers cannot be mixed."""
        if self._spans.possible:
            with self._lock, torch.inference_mode():
                states = States(calls)
                with self._spans.apply(states):
                    self._pass(states)
            return
        for adapter in dict.fromkeys(call.prefix.adapter for call in calls):
            with self._lock, torch.inference_mode():
                self._select(adapter)
                self._pass(States([call for call in calls if call.prefix.adapter == adapter]))

    def _pass(self, states: States) -> None:
        wanted = [start + row for call, (start, _) in zip(states.calls, states.spans) for row in call.rows]
        rows = torch.tensor(wanted, device=self.device)
        self._set_threads(states.spans[-1][1])
        logits = self.lm(
            input_ids=torch.tensor([[i for call in states.calls for i in call.ids]], device=self.device),
            position_ids=torch.tensor([[p for call in states.calls for p in call.positions]], device=self.device),
            past_key_values=states,
            use_cache=True,
            **({"logits_to_keep": rows} if self._keeps_rows else {}),
        ).logits[0]
        if not self._keeps_rows:
            logits = logits[rows]
        for call, part in zip(states.calls, logits.split([len(call.rows) for call in states.calls])):
            call.answer.set_result(part)

    def forward(self, adapter: str | None, body_only: bool = False, **model_kwargs):
        """One call of the model (``body_only``: without its vocabulary head) under ``adapter``."""
        with self._lock, torch.inference_mode():
            self._select(adapter)
            self._set_threads(model_kwargs["input_ids"].numel())
            return (self.lm.base_model if body_only else self.lm)(**model_kwargs)

    def stock_stream(self, adapter: str | None, stream):
        """Iterate over one of FastChat's own generators: ``adapter`` is selected for each of its steps."""
        while True:
            with self._lock:
                self._select(adapter)
                output = next(stream, None)
            if output is None:
                return
            yield output

    def _set_threads(self, n_tokens: int) -> None:
        """Before each pass: the number holds for the whole process, whichever pass set it last."""
        if self.device.type == "cpu":
            work = self._n_parameters * n_tokens
            torch.set_num_threads(self._n_threads if work > _WORTH_THREADS else 1)

    def _select(self, adapter):
        if adapter == self._selected:
            return
        for module in self._switches:
            # a layer that only other adapters have (modules_to_save) is the base's under this one
            has = adapter in module._get_available_adapters()
            module.enable_adapters(has)
            if has:
                module.set_adapter(adapter)
        self._selected = adapter


def _lay_out_for_cpu(model):
    """Store wide weights column by column, their shape unchanged.

    One-token steps are bound by reading weights; a wide matrix times one vector then runs 1.2 (in cache) to
    2.4 times as fast (measured, float32, MKL), and longer inputs as before.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module.out_features > module.in_features >= 64:
            module.weight.data = module.weight.data.t().contiguous().t()
