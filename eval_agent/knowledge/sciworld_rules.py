"""The offline "rules" synthesizer for ScienceWorld: the same three functions as :mod:`eval_agent.knowledge.rules`.

It stands in for the language model of the paper where none is at hand. Deterministic; it knows ScienceWorld's
wording and nothing else.
"""

import re

from eval_agent.files import file_digest
from eval_agent.knowledge import laboratory
from eval_agent.knowledge.laboratory import Laboratory, impossible, parse_task
from eval_agent.trajectory import Step

malformed = 0  # as of any synthesizer: answers to ask for again
_MOST_STEPS = 16  # of the workflow
_MOST_NAMED = 4
_FOCUS = "focus on "
# actions that only look, or that are repeated while one waits
_ASIDE = re.compile(r"(look|inventory|task|wait|examine|open door|close door|\d+$)")


def identity(gen: str) -> dict:
    """The rules as they are written now (see :class:`~eval_agent.knowledge.synthesis.Synthesizer`)."""
    return {"task": "sciworld", "rules": [file_digest(source) for source in (__file__, laboratory.__file__)]}


def task_knowledge(chosen: list[Step], rejected: list[Step]) -> str:
    """Knowledge of one task from its expert (chosen) and explored (rejected) steps, on one line.

    Raises InputError where the task is not worded as ScienceWorld's.
    """
    task = parse_task(chosen[0].observation)
    expert, explored = (Laboratory.after(chosen[0].observation, _history(steps)) for steps in (chosen, rejected))
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
    return state_knowledge_in(Laboratory.after(task, history))


def state_knowledge_in(state: Laboratory) -> str:
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


def _advice(expert: Laboratory) -> str:
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


def _mistakes(expert: Laboratory, explored: Laboratory, rejected: list[Step]) -> str:
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
