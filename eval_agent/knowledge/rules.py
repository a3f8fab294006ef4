"""The offline "rules" synthesizer for ALFWorld: task knowledge and state knowledge read off trajectories.

It stands in for the language model of the paper where none is at hand. Deterministic; it knows ALFWorld's
wording and nothing else.
"""

from collections import Counter

from eval_agent.files import file_digest
from eval_agent.knowledge import household
from eval_agent.knowledge.household import APPLIANCES, TREATED, Goal, Household, type_of
from eval_agent.trajectory import Step

malformed = 0  # as of any synthesizer: answers to ask for again
_MOST_NAMED = 4  # checked places spelt out in state knowledge


def identity(gen: str) -> dict:
    """The rules as they are written now (see :class:`~eval_agent.knowledge.synthesis.Synthesizer`)."""
    return {"task": "alfworld", "rules": [file_digest(source) for source in (__file__, household.__file__)]}


def task_knowledge(chosen: list[Step], rejected: list[Step]) -> str:
    """Knowledge of one task from its expert (chosen) and explored (rejected) steps, on one line.

    Without ``rejected`` steps it warns of nothing. Raises InputError where the task is not worded as ALFWorld's.
    """
    house, found_at = _search(chosen)
    return compose_task_knowledge(house.goal, found_at, _wasted(house.goal, found_at, rejected) if rejected else [])


def _wasted(goal: Goal, found_at: dict[str, str], rejected: list[Step]) -> list[str]:
    """Types of places that the explored steps visited for nothing, that with the most such places first."""
    explored, rejected_found_at = _search(rejected)
    useful = {*found_at.values(), *rejected_found_at.values(), goal.target, APPLIANCES.get(goal.kind)}
    types = Counter(type_of(place) for place in explored.visited)
    return [place for place, _ in types.most_common() if place not in useful]


def compose_task_knowledge(goal: Goal, found_at: dict[str, str], wasted: list[str]) -> str:
    """``found_at``: wanted type -> receptacle type where it was; ``wasted``: receptacle types without it."""
    look = " and ".join(f"for a {wanted} at the {place}" for wanted, place in found_at.items())
    text = f"Task Knowledge: When you have to {goal.text}, you should first look {look or 'around'}."
    if wasted:
        text += f" You should not lose time at the {' and the '.join(wasted[:2])}."
    return f"{text} The action workflows are: {_workflow(goal)}"


def _workflow(goal: Goal) -> str:
    steps = [f"go to the places where a {goal.object} may be", f"take the {goal.object}"]
    if goal.kind == "examine":
        steps += [f"go to the {goal.target} with it", f"use the {goal.target}"]
    else:
        if goal.kind in APPLIANCES:
            steps.append(f"{goal.kind} it with the {APPLIANCES[goal.kind]}")
        steps += [f"go to the {goal.target}", f"put it in/on the {goal.target}"]
        if goal.kind == "two":
            steps.append(f"do the same with a second {goal.object}")
    return " ".join(f"{number}) {step}" for number, step in enumerate(steps, 1))


def _search(steps: list[Step]) -> tuple[Household, dict[str, str]]:
    """The start of the task, and for each wanted type the type of place where it was taken or used."""
    house, found_at = Household.at_start(steps[0].observation), {}
    for step, after in zip(steps, [*steps[1:], None]):
        verb, _, rest = step.action.partition(" ")
        name, _, place = rest.partition(" from ")
        if verb == "take" and type_of(name) == house.goal.object:
            found_at.setdefault(house.goal.object, type_of(place))
        if verb == "use" and type_of(rest) == house.goal.target and house.place:
            found_at.setdefault(house.goal.target, type_of(house.place))
        if after is not None:
            house.update(step.action, after.observation)
    return house, found_at


def state_knowledge(task: str, history: list[tuple[str, str]]) -> str:
    """What is known after ``history`` of (action, observation), on one line of at most some 80 words.

    Raises InputError where the task is not worded as ALFWorld's.
    """
    return state_knowledge_in(Household.after(task, history))


def state_knowledge_in(house: Household) -> str:
    """As :func:`state_knowledge`, from the state itself."""
    parts = [f"The task is to {house.goal.text}.", _where(house), _hand(house), *_progress(house)]
    if house.failed:
        parts.append(f"My last action was not possible: {_why_failed(house)}.")
    return "State Knowledge: " + " ".join(parts)


def _where(house: Household) -> str:
    if house.place is None:
        return "I am in the middle of the room."
    return f"I am at the {house.place}" + (", which is closed." if house.place in house.closed else ".")


def _hand(house: Household) -> str:
    if house.holding is None:
        return "I hold nothing."
    state = ""
    if house.holds_goal_object and house.goal.kind in APPLIANCES:
        treated = TREATED[house.goal.kind]
        state = f", not {treated} yet" if house.needs_treatment else f", which is {treated}"
    return f"I hold the {house.holding}{state}."


def _progress(house: Household) -> list[str]:
    parts = []
    if house.goal.kind == "two" and house.placed:
        parts.append(f"The {house.placed[0][0]} is placed in/on the {house.placed[0][1]}.")
    if house.wanted is None:
        return parts
    parts += [f"I need a {house.wanted}.", *house.read_out(house.wanted)]
    seen = house.find(house.wanted)
    if seen:
        name, place = seen[0]
        parts.append(f"I see the {name} here." if place == house.place else f"The {name} is at the {place}.")
    else:
        parts.append(f"None found yet. {_checked(house)}")
    return parts


def _checked(house: Household) -> str:
    checked = house.checked
    if not checked:
        return "I have checked nothing."
    named = ", ".join(checked[-_MOST_NAMED:])
    return f"I have checked {named}{' and more' if len(checked) > _MOST_NAMED else ''}."


def _why_failed(house: Household) -> str:
    verb, _, rest = house.failed.partition(" ")
    place = rest.removeprefix("to ").rpartition(" from ")[2].rpartition(" in/on ")[2].rpartition(" with ")[2]
    if verb == "go":
        if house.within_reach:
            return f"the {place} is within reach already"
        return f"I am at the {place} already" if place == house.place else f"there is no {place}"
    if verb == "take" and house.holding:
        return "I can hold only one object"
    if verb in ("put", *APPLIANCES) and not house.holding:
        return "I hold nothing"
    if place in house.receptacles and place != house.place:
        return f"I am not at the {place}"
    if place in house.closed:
        return f"the {place} is closed"
    return f"I cannot {verb} that here"
