"""SFT conversations (sharegpt) for the agent model, the world model and the experienced agent.

They are the very dialogues that evaluation holds, so each instruction comes from the file that evaluation
reads and replaces the one that a trajectory brings along.
"""

import re
from pathlib import Path

from eval_agent.config import read_instruction
from eval_agent.errors import InputError
from eval_agent.knowledge.records import (
    checked_steps,
    expert_of,
    known_steps,
    one_line,
    required_task_knowledge,
    turn_index,
)
from eval_agent.trajectory import ACTION, OBSERVATION, Step, action_of

INSTRUCTIONS = Path(__file__).resolve().parent / "prompt" / "instructions"
_ROLES = {"agent_model": "agent", "experienced_agent": "agent", "world_model": "world_model"}
MODES = tuple(_ROLES)


def make_conversations(records: list[dict], task: str, mode: str, source: str) -> list[dict]:
    """One ``{"id" | "game_file", "conversations"}`` per pair (its chosen side) or bare trajectory.

    Raises InputError for an unknown task or mode, and naming file, record and field where something that
    ``mode`` needs is missing.
    """
    instruction = _instruction(task, mode)
    return [
        _record(record, mode, instruction, f"{source}: record {index}")
        for index, record in enumerate(records)
    ]


def agent_turns(steps: list[Step], task_knowledge: str | None) -> list[str]:
    """The agent's dialogue from the task on: u and kappa, then its replies and what it observes (Eq. 6-7)."""
    task = task_text(steps[0].observation)
    turns = [f"{task}\n{task_knowledge}" if task_knowledge else task, steps[0].reply]
    for step in steps[1:]:
        turns += [OBSERVATION + step.observation, step.reply]
    return turns


def world_model_turns(steps: list[Step], task_knowledge: str) -> list[str]:
    """The world model's turns from the task on: u, kappa, then each step and state knowledge (Eq. 8-10)."""
    turns = [task_text(steps[0].observation), task_knowledge]
    for before, step in zip(steps, steps[1:]):
        turns += [f"{before.reply}\n{OBSERVATION}{step.observation}", one_line(step.state_knowledge)]
    return turns


def task_text(observation: str) -> str:
    """The task as evaluation words it: blank lines gone."""
    return re.sub(r"\s*\n\s*", "\n", observation.strip())


def _instruction(task: str, mode: str) -> str:
    if mode not in _ROLES:
        raise InputError(f'unknown mode "{mode}", expected one of {", ".join(MODES)}')
    path = INSTRUCTIONS / f"{task}_{_ROLES[mode]}.txt"
    if not path.is_file():
        known = sorted(file.name.removesuffix("_agent.txt") for file in INSTRUCTIONS.glob("*_agent.txt"))
        raise InputError(f'unknown task "{task}", expected one of {", ".join(known)}')
    return read_instruction(str(path))


def _record(record: dict, mode: str, instruction: str, where: str) -> dict:
    trajectory, place = expert_of(record, where)
    turns = [instruction, "OK", *_turns(record, trajectory, mode, where, place)]
    conversations = [{"from": "gpt" if i % 2 else "human", "value": turn} for i, turn in enumerate(turns)]
    kept = {key: trajectory[key] for key in ("id", "game_file") if key in trajectory}
    return {**kept, "conversations": conversations}


def _turns(record: dict, trajectory: dict, mode: str, where: str, place: str) -> list[str]:
    if mode == "experienced_agent":
        return agent_turns(_react_steps(trajectory, place), None)
    knowledge = required_task_knowledge(record, trajectory, where)
    if mode == "agent_model":
        return agent_turns(_react_steps(trajectory, place), knowledge)
    known_steps(trajectory, 1, place)
    return world_model_turns(_react_steps(trajectory, place), knowledge)


def _react_steps(trajectory: dict, where: str) -> list[Step]:
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
