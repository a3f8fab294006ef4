"""A trajectory as the agent's dialogue: instruction, "OK", task, then replies and observations by turns."""

import re
from pathlib import Path

from eval_agent.config import read_instruction
from eval_agent.errors import InputError
from eval_agent.trajectories.format import (
    IDENTITIES,
    OBSERVATION,
    Step,
    acknowledgement,
    action_verb,
    checked_steps,
    learnt,
    turn_index,
)
from eval_agent.trajectories.reply import ACTION, action_of

INSTRUCTIONS = Path(__file__).resolve().parents[1] / "prompt" / "instructions"


def instruction(task: str, role: str) -> str:
    """The instruction of ``role`` ("agent", "world_model", a baseline's) in ``task``. Raises InputError."""
    path = INSTRUCTIONS / f"{task}_{role}.txt"
    if not path.is_file():
        known = sorted(file.name.removesuffix("_agent.txt") for file in INSTRUCTIONS.glob("*_agent.txt"))
        raise InputError(f'unknown task "{task}", expected one of {", ".join(known)}')
    return read_instruction(str(path))


def dialogue(opening: str, turns: list[str], trajectory: dict) -> dict:
    """``{"id" | "game_file" | "item_id", "conversations"}``: instruction and "OK", then ``turns`` from the task on."""
    kept = {key: trajectory[key] for key in IDENTITIES if key in trajectory}
    return {**kept, "conversations": sharegpt([opening, "OK", *turns])}


def agent_dialogue(opening: str, turns: list[str], steps: list[Step], trajectory: dict) -> dict:
    """:func:`dialogue` whose replies are those of ``steps``: what the trajectory says not to learn is marked so here."""
    made = dialogue(opening, turns, trajectory)
    answered = acknowledgement(trajectory["conversations"])
    unlearnt = [answered is not None and not learnt(answered), *(not step.learnt for step in steps)]
    mark_unlearnt(made["conversations"][1::2], unlearnt)
    return made


def mark_unlearnt(replies: list[dict], unlearnt: list[bool]) -> None:
    """``"loss": false`` on those of the gpt turns that are not to be learnt."""
    for reply, no_loss in zip(replies, unlearnt, strict=True):
        if no_loss:
            reply["loss"] = False


def sharegpt(turns: list[str], first: int = 0) -> list[dict]:
    """Turns of a conversation, human and gpt alternating; ``first`` 1 begins with gpt."""
    return [{"from": ("human", "gpt")[(i + first) % 2], "value": turn} for i, turn in enumerate(turns)]


def agent_turns(steps: list[Step], task_knowledge: str | None) -> list[str]:
    """The agent's dialogue from the task on: u and kappa, then its replies and what it observes (Eq. 6-7)."""
    turns = [shown(task_text(steps[0].observation), task_knowledge), steps[0].reply]
    for step in steps[1:]:
        turns += [OBSERVATION + step.observation, step.reply]
    return turns


def shown(content: str, *additions: str | None) -> str:
    """A human turn of the agent: what is seen, then on a line each what is added (knowledge, path), if any."""
    return "\n".join([content, *filter(None, additions)])


def action_path(actions: list[str]) -> str:
    """KnowAgent's line with the kinds of actions taken so far: "Action Path: start -> go -> take"."""
    return "Action Path: " + " -> ".join(["start", *map(action_verb, actions)])


def task_text(observation: str) -> str:
    """The task as evaluation words it: blank lines gone."""
    return re.sub(r"\s*\n\s*", "\n", observation.strip())


def react_steps(trajectory: dict, where: str) -> list[Step]:
    """The answered steps. Raises InputError for a reply without "Action:": evaluation shows ReAct turns."""
    steps = checked_steps(trajectory, where)
    for number, step in enumerate(steps):
        if action_of(step.reply) is None:
            turn = turn_index(trajectory, number, where) + 1
            raise InputError(
                f'{where}: conversations[{turn}].value has no "{ACTION}", expected "Thought: ...", '
                f'new line, "{ACTION} ..."'
            )
    return steps
