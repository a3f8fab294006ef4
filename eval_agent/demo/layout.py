"""Which tasks a room allows, and one random placement of things for such a task."""

import random
from dataclasses import dataclass

from alfworld.gen import constants

from eval_agent.demo.rooms import THINGS, Room

FITS = constants.VAL_RECEPTACLE_OBJECTS  # receptacle type -> what it can hold
LAMP = "DeskLamp"
# task type -> the affordance that the thing needs, and the receptacle that the work is done in
WORK = {
    "pick_clean_then_place_in_recep": ("Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("Coolable", "Fridge"),
}
_DISTRACTORS = 11  # kinds of other things lying about
# fit for a task's goal, but not where a tidy household keeps things
_NEVER_STORED_IN = ("GarbageCan", "StoveBurner")


@dataclass(frozen=True)
class Goal:
    """What to do in which room: ``target`` is a receptacle type, or the lamp's for looking at things."""

    task_type: str
    room: Room
    thing: str
    target: str


@dataclass(frozen=True)
class Layout:
    """One starting state: every thing as (type, receptacle), a receptacle being (type, index from 0)."""

    goal: Goal
    things: tuple[tuple[str, tuple[str, int]], ...]


def goals_in(room: Room, task_type: str) -> list[Goal]:
    """Every goal of that type that the room has the things and receptacles for, in alphabetical order."""
    things = sorted(THINGS[room.kind])
    if task_type == "look_at_obj_in_light":
        return [Goal(task_type, room, thing, LAMP) for thing in things if room.lamp_on]
    affordance, workplace = WORK.get(task_type, (None, None))
    if workplace and workplace not in room.receptacles:
        return []
    able = [t for t in things if affordance is None or t in constants.VAL_ACTION_OBJECTS[affordance]]
    return [
        Goal(task_type, room, thing, target)
        for thing in able
        for target in sorted(room.receptacles)
        if target != workplace and thing in FITS.get(target, ()) and _places(room, thing, without=target)
    ]


def place_things(goal: Goal, rng: random.Random) -> Layout:
    """A starting state in which nothing of the goal is done yet."""
    count = rng.choice((2, 3)) if goal.task_type == "pick_two_obj_and_place" else rng.choice((1, 2))
    places = _places(goal.room, goal.thing, without=goal.target)
    things = [(goal.thing, rng.choice(places)) for _ in range(count)]
    others = sorted(thing for thing in THINGS[goal.room.kind] if thing != goal.thing)
    for thing in rng.sample(others, min(_DISTRACTORS, len(others))):
        for _ in range(rng.choice((1, 1, 2))):
            things.append((thing, rng.choice(_places(goal.room, thing))))
    if goal.room.lamp_on:
        things.append((LAMP, (goal.room.lamp_on, 0)))
    return Layout(goal, tuple(things))


def _places(room: Room, thing: str, without: str | None = None) -> list[tuple[str, int]]:
    return [
        (receptacle, index)
        for receptacle, count in sorted(room.receptacles.items())
        if receptacle not in (without, *_NEVER_STORED_IN) and thing in FITS.get(receptacle, ())
        for index in range(count)
    ]
