"""What the text of a ScienceWorld episode says so far: rooms, things held and moved, devices, measurements.

Knows only observations, never the simulator. The ScienceWorld rules read it.
"""

import re
from dataclasses import dataclass, field

from eval_agent.envs.sciworld import asks_back, impossible
from eval_agent.errors import InputError

_TASK = re.compile(r"your task is to ([^.\n]*)", re.IGNORECASE)
_ROOM = re.compile(r"^This (?:room is called|outside location is called) (?:the )?([^.]+)\.")
_WENT = re.compile(r"^You (?:move|teleport) to (?:the )?([^.]+)\.")
_MOVED = re.compile(r"^(?:\([^)]*\))?You move (?:the )?(.+) to (?:the )?([^.]+)\.")
_FOCUSED = re.compile(r"^You focus on (?:the )?([^.]+)\.")
_SWITCHED = re.compile(r"^The (.+) is (?:now |already )(activated|deactivated|open|closed)\.")
_MEASURED = re.compile(r"^the thermometer measures a temperature of (-?[\d.]+ degrees celsius)", re.IGNORECASE)
_LIT = re.compile(r"an? ([\w -]+?), which is on\b")
_CONNECTED = re.compile(r"^(.+) on (.+?) is now connected to (.+) on (.+?)\.?$")
_WAITED = re.compile(r"^You decide to wait for (\d+) iterations")
_MIXED = re.compile(r"^(.+) mix to produce (.+?)\.")
_READ = re.compile(r"^The (.+) reads:\s*(.+)", re.DOTALL)
INVENTORY = "inventory"


def parse_task(text: str) -> str:
    """"boil water" of a ScienceWorld task description. Raises InputError where its wording is another."""
    found = _TASK.search(text)
    if not found:
        raise InputError(f'not the wording of a ScienceWorld task: "{text[:80]}" (expected "Your task is to ...")')
    return found[1].strip()


@dataclass
class SciWorldState:
    """State of knowledge after an episode's observations so far."""

    task: str
    place: str | None = None
    rooms: list[str] = field(default_factory=list)  # in the order of the first visit
    looked_at: list[str] = field(default_factory=list)  # rooms that were looked at
    held: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)  # thing -> where it was put
    focused: list[str] = field(default_factory=list)
    switched: dict[str, str] = field(default_factory=dict)  # device or door -> its state
    measured: dict[str, str] = field(default_factory=dict)
    connected: list[str] = field(default_factory=list)  # things with a connection, the last one last
    poured: list[str] = field(default_factory=list)  # what was poured and into what, in the agent's words
    lit: list[str] = field(default_factory=list)  # devices that the last look around showed to be on
    waited: int = 0  # moments, since something else was done
    asked: str | None = None  # the ambiguous action that a number has to decide
    made: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    failed: str | None = None  # the last action, where it was not possible
    reply: str = ""  # what was said to it

    @classmethod
    def after(cls, task: str, history: list[tuple[str, str]]) -> "SciWorldState":
        """The state after ``history``, a list of (action, observation)."""
        state = cls(parse_task(task))
        for action, observation in history:
            state.update(action, observation)
        return state

    def update(self, action: str, observation: str) -> None:
        """Take in what ``action`` brought to sight; a reply without recognisable effect changes nothing."""
        text = observation.strip()
        self.failed = action if impossible(text) else None
        self.asked = action if asks_back(text) else None
        self.reply = text.split("\n")[0]
        if self.failed:
            return
        waited = _WAITED.match(text)
        self.waited = self.waited + int(waited[1]) if waited else 0
        if found := _ROOM.match(text) or _WENT.match(text):
            self._enter(found[1])
            if action.startswith("look"):
                self.lit = _LIT.findall(text)
                self.looked_at.append(found[1])
        elif found := _MOVED.match(text):
            self._move(found[1], found[2])
        elif found := _FOCUSED.match(text):
            self.focused.append(found[1])
        elif found := _SWITCHED.match(text):
            if found[1] != "door":  # one of many
                self.switched[found[1]] = found[2]
        elif found := _CONNECTED.match(text):
            for thing in (found[2], found[4]):
                self.connected = [*(name for name in self.connected if name != thing), thing]
        elif text.startswith("You pour "):
            self.poured.append(action.removeprefix("pour "))
        elif found := _MEASURED.match(text):
            self.measured[action.rpartition(" on ")[2]] = found[1]
        elif found := _MIXED.match(text):
            self.made.append(found[2])
        elif found := _READ.match(text):
            self.read.append(f"the {found[1]}: {' '.join(found[2].split())}".rstrip("."))

    def _enter(self, room: str) -> None:
        self.place = room
        if room not in self.rooms:
            self.rooms.append(room)

    def _move(self, thing: str, target: str) -> None:
        self.held = [name for name in self.held if name != thing]
        self.moved.pop(thing, None)
        if target == INVENTORY:
            self.held.append(thing)
        else:
            self.moved[thing] = target
