"""A household in ALFWorld's words, fast enough to make millions of episodes; not the simulator itself.

Its answers are checked against the real games in the tests. It covers what the experts do there: go, open,
close, take, put, clean, heat, cool, use, examine (furniture) and look; everything else gets "Nothing happens.".
"""

import random
import re
from collections import Counter

from eval_agent.rules.alfworld_state import APPLIANCES, TASK, Goal, type_of
from eval_agent.tasks.alfworld import NOTHING
from train.tiny_base.alfworld_rooms import Room


def _shown(names: list[str]) -> str:
    """"a mug 2, a mug 1, and a spoon 1" in ALFWorld's order."""
    ordered = sorted(names, key=lambda name: (type_of(name), -int(name.rsplit(" ", 1)[1])))
    words = [f"a {name}" for name in ordered]
    if not words:
        return "nothing"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f", and {words[-1]}"


class TextWorld:
    """One episode: :meth:`step` answers commands and ``won`` tells whether the goal is reached."""

    def __init__(self, room: Room, rng: random.Random):
        self.goal: Goal = room.goal
        self.place: str | None = None
        self.holding: str | None = None
        self.treated: set[tuple[str, str]] = set()  # (verb, object)
        self.lit = False
        self.inside: dict[str, list[str]] = {}
        self.closed: set[str] = set()
        self.spots: dict[str, str] = {}
        objects = [thing for receptacle in room.receptacles for thing in receptacle.things]
        numbers = {}
        for thing, count in Counter(objects).items():
            numbers[thing] = rng.sample(range(1, count + 1), count)
        kinds = Counter()
        for receptacle in rng.sample(room.receptacles, len(room.receptacles)):
            kinds[receptacle.kind] += 1
            name = f"{receptacle.kind} {kinds[receptacle.kind]}"
            self.inside[name] = [f"{thing} {numbers[thing].pop()}" for thing in receptacle.things]
            self.spots[name] = receptacle.spot
            if receptacle.openable:
                self.closed.add(name)
        self.openable = frozenset(self.closed)

    @property
    def task(self) -> str:
        """First observation: the room and the goal, in the project's normal form."""
        return (
            "You are in the middle of a room. Looking quickly around you, you see "
            f"{_shown(list(self.inside))}.\n{TASK}{self.goal.text}."
        )

    @property
    def won(self) -> bool:
        goal = self.goal
        if goal.kind == "examine":
            return self.lit and self.holding is not None and type_of(self.holding) == goal.object
        needed = 2 if goal.kind == "two" else 1
        return any(
            sum(type_of(name) == goal.object and self._ready(name) for name in names) >= needed
            for place, names in self.inside.items()
            if type_of(place) == goal.target
        )

    def _ready(self, name: str) -> bool:
        return self.goal.kind not in APPLIANCES or (self.goal.kind, name) in self.treated

    def step(self, action: str) -> str:
        """The observation after ``action``."""
        verb, _, rest = action.partition(" ")
        handler = getattr(self, f"_{verb}", None)
        return (handler(rest) if handler else None) or NOTHING

    def _at(self, place: str | None) -> bool:
        return self.place is not None and place in self.spots and self.spots[place] == self.spots[self.place]

    def _go(self, rest: str) -> str | None:
        place = rest.removeprefix("to ")
        # as in the games, no way leads to what is within reach already
        if place not in self.inside or self._at(place):
            return None
        self.place = place
        return self._seen(place)

    def _examine(self, place: str) -> str | None:
        return self._seen(place) if self._at(place) else None

    def _seen(self, place: str) -> str:
        if place in self.closed:
            return f"The {place} is closed."
        names = _shown(self.inside[place])
        if place in self.openable:
            return f"The {place} is open. In it, you see {names}."
        return f"On the {place}, you see {names}."

    def _open(self, place: str) -> str | None:
        if not self._at(place) or place not in self.closed:
            return None
        self.closed.discard(place)
        return f"You open the {place}. {self._seen(place)}"

    def _close(self, place: str) -> str | None:
        if not self._at(place) or place not in self.openable or place in self.closed:
            return None
        self.closed.add(place)
        return f"You close the {place}."

    def _within_reach(self, place: str) -> bool:
        return self._at(place) and place not in self.closed

    def _take(self, rest: str) -> str | None:
        name, _, place = rest.partition(" from ")
        if self.holding or not self._within_reach(place) or name not in self.inside[place]:
            return None
        self.inside[place].remove(name)
        self.holding = name
        return f"You pick up the {name} from the {place}."

    def _put(self, rest: str) -> str | None:
        name, _, place = rest.partition(" in/on ")
        if self.holding != name or not name or not self._within_reach(place):
            return None
        self.inside[place].append(name)
        self.holding = None
        return f"You put the {name} in/on the {place}."

    def _treat(self, verb: str, rest: str) -> str | None:
        name, _, place = rest.partition(" with ")
        if not name or self.holding != name or not self._at(place) or type_of(place) != APPLIANCES[verb]:
            return None
        self.treated.add((verb, name))
        return f"You {verb} the {name} using the {place}."

    def _clean(self, rest: str) -> str | None:
        return self._treat("clean", rest)

    def _heat(self, rest: str) -> str | None:
        return self._treat("heat", rest)

    def _cool(self, rest: str) -> str | None:
        return self._treat("cool", rest)

    def _use(self, name: str) -> str | None:
        near = [place for place in self.inside if self._at(place) and name in self.inside[place]]
        if not near or not re.match(r"(desk|floor)lamp ", name):
            return None
        self.lit = True
        return f"You turn on the {name}."

    def _look(self, rest: str) -> str | None:
        if rest:
            return None
        if self.place is None:
            return self.task.split("\n")[0]
        return f"You are facing the {self.place}. Next to it, you see nothing."
