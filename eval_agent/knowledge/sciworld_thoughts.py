"""Rule-written ReAct thoughts for expert actions of ScienceWorld: why this action, from what was seen so far."""


def thought(task: str, history: list[tuple[str, str]], action: str) -> str:
    return "x"
