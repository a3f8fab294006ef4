"""Loading and checking of configs/task/*.json and configs/model/*.json, before anything long is loaded."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval_agent.errors import InputError
from eval_agent.files import read_json
from eval_agent.knowledge.state_base import RULES
from eval_agent.tasks.base import Task

SCORES = ("first_token", "whole")


def load_task_config(name: str, folder: str | Path) -> dict:
    """The task config ``name`` (see :func:`find_config`), checked.

    Raises InputError naming the file and the field that is missing or out of range.
    """
    path = find_config(name, folder)
    config = _object(read_json(path), str(path))
    _check(config, _TASK_FIELDS, path)
    return config


def override(config: dict, values: dict[str, Any], source: str) -> dict:
    """A copy of the task config with ``values`` by dotted field ("planner.gamma"), checked as the file's are.

    Raises InputError naming ``source`` and the field that no task config has, or whose value is wrong.
    """
    changed = copy.deepcopy(config)
    for field, value in values.items():
        if field not in _TASK_FIELDS:
            known = ", ".join(_TASK_FIELDS)
            raise InputError(f'{source}: a task config has no field "{field}", only {known}')
        *sections, key = field.split(".")
        functools.reduce(dict.__getitem__, sections, changed)[key] = value
        _check(changed, {field: _TASK_FIELDS[field]}, source)
    return changed


def load_model_config(name: str, folder: str | Path) -> dict:
    """The model config ``name`` (see :func:`find_config`). Raises InputError where a field is missing."""
    path = find_config(name, folder)
    config = _object(read_json(path), str(path))
    _check({"recipe": None, **config}, _MODEL_FIELDS, path)
    return config


def load_paper_config(name: str, folder: str | Path) -> dict:
    """The model config ``name`` with its recipe and the object "paper": backbone, tasks, repetitions of its tables.

    Raises InputError where one of their fields is missing.
    """
    path = find_config(name, folder)
    config = _object(read_json(path), str(path))
    _check(config, _PAPER_FIELDS, path)
    return config


def find_config(name: str, folder: str | Path) -> Path:
    """``name`` itself where it ends in .json, else ``folder/name.json``; InputError lists what is there."""
    path = Path(name) if name.endswith(".json") else Path(folder) / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in path.parent.glob("*.json"))) or "none"
        raise InputError(f"{path}: no such config (configs in {path.parent}: {known})")
    return path


def max_steps_of(env_config: dict, task: Task) -> int:
    """The step limit of a task: ``max_steps`` is one number, or one for each task type.

    Raises InputError where the task's type has none.
    """
    limit = env_config["max_steps"]
    if isinstance(limit, dict):
        if task.task_type not in limit:
            raise InputError(f'env.max_steps of the task config has no entry "{task.task_type}"')
        limit = limit[task.task_type]
    return limit


def read_instruction(path: str) -> str:
    """An instruction file's text, stripped. Raises InputError where it is missing or empty."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{path}: cannot read the instruction ({error.strerror})") from None
    if not text:
        raise InputError(f"{path}: the instruction is empty")
    return text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _object(value: Any, where: str) -> dict:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, found {type(value).__name__}")
    return value


# a field's check gives None where the value is good, else what was expected
Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "a non-empty string"


def _text_or_null(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) and value else "a non-empty string or null"


def _count(value: Any) -> str | None:
    return None if isinstance(value, int) and _is_number(value) and value > 0 else "a positive whole number"


def _counts(value: Any) -> str | None:
    """A count, or one for each task type."""
    if isinstance(value, dict) and value:
        return None if not any(map(_count, value.values())) else "a positive whole number for each task type"
    return _count(value)


def _temperature(value: Any) -> str | None:
    return None if _is_number(value) and value >= 0 else "a number of at least 0"


def _positive(value: Any) -> str | None:
    return None if _is_number(value) and value > 0 else "a number above 0"


def _share(value: Any) -> str | None:
    return None if _is_number(value) and 0 <= value <= 1 else "a number from 0 to 1"


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, dict) else "an object"


def _verbs(value: Any) -> str | None:
    good = isinstance(value, list) and value and all(isinstance(verb, str) and verb.strip() for verb in value)
    return None if good and len(set(value)) == len(value) else "a list of different, non-empty verbs"


def _splits(value: Any) -> str | None:
    return None if isinstance(value, list) and value and set(value) <= {"dev", "test"} else 'a list of "dev", "test"'


def _one_of(names: tuple[str, ...]) -> Check:
    return lambda value: None if value in names else "one of " + ", ".join(f'"{name}"' for name in names)


_TASK_FIELDS: dict[str, Check] = {
    "task": _mapping,
    "task.task_class": _text,
    "env": _mapping,
    "env.env_class": _text,
    "env.max_steps": _counts,
    "agent.instruction": _text,
    "agent.temperature": _temperature,
    "agent.temperature_with_knowledge": _temperature,
    "agent.max_new_tokens": _count,
    "world_model.instruction": _text,
    "world_model.temperature": _temperature,
    "world_model.max_task_tokens": _count,
    "world_model.max_state_tokens": _count,
    "planner.gamma": _share,
    "planner.n_neighbours": _count,
    "planner.pre_action_rule": _one_of(RULES),
    "planner.score": _one_of(SCORES),
    "planner.verbs": _verbs,
    "state_base.path": _text,
    "state_base.encoder": _text,
    "state_base.encoder_model": _text_or_null,
}
_MODEL_FIELDS: dict[str, Check] = {"agent_class": _text, "config": _mapping, "recipe": _text_or_null}
_PAPER_FIELDS: dict[str, Check] = {
    "recipe": _text,
    "paper": _mapping,
    "paper.backbone": _text,
    "paper.base_model": _text,
    "paper.out": _text,
    "paper.tasks": _mapping,
    "paper.splits": _splits,
    "paper.repetitions": _count,
    "paper.rates.source": _text,
    "paper.rates.base_gigabytes": _positive,
    "paper.rates.adapter_gigabytes": _positive,
    "paper.rates.train_tokens_per_second": _positive,
    "paper.rates.steps_per_second": _positive,
    "paper.rates.knowledge_answers_per_second": _positive,
}


def _check(config: dict, fields: dict[str, Check], path: Path | str) -> None:
    for field, check in fields.items():
        value: Any = config
        for key in field.split("."):
            if not isinstance(value, dict) or key not in value:
                raise InputError(f'{path}: field "{field}" is missing')
            value = value[key]
        expected = check(value)
        if expected:
            raise InputError(f'{path}: field "{field}" is {value!r}, expected {expected}')
