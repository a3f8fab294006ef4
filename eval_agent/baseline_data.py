"""Training data of the baselines that learn: NAT, KnowAgent and ETO (paper, Section 4 and Appendix)."""

from eval_agent.dialogues import (
    action_path,
    agent_turns,
    dialogue,
    instruction,
    react_steps,
    sharegpt,
    shown,
)
from eval_agent.knowledge.records import checked_steps, expert_of
from eval_agent.trajectory import pair_member


def nat_records(pair: dict, task: str, where: str) -> list[dict]:
    """NAT: the expert's trajectory under the positive instruction, a failed one under the negative.

    Both are learnt. Evaluation gives the positive instruction, ``{task}_nat_positive.txt``.
    """
    trajectory, place = expert_of(pair, where)
    turns = agent_turns(react_steps(trajectory, place), None)
    records = [dialogue(instruction(task, "nat_positive"), turns, trajectory)]
    if rejected_is_worse(pair, where):
        failed = pair["rejected"]
        turns = agent_turns(checked_steps(failed, f"{where}: rejected"), None)
        records.append(dialogue(instruction(task, "nat_negative"), turns, failed))
    return records


def knowagent_record(record: dict, task: str, where: str) -> dict:
    """KnowAgent: action knowledge in the instruction, the path of actions so far in each human turn."""
    trajectory, place = expert_of(record, where)
    steps = react_steps(trajectory, place)
    turns = agent_turns(steps, None)
    for number in range(len(steps)):
        turns[2 * number] = shown(turns[2 * number], action_path([step.action for step in steps[:number]]))
    return dialogue(instruction(task, "knowagent"), turns, trajectory)


def eto_records(pair: dict, task: str, where: str) -> list[dict]:
    """ETO: the prompt (instruction, "OK", task) and both ways to go on, where the expert's earned more."""
    if not rejected_is_worse(pair, where):
        return []
    chosen, place = expert_of(pair, where)
    task_turn, *good = agent_turns(react_steps(chosen, place), None)
    _, *bad = agent_turns(checked_steps(pair["rejected"], f"{where}: rejected"), None)
    prompt = dialogue(instruction(task, "agent"), [task_turn], chosen)
    return [{**prompt, "chosen": sharegpt(good, first=1), "rejected": sharegpt(bad, first=1)}]


def rejected_is_worse(pair: dict, where: str) -> bool:
    """Whether the rejected trajectory earned less; rewards that a published pair lacks count as 1 and 0."""
    chosen, rejected = (pair_member(pair, name, where) for name in ("chosen", "rejected"))
    return chosen.get("reward", 1.0) > rejected.get("reward", 0.0)
