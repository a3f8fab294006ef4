"""Rooms for the tiny base model's text: what stands where, read from ALFWorld's train games and varied.

Reads only the PDDL start state and the task's wording of games in ``train``; no validation game is opened.
"""

import json
import random
import re
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eval_agent.knowledge.household import APPLIANCES, TASK, Goal, parse_goal

_MOST_OF_A_TYPE = 20
_SURPRISE = 0.15  # share of wanted objects that lie where nobody would look


@dataclass
class Room:
    """``receptacles``: (type, openable, object types in it); a ``goal`` that can be reached there."""

    receptacles: list[tuple[str, bool, list[str]]]
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
    places = sorted(set(re.findall(r"\(receptacleAtLocation (\S+) ", start)))
    goal = re.search(re.escape(TASK) + r"[^\"\\]*", game["grammar"])
    return Room([(_name(p), p in openable, sorted(inside[p])) for p in places], parse_goal(goal[0]))


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
        for room in rooms:
            for kind, openable, things in room.receptacles:
                doors[kind] += 1 if openable else -1
                for thing in things:
                    self.habits[thing][kind] += 1
        self.openable = {kind for kind, balance in doors.items() if balance > 0}

    def draw(self, rng: random.Random) -> Room:
        """A third as in the game, a third with the objects moved, a third with the furniture changed too."""
        room = rng.choice(self.rooms)
        way = rng.random()
        if way < 0.33:
            return room
        receptacles = [(kind, openable, []) for kind, openable, _ in room.receptacles]
        if way > 0.66:
            receptacles = self._refurnish(room, rng)
        things = [thing for _, _, inside in room.receptacles for thing in inside]
        if rng.random() < 0.5:  # a goal of another room, its object added where this room has none
            goal = rng.choice(self.goals)
        else:
            goal = room.goal
        self._make_possible(goal, receptacles, things, rng)
        for thing in things:
            self._put_down(thing, receptacles, goal, rng)
        return Room(receptacles, goal)

    def _refurnish(self, room: Room, rng: random.Random) -> list[tuple[str, bool, list[str]]]:
        by_kind = defaultdict(list)
        for kind, openable, _ in room.receptacles:
            by_kind[kind].append(openable)
        other = rng.choice(self.rooms)
        for kind, openable, _ in other.receptacles:
            if rng.random() < 0.15:
                by_kind[kind].append(openable)
        result = []
        for kind, doors in by_kind.items():
            if rng.random() < 0.1:
                continue
            count = len(doors) if rng.random() < 0.4 else rng.randint(1, min(_MOST_OF_A_TYPE, 2 * len(doors)))
            result += [(kind, rng.choice(doors), []) for _ in range(count)]
        return result

    def _make_possible(self, goal: Goal, receptacles: list, things: list[str], rng: random.Random) -> None:
        """Add what the goal needs: enough objects, the target, the appliance or the lamp."""
        present = {kind for kind, _, _ in receptacles}
        needed = 2 if goal.kind == "two" else 1
        things += [goal.object] * max(0, needed - things.count(goal.object))
        if goal.kind == "examine":
            if goal.target not in things:
                things.append(goal.target)
        elif goal.target not in present:
            receptacles.append((goal.target, goal.target in self.openable, []))
        appliance = APPLIANCES.get(goal.kind)
        if appliance and appliance not in present | {goal.target}:
            receptacles.append((appliance, appliance in self.openable, []))
        for thing in {goal.object, goal.target if goal.kind == "examine" else goal.object}:
            if not any(self.habits[thing][kind] for kind, _, _ in receptacles):
                kind = rng.choices(*zip(*self.habits[thing].items()))[0]
                receptacles.append((kind, kind in self.openable, []))

    def _put_down(self, thing: str, receptacles: list, goal: Goal, rng: random.Random) -> None:
        """Put ``thing`` where such things are found; a wanted one not where the goal wants it."""
        in_place = goal.target if thing == goal.object and goal.kind in ("put", "two") else None
        habits = self.habits[thing]
        counts = Counter(kind for kind, _, _ in receptacles)
        weights = [0 if kind == in_place else habits[kind] / counts[kind] for kind, _, _ in receptacles]
        if not any(weights):
            weights = [0 if kind == in_place else 1 for kind, _, _ in receptacles]
        if thing == goal.object and rng.random() < _SURPRISE:
            weights = [0 if kind == in_place else 1 for kind, _, _ in receptacles]
        if any(weights):
            rng.choices(receptacles, weights)[0][2].append(thing)
