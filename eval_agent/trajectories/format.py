"""The trajectory and pair formats (design.md, Formats): checking, normalising, taking apart.

A trajectory is ``{"id" | "game_file", "conversations": [{"from": "human" | "gpt", "value": str}, ...]}``.
In ETO's form turn 0 is the instruction, turn 1 "OK", turn 2 the task; the bare form starts with the task. A record
is a pair ``{"chosen": trajectory, "rejected": trajectory}`` or a bare expert trajectory.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from eval_agent.errors import InputError

OBSERVATION = "Observation: "
ACTION = "Action:"
_ACKNOWLEDGED = re.compile(r"^\W*ok(ay)?\W*$", re.IGNORECASE)
_WELCOME = re.compile(r"^-= .* =-\s*")
_OBSERVED = re.compile(r"^\s*Observation:\s")  # a line break behind it in WebShop's published trajectories
_PUNCTUATION = ".!?,;:"
_QUOTES = ('""', "''", "“”", "‘’")


@dataclass(frozen=True)
class Step:
    """One decision: what was seen, and what was answered to it."""

    observation: str  # human turn without "Observation:"; the task itself at step 0
    reply: str  # gpt turn as it stands: "Thought: ...\nAction: ..." or the bare action
    action: str
    state_knowledge: str | None  # of the human turn, None where it has none


def action_of(reply: str, lower_case: bool = False) -> str | None:
    """The action in a model's reply: the first line after "Action:", as the release takes it; None where there is none.

    Punctuation at its end goes, and so do quotes, backticks and asterisks around it; ``lower_case`` is the task's
    rule (ALFWorld's)::

        "Thought: I go there.\nAction: Go to shelf 1."  ->  "Go to shelf 1", lower-cased "go to shelf 1"
        "Action: `search[red mug]`"                     ->  "search[red mug]"
    """
    _, found, rest = reply.partition(ACTION)
    if not found or not rest.strip():
        return None
    action = _bare(rest.strip().splitlines()[0])
    return (action.lower() if lower_case else action) or None


def _bare(text: str) -> str:
    """``text`` without what models put around an action, however it is nested: **"look".**"""
    bare = text.strip().rstrip(_PUNCTUATION).strip("`*")
    if len(bare) > 1 and bare[0] + bare[-1] in _QUOTES:
        bare = bare[1:-1]
    return bare if bare == text else _bare(bare)


def first_action_only(reply: str) -> str:
    """``reply`` up to the end of its first action line: what follows was not asked for."""
    before, found, after = reply.strip().partition(ACTION)
    return before + found + (" " + after.strip().splitlines()[0].strip() if after.strip() else "")


def action_verb(action: str) -> str:
    """First word of an action, "click" of WebShop's "click[Buy Now]"; "" for an empty one."""
    words = action.split("[", 1)[0].split()
    return words[0] if words else ""


def record_key(trajectory: dict, where: str) -> str:
    """What identifies a trajectory's task: ``split-independent folder/trial`` of a game file, or the id.

    Raises InputError where neither "game_file" nor "id" is given.
    """
    if "game_file" in trajectory:
        path = PurePosixPath(trajectory["game_file"])
        parts = (path.parent if path.suffix else path).parts
        return "/".join(parts[-2:])
    if "id" in trajectory:
        return str(trajectory["id"])
    raise InputError(f'{where}: has neither "game_file" nor "id"')


def check_conversations(trajectory: dict, where: str) -> list[dict]:
    """The turns of a trajectory: human first, then alternating. Raises InputError naming the turn."""
    turns = trajectory.get("conversations")
    if not isinstance(turns, list) or not turns:
        raise InputError(f'{where}: field "conversations" is missing or empty, expected a list of turns')
    for index, turn in enumerate(turns):
        expected = "gpt" if index % 2 else "human"
        if not isinstance(turn, dict) or turn.get("from") != expected:
            raise InputError(f'{where}: conversations[{index}].from is not "{expected}" (turns alternate)')
        if not isinstance(turn.get("value"), str):
            raise InputError(f"{where}: conversations[{index}].value is not a string")
    return turns


def task_turns(trajectory: dict, where: str) -> list[dict]:
    """The turns from the task on: the instruction and its "OK" are dropped where they stand."""
    turns = check_conversations(trajectory, where)
    if len(turns) > 2 and _ACKNOWLEDGED.match(turns[1]["value"]):
        turns = turns[2:]
    return turns


def steps_of(trajectory: dict, where: str) -> list[Step]:
    """The answered steps of a trajectory (an unanswered last observation is left out).

    Raises InputError for a malformed trajectory or one without any answer.
    """
    turns = task_turns(trajectory, where)
    if len(turns) < 2:
        raise InputError(f"{where}: no answered turn after the task")
    return [_step(human, gpt) for human, gpt in zip(turns[::2], turns[1::2])]


def _step(human: dict, gpt: dict) -> Step:
    reply = gpt["value"].strip()
    observation = _WELCOME.sub("", _OBSERVED.sub("", human["value"]).strip())
    knowledge = human.get("state_knowledge")
    return Step(observation, reply, action_of(reply) or reply.splitlines()[-1] if reply else "", knowledge)


def pair_member(pair: dict, name: str, where: str) -> dict:
    """``pair[name]`` ("chosen" or "rejected"), checked to be an object."""
    member = pair.get(name)
    if not isinstance(member, dict):
        raise InputError(f'{where}: field "{name}" is missing, expected a trajectory')
    return member


def task_knowledge_of(record: dict) -> str | None:
    """Task knowledge of a pair or trajectory; the published misspelling is read too."""
    return record.get("task_knowledge") or record.get("task_knowledege")


def expert_of(record: dict, where: str) -> tuple[dict, str]:
    """(trajectory, its place for messages): a pair's chosen one, or the record that is itself one."""
    if "conversations" in record:
        return record, where
    return pair_member(record, "chosen", where), f"{where}: chosen"


def turn_index(trajectory: dict, step: int, where: str) -> int:
    """Index in "conversations" of the human turn that ``step`` answers."""
    return len(trajectory["conversations"]) - len(task_turns(trajectory, where)) + 2 * step


def known_steps(trajectory: dict, first: int, where: str) -> list[Step]:
    """The answered steps, checked to have an action each and state knowledge from step ``first`` on.

    Raises InputError naming the turn without.
    """
    steps = checked_steps(trajectory, where)
    for number, step in enumerate(steps[first:], first):
        if not (isinstance(step.state_knowledge, str) and step.state_knowledge.strip()):
            turn = turn_index(trajectory, number, where)
            raise InputError(
                f"{where}: conversations[{turn}].state_knowledge is missing; "
                "make it with world_knowledge_build.py --gen state_knowledge"
            )
    return steps


def checked_steps(trajectory: dict, where: str) -> list[Step]:
    """The answered steps, none of them without an action. Raises InputError naming the empty turn."""
    steps = steps_of(trajectory, where)
    for number, step in enumerate(steps):
        if not step.action:
            turn = turn_index(trajectory, number, where) + 1
            raise InputError(
                f"{where}: conversations[{turn}].value is empty, expected a thought and an action"
            )
    return steps


def required_task_knowledge(record: dict, trajectory: dict, where: str) -> str:
    """Task knowledge of a pair or of its trajectory. Raises InputError where neither has it."""
    knowledge = task_knowledge_of(record) or task_knowledge_of(trajectory)
    if not isinstance(knowledge, str) or not knowledge.strip():
        raise InputError(
            f"{where}: task_knowledge is missing; make it with world_knowledge_build.py --gen task_knowledge"
        )
    return one_line(knowledge)


def one_line(text: str) -> str:
    """``text`` with every run of white space as one space."""
    return " ".join(text.split())
