"""Rooms for the tiny base model's text: what stands where, read from ALFWorld's train games and varied.

Reads only the PDDL start state and the task's wording of games in ``train``; no validation game is opened.
"""

import json
import random
import re
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from eval_agent.rules.alfworld_state import APPLIANCES, TASK, Goal, parse_goal

_MOST_OF_A_TYPE = 20
_SHARED_SPOT = 0.03  # share of drawn furniture within reach of the piece before it
_FEW_OF_A_TYPE = 4
_SURPRISE = 0.25  # share of wanted objects that lie where nobody would look
_SMALL = 0.5  # share of changed rooms with a few full pieces only: finding is practised more often there
_FEW_PIECES = 6


@dataclass
class Receptacle:
    """One piece of furniture; those with the same ``spot`` are within reach of each other."""

    kind: str
    openable: bool
    things: list[str]  # object types
    spot: str


@dataclass
class Room:
    """Furniture with its contents, and a ``goal`` that can be reached there."""

    receptacles: list[Receptacle]
    goal: Goal


def _name(entity: str) -> str:
    return entity.split("_bar_", 1)[0].lower() + ("basin" if "Basin" in entity else "")


def read_room(game_file: Path) -> Room | None:
    """The room of one game; None for a game that ALFWorld marks unsolvable."""
    game = json.loads(game_file.read_text(encoding="utf-8"))
    if not game.get("solvable"):
        return None
    start = game["pddl_problem"]
    start = start[start.index("(:init") : start.index("(:goal")]
    openable = set(re.findall(r"\(openable (\S+?)\)", start))
    inside = defaultdict(list)
    for thing, receptacle in re.findall(r"\(inReceptacle (\S+) (\S+?)\)", start):
        inside[receptacle].append(_name(thing))
    spots = dict(re.findall(r"\(receptacleAtLocation (\S+) (\S+?)\)", start))
    goal = re.search(re.escape(TASK) + r"[^\"\\]*", game["grammar"])
    receptacles = [Receptacle(_name(p), p in openable, sorted(inside[p]), spots[p]) for p in sorted(spots)]
    return Room(receptacles, parse_goal(goal[0]))


def read_rooms(train_folder: Path, num_workers: int = 2) -> list[Room]:
    """The rooms of all games under ``json_2.1.1/train``."""
    files = sorted(train_folder.glob("*/*/game.tw-pddl"))
    with ProcessPoolExecutor(num_workers) as pool:
        return [room for room in pool.map(read_room, files, chunksize=64) if room is not None]


class RoomVariety:
    """Draws rooms like those it was given: furniture, contents and goals change, habits stay."""

    def __init__(self, rooms: list[Room]):
        self.rooms = rooms
        self.goals = [room.goal for room in rooms]
        self.habits = defaultdict(Counter)  # object type -> where it is found, by receptacle type
        doors = Counter()
        for receptacle in (receptacle for room in rooms for receptacle in room.receptacles):
            doors[receptacle.kind] += 1 if receptacle.openable else -1
            for thing in receptacle.things:
                self.habits[thing][receptacle.kind] += 1
        self.openable = {kind for kind, balance in doors.items() if balance > 0}

    def draw(self, rng: random.Random) -> Room:
        """A sixth as in the game, a sixth with the objects moved, the others with the furniture changed too.

        Most rooms have to be new: a model that can learn them by heart does not read what stands there.
        """
        room = rng.choice(self.rooms)
        way = rng.random()
        if way < 0.17:
            return room
        receptacles = [replace(receptacle, things=[]) for receptacle in room.receptacles]
        things = [thing for receptacle in room.receptacles for thing in receptacle.things]
        if way > 0.33:
            receptacles = self._refurnish(room, rng)
            if rng.random() < _SMALL:
                receptacles = self._few_of(receptacles, rng)
            things = self._exchange(things, rng)
        goal = rng.choice(self.goals) if rng.random() < 0.5 else room.goal
        self._make_possible(goal, receptacles, things, rng)
        for thing in things:
            self._put_down(thing, receptacles, goal, rng)
        return Room(receptacles, goal)

    def _refurnish(self, room: Room, rng: random.Random) -> list[Receptacle]:
        """More or fewer pieces of each kind, some kinds gone, some of another room's come."""
        by_kind = defaultdict(list)
        for receptacle in room.receptacles:
            by_kind[receptacle.kind].append(receptacle)
        for receptacle in rng.choice(self.rooms).receptacles:
            if rng.random() < 0.15:
                by_kind[receptacle.kind].append(receptacle)
        most = rng.choice((_FEW_OF_A_TYPE, _MOST_OF_A_TYPE))
        result = []
        for kind, pieces in by_kind.items():
            if rng.random() < 0.25:
                continue
            for number in range(rng.randint(1, min(most, 2 * len(pieces)))):
                spot = f"{kind} {number - (number > 0 and rng.random() < _SHARED_SPOT)}"
                result.append(Receptacle(kind, rng.choice(pieces).openable, [], spot))
        return result

    def _few_of(self, receptacles: list[Receptacle], rng: random.Random) -> list[Receptacle]:
        """Whole kinds, until there are enough pieces."""
        kinds, few = sorted({receptacle.kind for receptacle in receptacles}), []
        for kind in rng.sample(kinds, len(kinds)):
            if len(few) < _FEW_PIECES:
                few += [receptacle for receptacle in receptacles if receptacle.kind == kind][:_FEW_PIECES]
        return few

    def _exchange(self, things: list[str], rng: random.Random) -> list[str]:
        """Some of ``things`` and some of another room's."""
        others = [thing for receptacle in rng.choice(self.rooms).receptacles for thing in receptacle.things]
        kept = rng.sample(things, rng.randint(len(things) // 2, len(things)))
        return kept + rng.sample(others, rng.randint(0, len(others) // 2))

    def _make_possible(
        self, goal: Goal, receptacles: list[Receptacle], things: list[str], rng: random.Random
    ) -> None:
        """Add what the goal needs: enough objects, the target, the appliance or the lamp."""
        needed = 2 if goal.kind == "two" else 1
        things += [goal.object] * max(0, needed - things.count(goal.object))
        if goal.kind == "examine":
            if goal.target not in things:
                things.append(goal.target)
        else:
            self._furnish(goal.target, receptacles)
        if goal.kind in APPLIANCES:
            self._furnish(APPLIANCES[goal.kind], receptacles)
        for thing in {goal.object, goal.target} & set(things):
            if not any(self.habits[thing][receptacle.kind] for receptacle in receptacles):
                self._furnish(rng.choices(*zip(*self.habits[thing].items()))[0], receptacles)

    def _furnish(self, kind: str, receptacles: list[Receptacle]) -> None:
        if not any(receptacle.kind == kind for receptacle in receptacles):
            receptacles.append(Receptacle(kind, kind in self.openable, [], f"added {kind}"))

    def _put_down(self, thing: str, receptacles: list[Receptacle], goal: Goal, rng: random.Random) -> None:
        """Put ``thing`` where such things are found; a wanted one not where the goal wants it."""
        in_place = goal.target if thing == goal.object and goal.kind in ("put", "two") else None
        habits = self.habits[thing]
        counts = Counter(receptacle.kind for receptacle in receptacles)
        allowed = [receptacle for receptacle in receptacles if receptacle.kind != in_place]
        weights = [habits[receptacle.kind] / counts[receptacle.kind] for receptacle in allowed]
        if not any(weights) or thing == goal.object and rng.random() < _SURPRISE:
            weights = [1] * len(allowed)
        if allowed:
            rng.choices(allowed, weights)[0].things.append(thing)
