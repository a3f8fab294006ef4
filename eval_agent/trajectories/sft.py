"""Training records (sharegpt) for each kind of model: WKM's two, the ablations', the baselines' (NAT, KnowAgent, ETO).

They are the very dialogues that evaluation holds, so each instruction comes from the file that evaluation
reads and replaces the one that a trajectory brings along. A reply that a trajectory marks with ``"loss": false`` keeps
that mark where it is learnt as a reply (by the agent; the world model reads it in a human turn).
"""

from eval_agent.errors import InputError
from eval_agent.trajectories.dialogue import (
    action_path,
    agent_dialogue,
    agent_turns,
    dialogue,
    instruction,
    mark_unlearnt,
    react_steps,
    sharegpt,
    shown,
    task_text,
)
from eval_agent.trajectories.format import (
    OBSERVATION,
    RECORD_FIELDS,
    TURN_FIELDS,
    Step,
    checked_steps,
    expert_of,
    known_steps,
    one_line,
    pair_member,
    required_task_knowledge,
    warn_of_unused,
)

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
    warn_of_unused(records, source, RECORD_FIELDS, TURN_FIELDS)
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
    steps, knowledge = react_steps(trajectory, place), None
    if mode != "experienced_agent":
        knowledge = required_task_knowledge(record, trajectory, where)
    if mode in ("explicit_state", "world_model"):
        known_steps(trajectory, 1, place)
    if mode == "world_model":
        made = dialogue(opening, world_model_turns(steps, knowledge), trajectory)
        made["conversations"][1]["loss"] = False  # its "OK" is no knowledge
        return made
    turns = explicit_state_turns if mode == "explicit_state" else agent_turns
    return agent_dialogue(opening, turns(steps, knowledge), steps, trajectory)


def nat_records(pair: dict, task: str, where: str) -> list[dict]:
    """NAT: the expert's trajectory under the positive instruction, a failed one under the negative.

    Both are learnt. Evaluation gives the positive instruction, ``{task}_nat_positive.txt``.
    """
    trajectory, place = expert_of(pair, where)
    steps = react_steps(trajectory, place)
    records = [agent_dialogue(instruction(task, "nat_positive"), agent_turns(steps, None), steps, trajectory)]
    if rejected_is_worse(pair, where):
        failed = pair["rejected"]
        steps = checked_steps(failed, f"{where}: rejected")
        records.append(agent_dialogue(instruction(task, "nat_negative"), agent_turns(steps, None), steps, failed))
    return records


def knowagent_record(record: dict, task: str, where: str) -> dict:
    """KnowAgent: action knowledge in the instruction, the path of actions so far in each human turn."""
    trajectory, place = expert_of(record, where)
    steps = react_steps(trajectory, place)
    turns = agent_turns(steps, None)
    for number in range(len(steps)):
        turns[2 * number] = shown(turns[2 * number], action_path([step.action for step in steps[:number]]))
    return agent_dialogue(instruction(task, "knowagent"), turns, steps, trajectory)


def eto_records(pair: dict, task: str, where: str) -> list[dict]:
    """ETO: the prompt (instruction, "OK", task) and both ways to go on, where the expert's earned more."""
    if not rejected_is_worse(pair, where):
        return []
    chosen, place = expert_of(pair, where)
    good = react_steps(chosen, place)
    bad = checked_steps(pair["rejected"], f"{where}: rejected")
    task_turn, *_ = agent_turns(good, None)
    prompt = dialogue(instruction(task, "agent"), [task_turn], chosen)
    return [{**prompt, "chosen": _replies(good), "rejected": _replies(bad)}]


def _replies(steps: list[Step]) -> list[dict]:
    turns = sharegpt(agent_turns(steps, None)[1:], first=1)
    mark_unlearnt(turns[::2], [not step.learnt for step in steps])
    return turns


def rejected_is_worse(pair: dict, where: str) -> bool:
    """Whether the rejected trajectory earned less; rewards that a published pair lacks count as 1 and 0."""
    chosen, rejected = (pair_member(pair, name, where) for name in ("chosen", "rejected"))
    return chosen.get("reward", 1.0) > rejected.get("reward", 0.0)
