"""Two hand-written ALFWorld pairs, and a way to run an entry script's main as a user would."""

import sys

ROOM = (
    "You are in the middle of a room. Looking quickly around you, you see a cabinet 2, a cabinet 1, "
    "a countertop 1, a fridge 1, and a sinkbasin 1."
)
TASK = f"{ROOM}\n\nYour task is to: put a clean mug in cabinet."
OTHER_TASK = f"{ROOM}\n\nYour task is to: put a apple in fridge."


def trajectory(task: str, *steps: tuple[str, str], name: str = "game") -> dict:
    """A bare trajectory of (action, observation) steps with a thought each."""
    conversations = [{"from": "human", "value": task}]
    for action, observation in steps:
        conversations.append({"from": "gpt", "value": f"Thought: next is {action}.\nAction: {action}"})
        conversations.append({"from": "human", "value": f"Observation: {observation}"})
    return {"id": name, "conversations": conversations}


def make_pairs() -> list[dict]:
    clean_mug = trajectory(
        TASK,
        ("go to countertop 1", "On the countertop 1, you see a mug 1, and a knife 2."),
        ("take mug 1 from countertop 1", "You pick up the mug 1 from the countertop 1."),
        ("go to sinkbasin 1", "On the sinkbasin 1, you see nothing."),
        ("clean mug 1 with sinkbasin 1", "You clean the mug 1 using the sinkbasin 1."),
        ("go to cabinet 1", "The cabinet 1 is closed."),
        ("open cabinet 1", "You open the cabinet 1. The cabinet 1 is open. In it, you see nothing."),
        ("put mug 1 in/on cabinet 1", "You put the mug 1 in/on the cabinet 1."),
        name="mug",
    )
    apple = trajectory(
        OTHER_TASK,
        ("go to countertop 1", "On the countertop 1, you see a apple 3."),
        ("take apple 3 from countertop 1", "You pick up the apple 3 from the countertop 1."),
        ("go to fridge 1", "The fridge 1 is closed."),
        ("open fridge 1", "You open the fridge 1. The fridge 1 is open. In it, you see nothing."),
        ("put apple 3 in/on fridge 1", "You put the apple 3 in/on the fridge 1."),
        name="apple",
    )
    return [
        {"chosen": clean_mug, "rejected": _lost(TASK, "mug"), "split": "train"},
        {"chosen": apple, "rejected": _lost(OTHER_TASK, "apple")},
    ]


def _lost(task: str, name: str) -> dict:
    return trajectory(
        task,
        ("go to cabinet 2", "The cabinet 2 is closed."),
        ("take mug 1 from cabinet 2", "Nothing happens."),
        ("go to fridge 1", "The fridge 1 is closed."),
        name=name,
    )


def answered_turns(pair: dict) -> list[dict]:
    """The human turns of chosen that an action answers."""
    turns = pair["chosen"]["conversations"]
    return [turn for turn, answer in zip(turns[::2], turns[1::2])]


def run_main(module, monkeypatch, *arguments) -> int:
    """Run ``module.main`` with these command line arguments and give its exit code."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    try:
        return module.main() or 0
    except SystemExit as end:
        return end.code
