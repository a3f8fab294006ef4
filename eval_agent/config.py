"""Loading and checking of configs/task/*.json and configs/model/*.json, before anything long is loaded."""

import argparse
import copy
import functools
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from eval_agent.errors import InputError
from eval_agent.files import read_json
from eval_agent.knowledge.state_base import RULES
from eval_agent.tasks.base import Task


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
    _check(config, _MODEL_FIELDS, path)
    return config


def load_paper_settings(name: str, folder: str | Path) -> dict:
    """The object "paper" of the model config ``name``: backbone, adapters, tasks and repetitions of its tables.

    Raises InputError where it or one of its fields is missing.
    """
    path = find_config(name, folder)
    config = _object(read_json(path), str(path))
    _check(config, _PAPER_FIELDS, path)
    return config["paper"]


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


def _bool(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


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
    "env.lower_case_actions": _bool,
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
    "planner.verbs": _verbs,
    "state_base.path": _text,
    "state_base.encoder": _text,
    "state_base.encoder_model": _text_or_null,
}
_MODEL_FIELDS: dict[str, Check] = {"agent_class": _text, "config": _mapping}
_PAPER_FIELDS: dict[str, Check] = {
    "paper": _mapping,
    "paper.backbone": _text,
    "paper.base_model": _text,
    "paper.recipe": _text,
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


METHODS = Path(__file__).resolve().parents[1] / "configs" / "method"
STATE_KNOWLEDGE = ("none", "planner", "context")
_OWN_INSTRUCTION = "_agent.txt"
# what the episode loop does differently; the other fields act through the models and the task config
_CONDUCT = ("instruction", "world_instruction", "task_knowledge", "state_knowledge", "action_path", "trials")


@dataclass(frozen=True)
class Method:
    """One method. Texts are named by their role: role "nat_positive" is ``{task}_nat_positive.txt``."""

    name: str
    title: str  # as the paper's tables have it
    agent_model: str | None  # served names; an agent without one is named on the command line
    world_model: str | None
    instruction: str = "agent"  # role of the agent's instruction
    world_instruction: str = "world_model"
    task_knowledge: str = "none"  # in the agent's first turn: "none", the "world_model"'s, or a text's role
    state_knowledge: str = "none"  # queries the state base ("planner") or joins the agent's "context"
    action_path: bool = False  # each turn shows the path of actions so far (KnowAgent)
    trials: int = 1  # a failed one is reflected on and played again (Reflexion)
    agent_config: str | None = None  # configs/model/, where the command line names none
    world_config: str | None = None
    overrides: dict = field(default_factory=dict)  # dotted fields of the task config

    @property
    def plans(self) -> bool:
        """Whether state knowledge chooses the verbs (Eq. 11-13), which needs a state base."""
        return self.state_knowledge == "planner"

    @property
    def text_roles(self) -> dict[str, str]:
        """The texts that the method reads: what for -> role."""
        roles = {"agent": self.instruction}
        if self.world_model is not None:
            roles["world_model"] = self.world_instruction
        if self.task_knowledge not in ("none", "world_model"):
            roles["task_knowledge"] = self.task_knowledge
        if self.trials > 1:
            roles["reflection"] = "reflection"
        return roles

    def text_file(self, task_config: dict, purpose: str) -> str:
        """Path of the text for ``purpose`` (a key of ``text_roles``). Raises InputError where it is missing.

        The task's own instructions are those that its config names; the others lie beside the agent's.
        """
        role, own = self.text_roles[purpose], Path(task_config["agent"]["instruction"])
        if role == purpose and role in ("agent", "world_model"):
            return task_config[role]["instruction"]
        if not own.name.endswith(_OWN_INSTRUCTION):
            raise InputError(f'agent.instruction is "{own}", expected TASK{_OWN_INSTRUCTION}: '
                             f'method "{self.name}" looks for TASK_{role}.txt beside it')
        path = own.with_name(f"{own.name.removesuffix(_OWN_INSTRUCTION)}_{role}.txt")
        if not path.is_file():
            raise InputError(f'method "{self.name}" cannot play this task: {path} is missing')
        return str(path)

    def agent_temperature(self, task_config: dict) -> float:
        """An agent that is told any knowledge samples at ``agent.temperature_with_knowledge``."""
        knows = self.task_knowledge != "none" or self.state_knowledge != "none"
        return task_config["agent"]["temperature_with_knowledge" if knows else "temperature"]

    def conduct(self) -> dict | None:
        """How the loop departs from the WKM, or from the agent alone; None where it does not."""
        told = {}
        if self.world_model is not None:
            told = {"task_knowledge": "world_model", "state_knowledge": "planner"}
        usual = asdict(Method(self.name, self.title, self.agent_model, self.world_model, **told))
        mine = asdict(self)
        return {name: mine[name] for name in _CONDUCT if mine[name] != usual[name]} or None


def load_method(name: str, folder: str | Path = METHODS) -> Method:
    """The method config ``name`` (see find_config), checked. Raises InputError naming file and field."""
    path = find_config(name, folder)
    config = read_json(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected an object, found {type(config).__name__}")
    known = {entry.name: entry for entry in fields(Method) if entry.name != "name"}
    for key in config.keys() - known.keys():
        raise InputError(f'{path}: unknown field "{key}", expected {", ".join(known)}')
    for key, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and key not in config:
            raise InputError(f'{path}: field "{key}" is missing')
        if key in config and not _has_type(config[key], entry.type):
            raise InputError(f'{path}: field "{key}" is {config[key]!r}, expected {_type_name(entry.type)}')
    return _consistent(Method(path.stem, **config), path)


def apply_overrides(method: Method, task_config: dict) -> dict:
    """The task config as the method has it. Raises InputError naming the wrong field."""
    return override(task_config, method.overrides, f'overrides of method "{method.name}"')


def _consistent(method: Method, path: Path) -> Method:
    if method.state_knowledge not in STATE_KNOWLEDGE:
        raise InputError(f'{path}: field "state_knowledge" is "{method.state_knowledge}", '
                         f"expected one of {', '.join(STATE_KNOWLEDGE)}")
    if method.trials < 1:
        raise InputError(f'{path}: field "trials" is {method.trials}, expected a positive whole number')
    needs = method.task_knowledge == "world_model" or method.state_knowledge != "none"
    if needs and method.world_model is None:
        raise InputError(f'{path}: field "world_model" is null, but a world model\'s knowledge is used')
    if method.world_model is not None and not needs:
        raise InputError(f'{path}: field "world_model" names a model whose knowledge is used nowhere')
    return method


def _has_type(value: object, kind: object) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) and value != ""


def _type_name(kind: object) -> str:
    names = {str: "a non-empty string", int: "a whole number", bool: "true or false", dict: "an object"}
    return names.get(kind, "a non-empty string or null")


def positive(text: str) -> int:
    """A whole number from 1 on; argparse shows the message of what this raises."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a positive whole number")
    return number
