"""Reflexion: what the agent writes about a failed trial before it tries the same task once more."""

from collections.abc import Callable

from eval_agent.agents.base import ContextOverflow

LEFT_OUT = "[...]"


def reflect(ask: Callable[[list[dict]], str], instruction: str, turns: list[str]) -> str | None:
    """The reflection, on one line, that ``ask`` gives for a trial's ``turns``, instruction and "OK" first.

    A trial too long for the model's context loses its first half, then half of the rest, until it fits; its
    task stays. None where not even the task fits, or nothing is written.
    """
    task, *turns = turns[2:]
    kept = len(turns)
    while True:
        told = turns[len(turns) - kept:]
        lines = [instruction, task, *([LEFT_OUT] if kept < len(turns) else []), *told]
        try:
            return " ".join(ask([{"role": "user", "content": "\n".join(lines)}]).split()) or None
        except ContextOverflow:
            if kept == 0:
                return None
            kept //= 2
