"""Where the time of one decoding pass of our worker goes, for bench/eval.py."""

import time
from pathlib import Path

from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.serve.batching import Call
from eval_agent.serve.engine import Engine
from eval_agent.serve.loading import add_adapters, plan_models

_PASSES = 20
_KINDS = {"matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "gemm", "cutlass"),
          "attention": ("attention", "flash", "fmha")}


def profile_pass(adapters: list[Path], device: str, n_rows: int, n_known: int = 1000) -> dict[str, float]:
    """Milliseconds of a pass that adds a token to each of ``n_rows`` dialogues of ``n_known`` tokens, by kind.

    The adapters take turns. What is in no operator (on a GPU: in no kernel) is called Python.
    """
    models = plan_models([str(path) for path in adapters], [[path.name] for path in adapters])
    base = AutoModelForCausalLM.from_pretrained(models[0].base, dtype="auto").to(device)
    model, names = add_adapters(base, models)
    tokenizer = AutoTokenizer.from_pretrained(models[0].base)
    engine = Engine(model, tokenizer, names, 2 * n_known, prefix_cache_bytes=0)
    known = range(3, n_known + 3)
    prefixes = [engine.take_prefix(list(names.values())[row % len(names)], []) for row in range(n_rows)]
    for prefix in prefixes:
        engine.extend(prefix, list(known))

    def one_pass():
        calls = [Call(prefix, [3], [n_known], [0]) for prefix in prefixes]
        engine._run(calls)
        for call in calls:
            call.answer.result().argmax().item()
        for prefix in prefixes:
            prefix.ids.append(3)
            prefix.crop(n_known)

    one_pass()
    activity = ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU
    started = time.perf_counter()
    for _ in range(_PASSES):
        one_pass()
    whole = (time.perf_counter() - started) * 1000 / _PASSES
    with profile(activities=[activity]) as profiler:
        for _ in range(_PASSES):
            one_pass()
    return _by_kind(profiler.key_averages(), whole, device)


def _by_kind(events, whole: float, device: str) -> dict[str, float]:
    spent = dict.fromkeys((*_KINDS, "other operators"), 0.0)
    for event in events:
        kinds = [kind for kind, marks in _KINDS.items() if any(mark in event.key.lower() for mark in marks)]
        microseconds = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        spent[kinds[0] if kinds else "other operators"] += microseconds / 1000 / _PASSES
    spent["Python"] = max(0.0, whole - sum(spent.values()))
    return {kind: round(ms, 2) for kind, ms in {**spent, "whole": whole}.items()}
