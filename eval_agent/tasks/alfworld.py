"""ALFWorld's games as tasks: the official data and the project's demo games share one folder layout.

``<data_path>/<split>/<type>-<object>-<movable>-<receptacle>-<scene>/<trial>/game.tw-pddl``. Only folder names
and the ``solvable`` mark of each game file are read here.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval_agent.errors import InputError
from eval_agent.files import file_digest
from eval_agent.tasks.base import Task

if TYPE_CHECKING:
    from eval_agent.config import TaskSection

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
NOTHING = "Nothing happens."  # the answer exactly where a command is not among those that the game admits
GAME_FILE = "game.tw-pddl"
FOR_EXPERT = "traj_data.json"  # beside it: only ALFWorld's expert reads it
_TAIL = 4096  # bytes; the mark stands after the long texts in every game file seen so far
# inside a JSON text the quotes would be escaped, so this only matches the key itself
_SOLVABLE = re.compile(rb'(?<!\\)"solvable":\s*(true|false|null)')


@dataclass(frozen=True)
class AlfWorldTask(Task):
    """One game file."""

    game_file: str

    @classmethod
    def load(cls, section: "TaskSection", split: str) -> list["AlfWorldTask"]:
        """The solvable games of a split. Raises InputError where there are none."""
        folder = data_path(section.data_path) / section.splits[split]
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder ({_how_to_get(section.data_path)})")
        tasks = [cls.of(game) for game in sorted(folder.glob(f"*/*/{GAME_FILE}")) if _is_playable(game)]
        if not tasks:
            raise InputError(f"{folder}: no solvable games in it ({_how_to_get(section.data_path)})")
        return tasks

    @classmethod
    def of(cls, game_file: Path) -> "AlfWorldTask":
        """The task of one game file, named after its two folders."""
        folder, trial = game_file.parts[-3:-1]
        return cls(f"{folder}__{trial}", folder.split("-")[0], str(game_file))

    def identity(self) -> dict:
        """What the game's files hold, not where they lie."""
        game = Path(self.game_file)
        files = [game, game.with_name(FOR_EXPERT)]
        held = {file.name: file_digest(file) for file in files if file.is_file()}
        return {"task_id": self.task_id, "task_type": self.task_type, "files": held}


def data_path(text: str) -> Path:
    """``data_path`` of a config with ~ and variables filled in; $ALFWORLD_DATA has ALFWorld's own default."""
    default = os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld"
    return Path(os.path.expandvars(text.replace("$ALFWORLD_DATA", default))).expanduser()


def _how_to_get(text: str) -> str:
    if "$ALFWORLD_DATA" in text:
        return "get the games with alfworld-download, or set ALFWORLD_DATA to the folder with json_2.1.1"
    return "make the demo games with python -m eval_agent.demo.games"


def _is_playable(game: Path) -> bool:
    """Whether ALFWorld's own loader would take the game: one of the six types, checked solvable."""
    folder = game.parts[-3]
    if folder.split("-")[0] not in TASK_TYPES or "Sliced" in folder:
        return False
    with open(game, "rb") as file:
        file.seek(max(0, os.path.getsize(game) - _TAIL))
        mark = _SOLVABLE.search(file.read())
        if mark is None:  # a file in another order, or with a long walkthrough behind the mark
            file.seek(0)
            mark = _SOLVABLE.search(file.read())
    return mark is not None and mark[1] == b"true"
