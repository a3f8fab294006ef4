"""The offline "rules" for ALFWorld: task knowledge, state knowledge and thoughts read off trajectories.

They stand in for the language model of the paper where none is at hand. Deterministic; they know ALFWorld's
wording and nothing else.
"""

from collections import Counter

from eval_agent.files import file_digest
from eval_agent.rules import alfworld_state
from eval_agent.rules.alfworld_state import APPLIANCES, TREATED, AlfWorldState, Goal, type_of
from eval_agent.trajectories.format import Step

malformed = 0  # as of any synthesizer: answers to ask for again
_MOST_NAMED = 4  # checked places spelt out in state knowledge


def identity(gen: str) -> dict:
    """The rules as they are written now (see :class:`~eval_agent.knowledge.synthesis.Synthesizer`)."""
    return {"task": "alfworld", "rules": [file_digest(source) for source in (__file__, alfworld_state.__file__)]}


def task_knowledge(chosen: list[Step], rejected: list[Step]) -> str:
    """Knowledge of one task from its expert (chosen) and explored (rejected) steps, on one line.

    Without ``rejected`` steps it warns of nothing. Raises InputError where the task is not worded as ALFWorld's.
    """
    state, found_at = _search(chosen)
    return compose_task_knowledge(state.goal, found_at, _wasted(state.goal, found_at, rejected) if rejected else [])


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


def _search(steps: list[Step]) -> tuple[AlfWorldState, dict[str, str]]:
    """The start of the task, and for each wanted type the type of place where it was taken or used."""
    state, found_at = AlfWorldState.at_start(steps[0].observation), {}
    for step, after in zip(steps, [*steps[1:], None]):
        verb, _, rest = step.action.partition(" ")
        name, _, place = rest.partition(" from ")
        if verb == "take" and type_of(name) == state.goal.object:
            found_at.setdefault(state.goal.object, type_of(place))
        if verb == "use" and type_of(rest) == state.goal.target and state.place:
            found_at.setdefault(state.goal.target, type_of(state.place))
        if after is not None:
            state.update(step.action, after.observation)
    return state, found_at


def state_knowledge(task: str, history: list[tuple[str, str]]) -> str:
    """What is known after ``history`` of (action, observation), on one line of at most some 80 words.

    Raises InputError where the task is not worded as ALFWorld's.
    """
    return state_knowledge_in(AlfWorldState.after(task, history))


def state_knowledge_in(state: AlfWorldState) -> str:
    """As :func:`state_knowledge`, from the state itself."""
    parts = [f"The task is to {state.goal.text}.", _where(state), _hand(state), *_progress(state)]
    if state.failed:
        parts.append(f"My last action was not possible: {_why_failed(state)}.")
    return "State Knowledge: " + " ".join(parts)


def _where(state: AlfWorldState) -> str:
    if state.place is None:
        return "I am in the middle of the room."
    return f"I am at the {state.place}" + (", which is closed." if state.place in state.closed else ".")


def _hand(state: AlfWorldState) -> str:
    if state.holding is None:
        return "I hold nothing."
    condition = ""
    if state.holds_goal_object and state.goal.kind in APPLIANCES:
        treated = TREATED[state.goal.kind]
        condition = f", not {treated} yet" if state.needs_treatment else f", which is {treated}"
    return f"I hold the {state.holding}{condition}."


def _progress(state: AlfWorldState) -> list[str]:
    parts = []
    if state.goal.kind == "two" and state.placed:
        parts.append(f"The {state.placed[0][0]} is placed in/on the {state.placed[0][1]}.")
    if state.wanted is None:
        return parts
    parts += [f"I need a {state.wanted}.", *state.read_out(state.wanted)]
    seen = state.find(state.wanted)
    if seen:
        name, place = seen[0]
        parts.append(f"I see the {name} here." if place == state.place else f"The {name} is at the {place}.")
    else:
        parts.append(f"None found yet. {_checked(state)}")
    return parts


def _checked(state: AlfWorldState) -> str:
    checked = state.checked
    if not checked:
        return "I have checked nothing."
    named = ", ".join(checked[-_MOST_NAMED:])
    return f"I have checked {named}{' and more' if len(checked) > _MOST_NAMED else ''}."


def _why_failed(state: AlfWorldState) -> str:
    verb, _, rest = state.failed.partition(" ")
    place = rest.removeprefix("to ").rpartition(" from ")[2].rpartition(" in/on ")[2].rpartition(" with ")[2]
    if verb == "go":
        if state.within_reach:
            return f"the {place} is within reach already"
        return f"I am at the {place} already" if place == state.place else f"there is no {place}"
    if verb == "take" and state.holding:
        return "I can hold only one object"
    if verb in ("put", *APPLIANCES) and not state.holding:
        return "I hold nothing"
    if place in state.receptacles and place != state.place:
        return f"I am not at the {place}"
    if place in state.closed:
        return f"the {place} is closed"
    return f"I cannot {verb} that here"


def thought(task: str, history: list[tuple[str, str]], action: str) -> str:
    """One sentence or two for ``action`` after ``history`` of (action, observation), without "Thought:".

    Raises InputError where the task is not worded as ALFWorld's.
    """
    return thought_in(AlfWorldState.after(task, history), action)


def thought_in(state: AlfWorldState, action: str) -> str:
    """As :func:`thought`, from the state of knowledge: what is held or needed, what is in sight, then the reason."""
    parts = ["That did nothing."] if state.failed else []
    if state.holding:
        parts.append(f"I hold the {state.holding}.")
    wanted = state.wanted
    if wanted:
        parts += [f"I need a {wanted}.", *state.read_out(wanted)]
    verb, _, rest = action.partition(" ")
    if verb == "go":
        return " ".join([*parts, _why_go(state, wanted, rest.removeprefix("to "))])
    return " ".join([*parts, _why(state, verb, rest)])


def _why(state: AlfWorldState, verb: str, rest: str) -> str:
    name = rest.split(" from ")[0].split(" in/on ")[0].split(" with ")[0]
    if verb == "open":
        return f"The {rest} is closed. I open it."
    if verb == "close":
        return f"I am done with the {rest}. I close it."
    if verb == "take":
        return f"I take the {name}."
    if verb == "put":
        return f"This is a {type_of(rest.partition(' in/on ')[2])}. I put it here."
    if verb in APPLIANCES:
        return f"I make it {TREATED[verb]} with the {type_of(rest.partition(' with ')[2])}."
    if verb == "use":
        return f"I turn on the {rest}."
    if verb == "examine":
        return f"The {rest} is within reach. I look at it from here."
    return "I look around to see what I have missed."


def _why_go(state: AlfWorldState, wanted: str | None, place: str) -> str:
    goal = state.goal
    if wanted is None:
        if state.needs_treatment and type_of(place) == APPLIANCES[goal.kind]:
            return f"I have to {goal.kind} it at the {place}."
        return f"I bring it to the {place}."
    seen = [name for name, where in state.find(wanted) if where == place]
    if seen:
        return f"I saw the {seen[0]} at the {place}. I go there."
    if place in state.visited:
        return f"I go to the {place} again."
    return f"I have not checked the {place}."
