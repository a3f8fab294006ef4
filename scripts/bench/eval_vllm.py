"""The same loop over vLLM, for scripts/bench/eval.py: its server, its steps per second, and whether it says the same."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eval_agent.agents.openai import OpenAIAgent
from eval_agent.connection import ConnectionFault
from eval_agent.progress import tqdm
from eval_agent.serve.loading import plan_models
from eval_agent.serve.status import missing_at_endpoint
from eval_agent.serve.vllm_arguments import vllm_arguments


def bench_vllm(
    python: str, adapters: dict[str, Path], recipe: str, device: str, port: int, make_loop: Callable,
    episodes: list[dict], alone: list[dict], together: list[dict],
) -> dict:
    """``alone`` and ``together`` are our results of the first episodes and of all; ``make_loop`` takes what makes agents."""
    with server(python, adapters, device, port) as api_base:
        loop = make_loop(lambda name: OpenAIAgent(name, api_base, recipe))
        loop.run([{**episodes[0], "task": "Your task is to: warm up."}])
        results, one = zip(*(loop.run([episode]) for episode in tqdm(episodes[: len(alone)], desc="vLLM, one at a time")))
        many, many_rate = loop.run(episodes)
    pairs = list(zip([*alone, *together], [*(result for (result,) in results), *many]))
    return {
        "steps_per_s_vllm_1": round(statistics.mean(one), 3), f"steps_per_s_vllm_{len(episodes)}": round(many_rate, 3),
        "same_texts": f"{sum(a['conversations'] == b['conversations'] for a, b in pairs)} of {len(pairs)}",
        "max_dp": max(_difference(a, b) for a, b in pairs),
    }


@contextmanager
def server(python: str, adapters: dict[str, Path], device: str, port: int) -> Iterator[str]:
    """vLLM with all adapters, until the block's end; gives its address."""
    models = plan_models([str(path) for path in adapters.values()], [[name] for name in adapters])
    log = next(iter(adapters.values())).parents[1] / "vllm.log"
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port),
               *vllm_arguments(models, device)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "VLLM_NO_USAGE_STATS": "1"})
    try:
        api_base = f"http://127.0.0.1:{port}/v1"
        while not _serves(api_base, list(adapters)):
            assert process.poll() is None, f"vLLM ended: {log.read_text()[-3000:]}"
            time.sleep(1)
        yield api_base
    finally:
        process.terminate()  # its own processes end with it
        process.wait()


def _serves(api_base: str, names: list[str]) -> bool:
    try:
        return not missing_at_endpoint(api_base, names)
    except ConnectionFault:
        return False


def _difference(mine: dict, other: dict) -> float:
    pairs = [(a["p_agent"], b["p_agent"]) for a, b in zip(mine["decisions"], other["decisions"]) if a["p_agent"]]
    return max(abs(a[verb] - b[verb]) for a, b in pairs for verb in a)
