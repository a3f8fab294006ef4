"""Rule-written ReAct thoughts for expert actions of ScienceWorld: why this action, from what was seen so far."""

import re

from eval_agent.knowledge.laboratory import Laboratory

_CONDUCTS = re.compile(r"If it is electrically (conductive|nonconductive), place it in the ([\w ]+?)\.")
_LIMIT = re.compile(r"(above|below) (-?[\d.]+) degrees celsius, (?:place it in|focus on) the ([\w ]+?)\.")
_CONTAINERS = ("cup", "pot", "jug", "jar", "bowl")
_DEVICES = {"activate": "on", "deactivate": "off"}


def thought(task: str, history: list[tuple[str, str]], action: str) -> str:
    """One sentence or two for ``action`` after ``history`` of (action, observation), without "Thought:".

    Raises InputError where the task is not worded as ScienceWorld's.
    """
    return thought_in(Laboratory.after(task, history), task, action)


def thought_in(state: Laboratory, task: str, action: str) -> str:
    """As :func:`thought`, from the state of knowledge: what was found out or done last, then the reason."""
    verb, _, rest = action.partition(" ")
    if action == "look around":
        return "I wait and see what has changed." if state.waited else _look(state)
    if verb in ("go", "teleport"):
        return _why_go(task, rest.removeprefix("to "))
    if verb == "focus":
        return f"{_finding(state, task, rest)}The task wants a focus on the {_plain(rest.removeprefix('on '))}."
    if verb == "move":
        thing, _, target = rest.partition(" to ")
        return f"{_finding(state, task, target)}The {_plain(thing)} has to go to the {_plain(target)}."
    if verb == "pour":
        thing, into, target = rest.rpartition(" into " if " into " in rest else " in ")
        return f"I pour the {_plain(thing)} into the {_plain(target)}." if into else f"I pour the {rest}."
    if verb == "use":
        return _why_use(rest)
    if verb.isdigit():
        return f"I was asked which one I mean. Number {verb} is the right one."
    return _other(verb, rest)


def _look(state: Laboratory) -> str:
    return f"I am in the {state.place}. I look at what is here." if state.place else "I look at what is here."


def _why_go(task: str, room: str) -> str:
    if re.search(rf"\b{re.escape(room)}\b", task):
        return f"The task speaks of the {room}. I go there."
    return f"I need something from the {room}. I go there."


def _finding(state: Laboratory, task: str, target: str) -> str:
    """What was found out and decides for ``target``; empty where nothing does."""
    box = target.removeprefix("on ").strip()
    boxes = {where: what for what, where in _CONDUCTS.findall(task)}
    if box in boxes:
        on = next((device for device in state.lit if device in state.connected), None)
        seen = f"The {on} is on" if on else "Nothing in the circuit is on"
        return f"{seen}, so it is {boxes[box]}. "
    limits = {where: (side, degrees) for side, degrees, where in _LIMIT.findall(task)}
    if box in limits and state.measured:
        side, degrees = limits[box]
        return f"It has {list(state.measured.values())[-1]}, which is {side} {degrees}. "
    return f"I have made {state.made[-1]}. " if state.made and state.reply.endswith(f"{state.made[-1]}.") else ""


def _why_use(rest: str) -> str:
    tool, _, thing = rest.partition(" on ")
    tool = _plain(tool)
    if tool == "thermometer":
        return f"I measure the temperature of the {_plain(thing)}."
    if tool == "shovel":
        return "I need soil. I dig for it."
    return f"I use the {tool}" + (f" on the {_plain(thing)}." if thing else ".")


def _other(verb: str, rest: str) -> str:
    thing = _plain(rest.removeprefix("up ").removeprefix("down "))
    if verb == "connect":
        return f"The circuit is not closed yet. I connect the {rest.replace(' to ', ' with the ', 1)}."
    if verb in _DEVICES:
        return f"I turn the {thing} {_DEVICES[verb]}."
    if verb in ("wait", "wait1"):
        return "It needs time."
    return {
        "pick": f"I need the {thing}. I take it.",
        "put": f"I am done with carrying the {thing}. I put it down.",
        "open": f"What I need may be in the {thing}. I open it.",
        "close": f"The {thing} has to be closed.",
        "mix": f"All that is needed is in the {thing}. I mix it.",
        "read": f"The {thing} tells what is needed. I read it.",
        "dunk": f"I dunk the {thing.replace(' into ', ' into the ')}.",
        "eat": f"I eat the {thing}.",
        "disconnect": f"The {thing} has to be free. I disconnect it.",
    }.get(verb, f"I try to {verb} {rest}".rstrip() + ".")


def _plain(name: str) -> str:
    """"thermometer" of "thermometer in inventory"."""
    return name.removesuffix(" in inventory")
