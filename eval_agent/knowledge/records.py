"""What the knowledge steps read of a record: a (chosen, rejected) pair or a bare expert trajectory."""

from eval_agent.errors import InputError
from eval_agent.trajectory import Step, pair_member, steps_of, task_knowledge_of, task_turns


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
