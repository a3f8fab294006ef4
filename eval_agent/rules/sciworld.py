"""The offline "rules" for ScienceWorld: the same functions as :mod:`eval_agent.rules.alfworld`.

They stand in for the language model of the paper where none is at hand. Deterministic; they know ScienceWorld's
wording and nothing else.
"""

import re

from eval_agent.envs.sciworld import impossible
from eval_agent.files import file_digest
from eval_agent.rules import sciworld_state
from eval_agent.rules.sciworld_state import SciWorldState, parse_task
from eval_agent.trajectories.format import Step

malformed = 0  # as of any synthesizer: answers to ask for again
_MOST_STEPS = 16  # of the workflow
_MOST_NAMED = 4
_FOCUS = "focus on "
# actions that only look, or that are repeated while one waits
_ASIDE = re.compile(r"(look|inventory|task|wait|examine|open door|close door|\d+$)")


def identity(gen: str) -> dict:
    """The rules as they are written now (see :class:`~eval_agent.knowledge.synthesis.Synthesizer`)."""
    return {"task": "sciworld", "rules": [file_digest(source) for source in (__file__, sciworld_state.__file__)]}


def task_knowledge(chosen: list[Step], rejected: list[Step]) -> str:
    """Knowledge of one task from its expert (chosen) and explored (rejected) steps, on one line.

    Raises InputError where the task is not worded as ScienceWorld's.
    """
    task = parse_task(chosen[0].observation)
    expert, explored = (SciWorldState.after(chosen[0].observation, _history(steps)) for steps in (chosen, rejected))
    if chosen[-1].action.startswith(_FOCUS):  # nothing was said to the last action any more
        expert.focused.append(chosen[-1].action.removeprefix(_FOCUS))
    text = f"Task Knowledge: When you have to {task}, you should {_advice(expert)}."
    avoid = _mistakes(expert, explored, rejected)
    if avoid:
        text += f" You should not {avoid}."
    workflow = " ".join(f"{number}) {step}" for number, step in enumerate(_workflow(chosen), 1))
    return f"{text} The action workflows are: {workflow}"


def state_knowledge(task: str, history: list[tuple[str, str]]) -> str:
    """What is known after ``history`` of (action, observation), on one line of at most some 80 words.

    Raises InputError where the task is not worded as ScienceWorld's.
    """
    return state_knowledge_in(SciWorldState.after(task, history))


def state_knowledge_in(state: SciWorldState) -> str:
    """As :func:`state_knowledge`, from the state itself."""
    parts = [f"The task is to {state.task}."]
    if state.place:
        before = [room for room in state.rooms if room != state.place]
        seen = f", I have been in the {_several(before)}" if before else ""
        looked = " and have looked around" if state.place in state.looked_at else ""
        parts.append(f"I am in the {state.place}{looked}{seen}.")
    parts.append(f"I hold the {_several(state.held)}." if state.held else "I hold nothing.")
    if state.focused:
        parts.append(f"I focused on the {_several(state.focused)}.")
    parts += [f"The {thing} is in the {place}." for thing, place in list(state.moved.items())[-2:]]
    parts += [f"The {device} is {mode}." for device, mode in list(state.switched.items())[-2:]]
    parts += [f"The {thing} measured {value}." for thing, value in list(state.measured.items())[-1:]]
    parts += [f"I poured the {what}." for what in state.poured[-2:]]
    if state.connected:
        parts.append(f"The {_several(state.connected)} are connected.")
    parts += [f"The {device} is on." for device in state.lit[-2:]]
    if state.waited:
        parts.append(f"I have waited for {state.waited} moments.")
    parts += [f"I made {thing}." for thing in state.made[-1:]]
    parts += [f"I read {text}." for text in state.read[-1:]]
    if state.asked:
        parts.append("I was asked which one I mean.")
    if state.failed:
        parts.append(f'My last action "{state.failed}" was not possible: {state.reply.rstrip(".")}.')
    return "State Knowledge: " + " ".join(" ".join(parts).split())


def _history(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.action, after.observation) for step, after in zip(steps, steps[1:])]


def _advice(expert: SciWorldState) -> str:
    """Where to go, what to take and what to focus on."""
    parts = []
    if expert.rooms:
        parts.append(f"go to the {_several(expert.rooms)}")
    taken = [*expert.moved, *expert.held]
    if taken:
        parts.append(f"take the {_several(taken)}")
    if expert.focused:
        parts.append(f"focus on the {_several(expert.focused)}")
    return " and ".join(parts) or "look around first"


def _mistakes(expert: SciWorldState, explored: SciWorldState, rejected: list[Step]) -> str:
    """What only the explored run did: other rooms, a wrong focus, impossible actions."""
    parts = []
    rooms = [room for room in explored.rooms if room not in expert.rooms]
    if rooms and expert.rooms:
        parts.append(f"lose time in the {_several(rooms)}")
    wrong = [thing for thing in explored.focused if thing not in expert.focused]
    if wrong and expert.focused:
        parts.append(f"focus on the {_several(wrong)}")
    failed = [action for action, observation in _history(rejected) if impossible(observation)]
    if failed:
        parts.append(f'try impossible actions like "{failed[0]}"')
    return " or ".join(parts)


def _workflow(steps: list[Step]) -> list[str]:
    """The expert's actions that matter, each once, the first and last ones where there are too many."""
    observations = [step.observation for step in steps[1:]] + [""]
    actions = [
        step.action for step, observation in zip(steps, observations)
        if not _ASIDE.match(step.action) and not impossible(observation)
    ]
    actions = list(dict.fromkeys(actions))
    if len(actions) > _MOST_STEPS:
        half = _MOST_STEPS // 2
        actions = [*actions[:half], *actions[-half:]]
    return actions or [steps[-1].action]


def _several(names: list[str]) -> str:
    """"a, b and c" of the last few different names."""
    names = list(dict.fromkeys(names))[-_MOST_NAMED:]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"


_CONDUCTS = re.compile(r"If it is electrically (conductive|nonconductive), place it in the ([\w ]+?)\.")
_LIMIT = re.compile(r"(above|below) (-?[\d.]+) degrees celsius, (?:place it in|focus on) the ([\w ]+?)\.")


def thought(task: str, history: list[tuple[str, str]], action: str) -> str:
    """One sentence or two for ``action`` after ``history`` of (action, observation), without "Thought:".

    Raises InputError where the task is not worded as ScienceWorld's.
    """
    return thought_in(SciWorldState.after(task, history), task, action)


def thought_in(state: SciWorldState, task: str, action: str) -> str:
    """As :func:`thought`, from the state of knowledge: what was found out or decides, then the action in its own words."""
    reason = _reason(state, task, action)
    said = f"I take {action}." if action.isdigit() else f"I {action}."
    return f"{reason} {said}" if reason else said


def _reason(state: SciWorldState, task: str, action: str) -> str:
    verb, _, rest = action.partition(" ")
    if action == "look around":
        return "It may have changed." if state.waited else f"I am in the {state.place}." if state.place else ""
    if verb in ("go", "teleport"):
        return _why_go(task, rest.removeprefix("to "))
    if verb == "focus":
        return f"{_finding(state, task, rest)}The task wants it."
    if verb == "move":
        return f"{_finding(state, task, rest.partition(' to ')[2])}It has to go there."
    if verb == "use":
        return _WHY_USE.get(_plain(rest.partition(" on ")[0]), "")
    return "I was asked which one I mean." if verb.isdigit() else _WHY.get(verb, "")


_WHY_USE = {"thermometer": "I have to know its temperature.", "shovel": "I need soil."}
_WHY = {
    "connect": "The circuit is not closed yet.", "disconnect": "It has to be free.",
    "activate": "It has to be on.", "deactivate": "It has to be off.",
    "open": "What I need may be in there.", "close": "It has to be closed.",
    "wait": "It needs time.", "wait1": "It needs time.",
    "pick": "I need it.", "put": "I am done with carrying it.",
    "mix": "All that is needed is in there.", "read": "It tells what is needed.",
}


def _why_go(task: str, room: str) -> str:
    if re.search(rf"\b{re.escape(room)}\b", task):
        return "The task speaks of it."
    return "I need something from there."


def _finding(state: SciWorldState, task: str, target: str) -> str:
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


def _plain(name: str) -> str:
    """"thermometer" of "thermometer in inventory"."""
    return name.removesuffix(" in inventory")
