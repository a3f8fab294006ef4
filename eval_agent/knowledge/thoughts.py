"""Rule-written ReAct thoughts for expert actions of ALFWorld: why this action, from what was seen so far."""

from eval_agent.knowledge.household import APPLIANCES, TREATED, Household, type_of


def thought(task: str, history: list[tuple[str, str]], action: str) -> str:
    """One sentence or two for ``action`` after ``history`` of (action, observation), without "Thought:".

    Raises InputError where the task is not worded as ALFWorld's.
    """
    return thought_in(Household.after(task, history), action)


def thought_in(house: Household, action: str) -> str:
    """As :func:`thought`, from the state of knowledge: what is held or needed, what is in sight, then the reason."""
    parts = ["That did nothing."] if house.failed else []
    if house.holding:
        parts.append(f"I hold the {house.holding}.")
    wanted = house.wanted
    if wanted:
        parts += [f"I need a {wanted}.", *house.read_out(wanted)]
    verb, _, rest = action.partition(" ")
    if verb == "go":
        return " ".join([*parts, _why_go(house, wanted, rest.removeprefix("to "))])
    return " ".join([*parts, _why(house, verb, rest)])


def _why(house: Household, verb: str, rest: str) -> str:
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


def _why_go(house: Household, wanted: str | None, place: str) -> str:
    goal = house.goal
    if wanted is None:
        if house.needs_treatment and type_of(place) == APPLIANCES[goal.kind]:
            return f"I have to {goal.kind} it at the {place}."
        return f"I bring it to the {place}."
    seen = [name for name, where in house.find(wanted) if where == place]
    if seen:
        return f"I saw the {seen[0]} at the {place}. I go there."
    if place in house.visited:
        return f"I go to the {place} again."
    return f"I have not checked the {place}."
