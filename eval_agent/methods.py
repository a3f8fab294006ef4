"""The methods that are compared, configs/method/*.json: which models play, and what each of them is told.

A method says nothing of games, servers or sampling but by ``overrides`` of the task config's fields; what it
needs in words (instructions, dataset-level knowledge) are text files beside the task's own instruction.
"""

from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path

from eval_agent.config import find_config, override
from eval_agent.errors import InputError
from eval_agent.files import read_json

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
