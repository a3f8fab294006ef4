"""Training records (sharegpt) for each kind of model; the baselines' are made in eval_agent.baseline_data.

They are the very dialogues that evaluation holds, so each instruction comes from the file that evaluation
reads and replaces the one that a trajectory brings along.
"""

from eval_agent.baseline_data import eto_records, knowagent_record, nat_records
from eval_agent.dialogues import agent_turns, dialogue, instruction, react_steps, shown, task_text
from eval_agent.errors import InputError
from eval_agent.knowledge.records import expert_of, known_steps, one_line, required_task_knowledge
from eval_agent.trajectory import OBSERVATION, Step

_ROLES = {
    "agent_model": "agent",
    "experienced_agent": "agent",
    "explicit_state": "agent",
    "world_model": "world_model",
}
MODES = (*_ROLES, "nat", "knowagent", "eto")


def make_conversations(records: list[dict], task: str, mode: str, source: str) -> list[dict]:
    """The training records that ``mode`` makes of pairs or bare trajectories.

    ``{"id" | "game_file", "conversations"}``, one per record (its chosen side), for all modes but two:
    ``nat`` has another for each rejected trajectory, ``eto`` has pairs, ``{..., "conversations", "chosen",
    "rejected"}``. Both leave out what is no worse than the expert. Raises InputError for an unknown task or
    mode, and naming file, record and field where something that ``mode`` needs is missing.
    """
    if mode not in MODES:
        raise InputError(f'unknown mode "{mode}", expected one of {", ".join(MODES)}')
    made = []
    for index, record in enumerate(records):
        made += _make(record, task, mode, f"{source}: record {index}")
    if not made:
        raise InputError(
            f"{source}: no rejected trajectory earned less than the expert's, nothing for mode {mode}"
        )
    return made


def _make(record: dict, task: str, mode: str, where: str) -> list[dict]:
    if mode == "nat":
        return nat_records(record, task, where)
    if mode == "knowagent":
        return [knowagent_record(record, task, where)]
    if mode == "eto":
        return eto_records(record, task, where)
    return [_record(record, mode, instruction(task, _ROLES[mode]), where)]


def world_model_turns(steps: list[Step], task_knowledge: str) -> list[str]:
    """The world model's turns from the task on: u, kappa, then each step and state knowledge (Eq. 8-10)."""
    turns = [task_text(steps[0].observation), task_knowledge]
    for before, step in zip(steps, steps[1:]):
        turns += [f"{before.reply}\n{OBSERVATION}{step.observation}", one_line(step.state_knowledge)]
    return turns


def explicit_state_turns(steps: list[Step], task_knowledge: str) -> list[str]:
    """The agent's dialogue with state knowledge after each observation (Figure 6's ablation)."""
    turns = agent_turns(steps, task_knowledge)
    for number, step in enumerate(steps[1:], 1):
        turns[2 * number] = shown(turns[2 * number], one_line(step.state_knowledge))
    return turns


def _record(record: dict, mode: str, opening: str, where: str) -> dict:
    trajectory, place = expert_of(record, where)
    made = dialogue(opening, _turns(record, trajectory, mode, where, place), trajectory)
    if mode == "world_model":
        made["conversations"][1]["loss"] = False  # its "OK" is no knowledge
    return made


def _turns(record: dict, trajectory: dict, mode: str, where: str, place: str) -> list[str]:
    if mode == "experienced_agent":
        return agent_turns(react_steps(trajectory, place), None)
    knowledge = required_task_knowledge(record, trajectory, where)
    if mode == "agent_model":
        return agent_turns(react_steps(trajectory, place), knowledge)
    known_steps(trajectory, 1, place)
    turns = explicit_state_turns if mode == "explicit_state" else world_model_turns
    return turns(react_steps(trajectory, place), knowledge)
