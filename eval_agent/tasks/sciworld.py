"""ScienceWorld's variations as tasks: the paper's splits, by the simulator's task names of today.

A split is either an index file of the ETO repository, ``[["task-1-boil", 4], ...]``, under ``data_path``, or an
object ``{task type: [variation, ...]}`` in the config itself. Neither needs the simulator.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval_agent.errors import InputError
from eval_agent.files import read_json
from eval_agent.tasks.base import Task

if TYPE_CHECKING:
    from eval_agent.config import TaskSection

DOWNLOADED = "data/downloads/sciworld"  # where scripts/download_data.sh puts the index files
# task numbers of the published result files and trajectories, "0_4" is variation 4 of boil
NUMBERS = {
    "boil": 0,
    "change-the-state-of-matter-of": 1,
    "freeze": 2,
    "melt": 3,
    "measure-melting-point-known-substance": 4,
    "use-thermometer": 6,
    "power-component": 7,
    "power-component-renewable-vs-nonrenewable-energy": 8,
    "test-conductivity": 9,
    "test-conductivity-of-unknown-substances": 10,
    "find-animal": 11,
    "find-living-thing": 12,
    "find-non-living-thing": 13,
    "find-plant": 14,
    "grow-fruit": 15,
    "grow-plant": 16,
    "chemistry-mix": 17,
    "chemistry-mix-paint-secondary-color": 18,
    "chemistry-mix-paint-tertiary-color": 19,
    "lifespan-longest-lived": 20,
    "lifespan-longest-lived-then-shortest-lived": 21,
    "lifespan-shortest-lived": 22,
    "identify-life-stages-1": 23,
    "identify-life-stages-2": 24,
}
_NUMBER_BEFORE = re.compile(r"^task-\d+a?-")


@dataclass(frozen=True)
class SciWorldTask(Task):
    """One variation of a task type; ``task_type`` is the simulator's name for it."""

    variation: int
    simplification: str  # as the simulator takes it: "easy", a list with commas, or ""

    @classmethod
    def load(cls, section: "TaskSection", split: str) -> list["SciWorldTask"]:
        """The variations of a split, task type by task type. Raises InputError where they are not to be had."""
        listed = section.splits[split]
        if isinstance(listed, str):
            pairs = read_indices(data_path(section.data_path) / listed)
        else:
            pairs = [(current_name(name), variation) for name in listed for variation in listed[name]]
        simplification = section.simplification
        return [cls.of(*pair, simplification) for pair in sorted(pairs, key=lambda p: (NUMBERS[p[0]], p[1]))]

    @classmethod
    def of(cls, task_type: str, variation: int, simplification: str = "easy") -> "SciWorldTask":
        """The task of a variation, named as in the published files."""
        return cls(f"{NUMBERS[task_type]}_{variation}", task_type, variation, simplification)


def current_name(name: str) -> str:
    """The simulator's name of today for an old one ("task-1-boil" is "boil"). Raises InputError for others."""
    new = _NUMBER_BEFORE.sub("", name).replace("(", "").replace(")", "").replace("mendellian", "mendelian")
    if new not in NUMBERS:
        raise InputError(f'"{name}" is none of the {len(NUMBERS)} ScienceWorld task types of the paper')
    return new


def data_path(text: str) -> Path:
    """``data_path`` of a config with ~ and variables filled in; $SCIWORLD_INDICES is the download by default."""
    default = os.environ.get("SCIWORLD_INDICES") or DOWNLOADED
    return Path(os.path.expandvars(text.replace("$SCIWORLD_INDICES", default))).expanduser()


def read_indices(path: Path) -> list[tuple[str, int]]:
    """(task type, variation) of an index file. Raises InputError naming the entry that is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such index file; fetch it with bash scripts/download_data.sh sciworld, or "
                         "set SCIWORLD_INDICES to the folder that has it")
    pairs = []
    for number, entry in enumerate(read_json(path)):
        match entry:
            case [str(name), int(variation)]:
                pairs.append((current_name(name), variation))
            case _:
                raise InputError(f"{path}: entry {number} is {entry!r}, expected [task name, variation]")
    return pairs
