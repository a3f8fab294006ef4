"""Tasks: the instances of a benchmark. One file per benchmark, named after its task class.

``"task_class": "AlfWorldTask"`` in configs/task/*.json is the class ``AlfWorldTask`` of tasks/alfworld.py; it
has a class method ``load(task_section, split) -> list[Task]``.
"""

import random
from importlib import import_module
from importlib.util import find_spec
from itertools import zip_longest
from typing import TYPE_CHECKING

from eval_agent.errors import InputError
from eval_agent.tasks.base import Task

if TYPE_CHECKING:
    from eval_agent.config import TaskConfig

__all__ = ["Task", "canonical_split", "choose_evenly", "load_tasks", "task_class"]

_SPLITS = {"train": "train", "dev": "dev", "seen": "dev", "test": "test", "unseen": "test"}


def canonical_split(split: str) -> str:
    """"train", "dev" or "test"; "seen" means dev and "unseen" means test. Raises InputError for others."""
    if split not in _SPLITS:
        raise InputError(f'unknown split "{split}": choose from {", ".join(_SPLITS)}')
    return _SPLITS[split]


def task_class(name: str) -> type[Task]:
    """The class that a config names in ``task.task_class``. Raises InputError where there is none."""
    module = f"{__name__}.{name.removesuffix('Task').lower()}"
    found = getattr(import_module(module), name, None) if name.isidentifier() and find_spec(module) else None
    if found is None:
        raise InputError(f'unknown task class "{name}" (task.task_class in the task config)')
    return found


def load_tasks(config: "TaskConfig", split: str) -> list[Task]:
    """All tasks of a split, in an order that never changes.

    Raises InputError for an unknown split or task class, and where the data are missing.
    """
    section, split = config.task, canonical_split(split)
    if split not in section.splits:
        raise InputError(f'this task has no split "{split}", only {", ".join(section.splits)}')
    return task_class(section.task_class).load(section, split)


def choose_evenly(tasks: list[Task], limit: int | None, seed: int = 0) -> list[Task]:
    """At most ``limit`` tasks, as many of each task type as there are; in the order in which they came."""
    if limit is None or limit >= len(tasks):
        return tasks
    by_type: dict[str, list[Task]] = {}
    for task in random.Random(seed).sample(tasks, len(tasks)):
        by_type.setdefault(task.task_type, []).append(task)
    rounds = zip_longest(*(by_type[name] for name in sorted(by_type)))
    chosen = [task for one_of_each in rounds for task in one_of_each if task is not None][:limit]
    kept = set(chosen)
    return [task for task in tasks if task in kept]
