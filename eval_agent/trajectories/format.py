"""The trajectory and pair formats (design.md, Formats): checking, normalising, taking apart.

A trajectory is ``{"id" | "game_file", "conversations": [{"from": "human" | "gpt", "value": str}, ...]}``.
In ETO's form turn 0 is the instruction, turn 1 acknowledges it ("OK"), turn 2 is the task; the bare form starts with the
task. A record is a pair ``{"chosen": trajectory, "rejected": trajectory}`` or a bare expert trajectory. As in AgentInstruct
a gpt turn may say ``"loss": false``: not to be learnt; null is as absent.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from eval_agent.errors import InputError, warn
from eval_agent.trajectories.reply import action_of

OBSERVATION = "Observation: "
IDENTITIES = ("id", "game_file", "item_id")  # what names a trajectory's task; item_id is AgentGym's
# the fields of the formats: what a step of the data's way may leave aside without a word, as it is there for another one
RECORD_FIELDS = {"chosen", "rejected", "task_knowledge", "task_knowledege", "conversations", "reward", *IDENTITIES}
TURN_FIELDS = {"from", "value", "loss", "state_knowledge"}
_ONLY_OK = re.compile(r"^\W*ok(ay)?\W*$", re.IGNORECASE)
_NAMES_THE_TASK = re.compile(r"\byour task is\b|^(task|instruction)\b", re.IGNORECASE | re.MULTILINE)
_WELCOME = re.compile(r"^-= .* =-\s*")


@dataclass(frozen=True)
class Step:
    """One decision: what was seen, and what was answered to it."""

    observation: str  # human turn without "Observation: "; the task itself at step 0
    reply: str  # gpt turn as it stands: "Thought: ...\nAction: ..." or the bare action
    action: str
    state_knowledge: str | None  # of the human turn, None where it has none
    learnt: bool = True  # False where the gpt turn says "loss": false


def action_verb(action: str) -> str:
    """First word of an action, "click" of WebShop's "click[Buy Now]"; "" for an empty one."""
    words = action.split("[", 1)[0].split()
    return words[0] if words else ""


def record_key(trajectory: dict, where: str) -> str:
    """What identifies a trajectory's task: ``split-independent folder/trial`` of a game file, or the id.

    Raises InputError where neither "game_file" nor "id" is given.
    """
    if isinstance(trajectory.get("game_file"), str):
        path = PurePosixPath(trajectory["game_file"])
        parts = (path.parent if path.suffix else path).parts
        return "/".join(parts[-2:])
    for name in ("id", "item_id"):
        if name in trajectory:
            return str(trajectory[name])
    raise InputError(f'{where}: has neither "game_file" nor "id"')


def check_conversations(trajectory: dict, where: str) -> list[dict]:
    """The turns of a trajectory: human first, then alternating. Raises InputError naming the turn."""
    turns = trajectory.get("conversations")
    if not isinstance(turns, list) or not turns:
        fault = "is missing" if "conversations" not in trajectory else "is empty" if turns == [] else "is no list"
        raise InputError(f'{where}: field "conversations" {fault}, expected a list of turns{looks_like(trajectory)}')
    for index, turn in enumerate(turns):
        expected = "gpt" if index % 2 else "human"
        if not isinstance(turn, dict) or turn.get("from") != expected:
            found = f"found {_short(turn.get('from'))}" if isinstance(turn, dict) and "from" in turn else "found none"
            raise InputError(f'{where}: conversations[{index}].from is not "{expected}" (turns alternate, human first), '
                             f"{found}{looks_like(trajectory)}")
        if not isinstance(turn.get("value"), str):
            raise InputError(f"{where}: conversations[{index}].value is not a string")
        _check_loss(turn, f"{where}: conversations[{index}]")
    return turns


def _check_loss(turn: dict, where: str) -> None:
    loss = turn.get("loss")
    if loss is not None and not isinstance(loss, bool):
        raise InputError(f"{where}.loss is not true or false")
    if loss and turn["from"] == "human":
        raise InputError(f"{where}.loss is true, but only gpt turns can be learnt")


def learnt(turn: dict) -> bool:
    """Whether a gpt turn is to be learnt: unless it says ``"loss": false``."""
    return turn.get("loss") is not False


def looks_like(record: dict) -> str:
    """"; this looks like OpenAI messages ..." for records of other formats that people have, "" for the rest."""
    turns = next((record[name] for name in ("messages", "conversations") if isinstance(record.get(name), list)), [])
    first = turns[0] if turns and isinstance(turns[0], dict) else {}
    ours = 'expected "conversations" of {"from": "human" | "gpt", "value": text}'
    if {"role", "content"} <= first.keys():
        return f"; this looks like OpenAI messages (role, content), {ours}"
    if first.get("from") == "system":
        return '; a system text stands in a field of the record that "columns": {"system": ...} of dataset_info.json names'
    if first.get("from") in ("user", "assistant"):
        return f'; this looks like ShareGPT with other role names ("{first["from"]}"), {ours}'
    if "conversations" in record:
        return ""
    if isinstance(record.get("chosen"), dict):
        return "; this looks like a pair (chosen, rejected), expected a trajectory"
    for what, fields in (("Alpaca", ("instruction", "output")), ("prompt and completion", ("prompt", "completion")),
                         ("a preference record", ("chosen", "rejected")), ("plain text", ("text",)),
                         ("a triplet of the state base", ("pre_action", "action"))):
        if record.keys() >= set(fields):
            return f"; this looks like {what} ({', '.join(fields)}), {ours}"
    return ""


def warn_of_unused(records: Iterable[dict], source: str, record_fields: set[str], turn_fields: set[str]) -> None:
    """One warning that names the fields of records and of their turns that are in neither set, with their counts."""
    unused = Counter()
    for record in records:
        sides = [record[name] for name in ("chosen", "rejected") if isinstance(record.get(name), dict)]
        for trajectory in [record, *sides]:
            unused.update(trajectory.keys() - record_fields)
            turns = trajectory.get("conversations")
            for turn in turns if isinstance(turns, list) else ():
                unused.update(f"conversations[].{name}" for name in turn.keys() - turn_fields)
    if unused:
        named = ", ".join(f"{name} ({count})" for name, count in sorted(unused.items()))
        warn(f"{source}: fields that are not used, with their counts: {named}")


def acknowledgement(turns: list[dict]) -> dict | None:
    """Turn 1 where it answers an instruction, not the task; None in a bare trajectory, which starts with the task.

    It is no action, so it counts by what stands around it, not by its words: turn 1 has no "Action:", turn 2 is not what
    an action brought about ("Observation: ..."), and of the turns 0 and 2 only the latter names the task ("Your task is
    to ..."); where that tells nothing, a later reply has an "Action:". An "OK" alone always is one::

        instruction | "OK. I'll follow your instructions ..." | task | "Thought: ... Action: go to desk 1"   -> turn 1
        task | "go to desk 1" | "Observation: On the desk 1 ..." | "take mug 1 from desk 1"                   -> None
        task | "Thought: ... Action: go to desk 1" | "On the desk 1 ..." | ...                                -> None
    """
    if len(turns) < 3 or action_of(turns[1]["value"]) is not None or turns[2]["value"].startswith(OBSERVATION.strip()):
        return None
    first, third = (bool(_NAMES_THE_TASK.search(turns[place]["value"])) for place in (0, 2))
    acknowledged = third if first != third else any(action_of(turn["value"]) is not None for turn in turns[3::2])
    return turns[1] if acknowledged or _ONLY_OK.match(turns[1]["value"]) else None


def task_turns(trajectory: dict, where: str) -> list[dict]:
    """The turns from the task on, without an instruction and its :func:`acknowledgement`."""
    turns = check_conversations(trajectory, where)
    return turns if acknowledgement(turns) is None else turns[2:]


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
    observation = _WELCOME.sub("", human["value"].removeprefix(OBSERVATION).strip())
    knowledge = human.get("state_knowledge")
    action = action_of(reply) or reply.split("\n")[-1].strip() if reply else ""
    return Step(observation, reply, action, knowledge, learnt(gpt))


def _short(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def pair_member(pair: dict, name: str, where: str) -> dict:
    """``pair[name]`` ("chosen" or "rejected"), checked to be an object."""
    member = pair.get(name)
    if not isinstance(member, dict):
        fault = "is missing" if name not in pair else "is no object"
        raise InputError(f'{where}: field "{name}" {fault}, expected a trajectory{looks_like(pair)}')
    return member


def task_knowledge_of(record: dict) -> str | None:
    """Task knowledge of a pair or trajectory; the published misspelling is read too."""
    return record.get("task_knowledge") or record.get("task_knowledege")


def expert_of(record: dict, where: str) -> tuple[dict, str]:
    """(trajectory, its place for messages): a pair's chosen one, or the record that is itself one."""
    if "conversations" in record:
        return record, where
    if "chosen" not in record:
        raise InputError(f'{where}: has neither "conversations" nor "chosen", expected a trajectory or a pair'
                         f"{looks_like(record)}")
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
