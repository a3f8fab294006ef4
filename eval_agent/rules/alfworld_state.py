"""What the text of an ALFWorld episode says so far: the goal, places seen, the object in hand.

Knows only observations, never the simulator. The rules, the thoughts and the search expert read it.
"""

import re
from dataclasses import dataclass, field

from eval_agent.errors import InputError

TASK = "Your task is to: "
APPLIANCES = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
TREATED = {"clean": "clean", "heat": "hot", "cool": "cool"}
_GOALS = (
    (r"(?:look at|examine the) (?P<object>\w+) (?:under|with) the (?P<target>\w+)", "examine"),
    (r"(?:put|find) two (?P<object>\w+) (?:in|and put them in) (?P<target>\w+)", "two"),
    (r"(?:put a clean|clean some) (?P<object>\w+) (?:in|and put it in) (?P<target>\w+)", "clean"),
    (r"(?:put a hot|heat some) (?P<object>\w+) (?:in|and put it in) (?P<target>\w+)", "heat"),
    (r"(?:put a cool|cool some) (?P<object>\w+) (?:in|and put it in) (?P<target>\w+)", "cool"),
    (r"put (?:a|some) (?P<object>\w+) (?:in|on) (?P<target>\w+)", "put"),
)


@dataclass(frozen=True)
class Goal:
    """``kind`` is put, two, clean, heat, cool or examine; ``target`` a receptacle's or lamp's type."""

    text: str
    kind: str
    object: str
    target: str


def parse_goal(task: str) -> Goal:
    """The goal in an ALFWorld task's text. Raises InputError where its wording is none of ALFWorld's."""
    text = task.rpartition(TASK)[2].strip().split("\n")[0].rstrip(".") if TASK in task else ""
    for pattern, kind in _GOALS:
        match = re.fullmatch(pattern, re.sub(r" (in|on) the ", r" \1 ", text))  # "on the desk": people's own pairs
        if match:
            return Goal(text, kind, match["object"], match["target"])
    raise InputError(f'not the wording of an ALFWorld task: "{text or task[:80]}" (expected after "{TASK}")')


def type_of(name: str) -> str:
    """"mug" of "mug 2"."""
    return name.rpartition(" ")[0] or name


def listed(text: str) -> list[str]:
    """Names in the first "you see a mug 1, and a spoon 2." of ``text``, in its order."""
    match = re.search(r"you see ([^.]*)\.", text)
    return re.findall(r"\ban? ([a-z]+ \d+)", match[1]) if match else []


@dataclass
class AlfWorldState:
    """State of knowledge after an episode's observations so far."""

    goal: Goal
    receptacles: list[str]
    place: str | None = None
    holding: str | None = None
    contents: dict[str, list[str]] = field(default_factory=dict)  # receptacle -> objects last seen there
    visited: list[str] = field(default_factory=list)  # in the order of the last visit
    closed: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)  # by an action, and not closed since
    treated: set[str] = field(default_factory=set)  # objects cleaned, heated or cooled as asked
    lamp_on: bool = False
    failed: str | None = None  # the last action, where it was not possible
    in_sight: list[str] | None = None  # what the last observation listed; None where it was no list

    @classmethod
    def at_start(cls, task: str) -> "AlfWorldState":
        return cls(parse_goal(task), listed(task.split(TASK)[0]))

    @classmethod
    def after(cls, task: str, history: list[tuple[str, str]]) -> "AlfWorldState":
        """The state after ``history``, a list of (action, observation)."""
        state = cls.at_start(task)
        for action, observation in history:
            state.update(action, observation)
        return state

    def update(self, action: str, observation: str) -> None:
        """Take in what ``action`` brought to sight."""
        verb, _, rest = action.partition(" ")
        sentence = observation.split(".")[0]
        # a reply with no recognisable effect leaves the state as it is
        self.in_sight = None
        self.failed = action if "Nothing happens" in observation else None
        if self.failed:
            return
        if verb == "go" or verb == "examine" and rest in self.receptacles:
            self.place = rest.removeprefix("to ")
            self._look_at(self.place, observation)
        elif verb == "open":
            self.opened.add(rest)
            self._look_at(rest, observation)
        elif verb == "close":
            self.opened.discard(rest)
            self.closed.add(rest)
        elif sentence.startswith("You pick up the "):
            self.holding, _, source = sentence.removeprefix("You pick up the ").partition(" from the ")
            self.contents[source] = [name for name in self.contents.get(source, []) if name != self.holding]
        elif sentence.startswith("You put the "):
            name, _, target = sentence.removeprefix("You put the ").partition(" in/on the ")
            self.contents.setdefault(target, []).append(name)
            self.holding = None
        elif verb == self.goal.kind and verb in APPLIANCES:
            self.treated.add(rest.partition(" with ")[0])
        elif verb == "use" and sentence.startswith("You turn on"):
            self.lamp_on = True

    def _look_at(self, receptacle: str, observation: str) -> None:
        if receptacle in self.visited:
            self.visited.remove(receptacle)
        self.visited.append(receptacle)
        if "is closed" in observation:
            self.closed.add(receptacle)
        else:
            self.closed.discard(receptacle)
            self.contents[receptacle] = self.in_sight = listed(observation)

    @property
    def checked(self) -> list[str]:
        """Receptacles whose contents were seen, last seen last."""
        return [name for name in self.visited if name in self.contents]

    @property
    def within_reach(self) -> str | None:
        """The place that the last action could not go to because it is within reach from here already."""
        place = (self.failed or "").removeprefix("go to ")
        return place if place in self.receptacles and place != self.place else None

    @property
    def placed(self) -> list[tuple[str, str]]:
        """(object, receptacle) of goal objects that are where the goal wants them."""
        if self.goal.kind == "examine":
            return []
        return [
            (name, receptacle)
            for receptacle, names in self.contents.items()
            if type_of(receptacle) == self.goal.target
            for name in names
            if type_of(name) == self.goal.object and (self.goal.kind not in APPLIANCES or name in self.treated)
        ]

    def find(self, kind: str) -> list[tuple[str, str]]:
        """(object, receptacle) of every seen object of type ``kind``, those in place left out."""
        placed = self.placed
        return [
            (name, receptacle)
            for receptacle in self.contents
            for name in self.contents[receptacle]
            if type_of(name) == kind and (name, receptacle) not in placed
        ]

    def read_out(self, wanted: str) -> list[str]:
        """"Here: a spoon 1, a mug." up to the first ``wanted`` that is to take, or all and that there is none.

        A small model that writes what is in sight kind by kind overlooks and invents less.
        """
        if self.in_sight is None:
            return []
        found = [name for name, place in self.find(wanted) if place == self.place]
        end = self.in_sight.index(found[0]) if found else None
        names = [f"a {name}" for name in self.in_sight[:end]]
        if found:
            return [f"Here: {', '.join([*names, f'a {wanted}'])}."]
        other = "other " if any(type_of(name) == wanted for name in self.in_sight) else ""
        return [f"Here: {', '.join(names) or 'nothing'}.", f"No {other}{wanted} here."]

    @property
    def holds_goal_object(self) -> bool:
        return self.holding is not None and type_of(self.holding) == self.goal.object

    @property
    def wanted(self) -> str | None:
        """The type of object to find next: the goal's, or the lamp once that is in hand; None to deliver it."""
        if not self.holds_goal_object:
            return self.goal.object
        return self.goal.target if self.goal.kind == "examine" else None

    @property
    def needs_treatment(self) -> bool:
        """Whether the goal object in hand still has to be cleaned, heated or cooled."""
        return self.holds_goal_object and self.goal.kind in APPLIANCES and self.holding not in self.treated
