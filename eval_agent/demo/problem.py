"""A layout as an ALFWorld game: PDDL problem, grammar with the task's words, and traj_data.json.

The domain, the grammar and the task's wordings are those that the alfworld package ships.
"""

import random
from importlib.resources import files

import alfworld.gen.goal_library
from alfworld.gen import constants

from eval_agent.demo.layout import FITS, LAMP, Layout

# the domain's actions name these types, so every problem has to know them
_DOMAIN_RTYPES = {"MicrowaveType", "SinkBasinType", "FridgeType"}
_DOMAIN_OTYPES = {"KnifeType", "ButterKnifeType"}
_AFFORDANCES = {
    "cleanable": "Cleanable", "heatable": "Heatable", "coolable": "Coolable", "sliceable": "Sliceable",
    "toggleable": "Toggleable",
}
_BASINS = {"SinkBasin": "Sink", "BathtubBasin": "Bathtub"}  # ALFWorld names a basin after what it is in


def game_data(layout: Layout, trial: str, rng: random.Random) -> dict:
    """What goes into game.tw-pddl, without the ``solvable`` mark."""
    words = alfworld.gen.goal_library.gdict[layout.goal.task_type]["templates"]
    task = rng.choice(words).format(
        obj=layout.goal.thing.lower(), recep=layout.goal.target.lower(), toggle=LAMP.lower()
    )
    data = files("alfworld") / "data"
    return {
        "pddl_domain": (data / "alfred.pddl").read_text(),
        "grammar": (data / "alfred.twl2").read_text().replace("UNKNOWN GOAL", task),
        "pddl_problem": _problem(layout, trial, rng),
    }


def traj_data(layout: Layout, trial: str) -> dict:
    """The fields of traj_data.json that ALFWorld's loader and expert read."""
    goal = layout.goal
    lit = goal.target == LAMP
    return {
        "task_type": goal.task_type,
        "task_id": trial,
        "pddl_params": {
            "mrecep_target": "", "object_sliced": False, "object_target": goal.thing,
            "parent_target": "" if lit else goal.target, "toggle_target": LAMP if lit else "",
        },
        "scene": {"floor_plan": f"FloorPlan{goal.room.number}", "scene_num": goal.room.number},
    }


def _problem(layout: Layout, trial: str, rng: random.Random) -> str:
    receptacles = _receptacle_ids(layout, rng)
    things = [(_id(kind, rng), kind, place) for kind, place in layout.things]
    locations = {place: f"loc_bar_{number}_bar_0_bar_0_bar_0" for number, place in enumerate(receptacles, 1)}
    start = "loc_bar_0_bar_0_bar_0_bar_0"
    rtypes = {f"{kind}Type" for kind, _ in receptacles} | _DOMAIN_RTYPES
    otypes = {f"{kind}Type" for _, kind, _ in things} | _DOMAIN_OTYPES
    names = {"agent": ["agent1"], "otype": sorted(otypes), "rtype": sorted(rtypes),
             "object": [name for name, _, _ in things], "receptacle": receptacles.values(),
             "location": [start, *locations.values()]}
    facts = [f"atLocation agent1 {start}"]
    for place, name in receptacles.items():
        facts += [f"receptacleType {name} {place[0]}Type", f"receptacleAtLocation {name} {locations[place]}"]
        facts += [f"openable {name}"] if place[0] in constants.OPENABLE_CLASS_SET else []
    for name, kind, place in things:
        facts += [f"objectType {name} {kind}Type", f"inReceptacle {name} {receptacles[place]}",
                  f"objectAtLocation {name} {locations[place]}", *_abilities(name, kind)]
    kinds = sorted({kind for _, kind, _ in things})
    facts += [f"canContain {r}Type {o}Type" for r in sorted({kind for kind, _ in receptacles})
              for o in kinds if o in FITS.get(r, ())]
    return "\n".join([
        f"(define (problem plan_{trial})", "(:domain alfred)",
        "(:objects", *(f"  {name} - {kind}" for kind in names for name in names[kind]), ")",
        "(:init", *(f"  ({fact})" for fact in facts), ")",
        _goal(layout),
    ])


def _goal(layout: Layout) -> str:
    """ALFWorld's goal text; it also closes the problem. "#" stands for the dash of a typed variable there."""
    goal = layout.goal
    text = alfworld.gen.goal_library.gdict[goal.task_type]["pddl"]
    return text.format(obj=goal.thing, recep=goal.target, toggle=LAMP).replace("#", "-").strip() + "\n"


def _abilities(name: str, kind: str) -> list[str]:
    facts = [] if kind == LAMP else [f"pickupable {name}"]
    facts += [f"isReceptacleObject {name}"] if kind in constants.MOVABLE_RECEPTACLES_SET else []
    able = constants.VAL_ACTION_OBJECTS
    return facts + [f"{word} {name}" for word, affordance in _AFFORDANCES.items() if kind in able[affordance]]


def _receptacle_ids(layout: Layout, rng: random.Random) -> dict[tuple[str, int], str]:
    room = layout.goal.room
    return {
        (kind, index): _id(_BASINS.get(kind, kind), rng) + (f"_bar_{kind}" if kind in _BASINS else "")
        for kind, count in sorted(room.receptacles.items())
        for index in range(count)
    }


def _id(kind: str, rng: random.Random) -> str:
    """An id in ALFWorld's form, a type and a point in space; its rank gives the name's number."""
    point = (rng.uniform(-9, 9), rng.uniform(0, 2), rng.uniform(-9, 9))
    signs = ("minus" if x < 0 else "plus" for x in point)
    numbers = (f"{abs(x):07.4f}".replace(".", "_dot_") for x in point)
    return kind + "".join(f"_bar__{sign}_{number}" for sign, number in zip(signs, numbers))
