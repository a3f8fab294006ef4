"""Configs as typed fields, read from configs/*/NAME.json: tasks, methods, and how models are served.

A file may name another one of its folder in "extends" and then holds only what differs: the fields of its sections
replace those of the other file. Whatever is wrong with a field is one InputError that names file, field, value and
what was expected, before anything long is loaded.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from eval_agent.errors import InputError
from eval_agent.fields import Fields, Model, Text, validate
from eval_agent.files import read_json
from eval_agent.tasks.base import Task

ROOT = Path(__file__).resolve().parents[1]
METHODS = ROOT / "configs" / "method"
_OWN_INSTRUCTION = "_agent.txt"

Temperature = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _different(verbs: list[str]) -> list[str]:
    if not verbs or len(set(verbs)) < len(verbs) or not all(verb.strip() for verb in verbs):
        raise ValueError("a list of different, non-empty verbs")
    return verbs


def _of_environment(text: str) -> str:
    """``${NAME:-default}``, as a shell has it: what the environment names, else the default."""
    found = re.fullmatch(r"\$\{(\w+):-(.+)\}", text)
    return os.environ.get(found[1]) or found[2] if found else text


class ShopSection(Fields):
    """WebShop's products and goals; files are named under data_path, .xz and .gz are read too."""

    products: Text
    """The raw product file, items_shuffle.json."""
    attributes: Text | None = None
    """Attributes and synthetic instructions by product, items_ins_v2.json."""
    goals: Text | None = None
    """items_human_ins.json, or a list of goals with their caps; null: the synthetic ones, divided by product."""
    n_goals: PositiveInt | None = None
    """How many goals there have to be: index files are places in a list of so many."""
    nouns: Text | None = None
    """Where title nouns come from: "rule", "file" (the products' own), null: spaCy's model where it is installed."""
    store: Text | None = None
    """Folder of the built store; null: in the user's cache."""


class TaskSection(Fields):
    task_class: Text
    """The benchmark: a class of eval_agent/tasks, ``AlfWorldTask`` in alfworld.py."""
    splits: dict[Literal["train", "dev", "test"], Text | dict[str, list[int]]]
    """Where each split's tasks are: a folder or file under data_path, ScienceWorld's variations by task type, or the
    name of a split that stands in WebShop's goals."""
    data_path: Text | None = None
    """Folder of the splits; $ALFWORLD_DATA, $SCIWORLD_INDICES and $WEBSHOP_DATA have defaults of their own."""
    simplification: str = ""
    """ScienceWorld's, as the simulator takes it: "easy", a list with commas, or ""."""
    shop: ShopSection | None = None
    """WebShop's."""


class EnvSection(Fields):
    env_class: Text
    """A class of eval_agent/envs."""
    max_steps: PositiveInt | dict[str, PositiveInt]
    """Actions of an episode at most, for all tasks or by task type."""
    lower_case_actions: bool
    """Whether the actions in replies are lower-cased, as the release does in ALFWorld."""

    def step_limit(self, task: Task) -> int:
        """Of one task. Raises InputError where its type has none."""
        if isinstance(self.max_steps, int):
            return self.max_steps
        if task.task_type not in self.max_steps:
            raise InputError(f'env.max_steps of the task config has no entry "{task.task_type}"')
        return self.max_steps[task.task_type]


class AgentSection(Fields):
    instruction: Text
    """File of the agent's first human turn; a method's other texts lie beside it."""
    temperature: Temperature
    """Of an agent without knowledge (paper: 0)."""
    temperature_with_knowledge: Temperature
    """Of an agent with task or state knowledge (paper: 0.5)."""
    max_new_tokens: PositiveInt
    """Of one reply."""


class WorldModelSection(Fields):
    instruction: Text
    temperature: Temperature
    max_task_tokens: PositiveInt
    """New tokens of task knowledge."""
    max_state_tokens: PositiveInt
    """New tokens of state knowledge (paper and release: 128)."""


class PlannerSection(Fields):
    gamma: Share
    """Weight of p_agent against p_know (Eq. 13)."""
    n_neighbours: PositiveInt
    """N of Eq. 11: triplets retrieved."""
    pre_action_rule: Literal["verb", "exact", "outcome"]
    """a_pre = a_t: the same first word, as in the release, the same whole action, or (ours) the same first word and
    failed or not as it did."""
    verbs: Annotated[list[str], AfterValidator(_different)]
    """A_u, the verbs that the planner chooses from; their order breaks ties."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Ours: only triplets at least so similar (cosine) count; where none is, the agent decides."""
    agent_temperature: PositiveFloat | None = None
    """Ours: p_agent's log-probabilities are divided by it before the softmax."""
    only_when_stuck: Literal[True] | None = None
    """Ours: the agent decides, but where its action was refused in this state before: Eq. 13 without that verb."""


class StateBaseSection(Fields):
    path: Text
    """Folder of the FAISS cache."""
    encoder: Text
    """wkm-embedding (the paper), wkm-hidden (the release), or a sentence-transformers model."""
    encoder_model: Text | None
    """Folder or served name of the encoder's model; null: the one that the cache was built with."""
    explored: Literal[True] | None = None
    """Ours: the base has to hold triplets of won explored trajectories too."""


class TaskConfig(Fields):
    """configs/task/*.json: a benchmark's games, its env, and the two models' and the planner's settings in it."""

    task: TaskSection
    env: EnvSection
    agent: AgentSection
    world_model: WorldModelSection
    planner: PlannerSection
    state_base: StateBaseSection


class Method(Fields):
    """configs/method/*.json: which models play and what each of them reads.

    Texts are named by their role: role "nat_positive" is ``TASK_nat_positive.txt`` beside the task's instruction.
    """

    name: str
    """The file's."""
    title: Text
    """As the paper's tables have it."""
    agent_model: Text | None
    """Served name; an agent without one is named on the command line."""
    world_model: Text | None
    """Served name, null for a method without one."""
    instruction: Text = "agent"
    """Role of the agent's instruction."""
    world_instruction: Text = "world_model"
    """Role of the world model's."""
    task_knowledge: Text = "none"
    """In the agent's first turn: "none", the "world_model"'s, or the role of a text for the whole benchmark."""
    state_knowledge: Literal["none", "planner", "context"] = "none"
    """Queries the state base (Eq. 11-13), or joins the agent's context."""
    action_path: bool = False
    """Each turn ends with the path of the actions so far (KnowAgent)."""
    trials: PositiveInt = 1
    """A failed one is reflected on and played again (Reflexion)."""
    agent_config: Text | None = None
    """Name in configs/model, where the command line has none."""
    world_config: Text | None = None
    """The same for the world model."""
    overrides: dict[str, Any] = {}
    """Dotted fields of the task config."""

    @model_validator(mode="after")
    def _consistent(self) -> "Method":
        needs = self.task_knowledge == "world_model" or self.plans or self.state_knowledge == "context"
        if needs and self.world_model is None:
            raise ValueError('field "world_model" is null, but a world model\'s knowledge is used')
        if self.world_model is not None and not needs:
            raise ValueError('field "world_model" names a model whose knowledge is used nowhere')
        return self

    @property
    def plans(self) -> bool:
        """Whether state knowledge chooses the verbs, which needs a state base."""
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

    def text_file(self, task: TaskConfig, purpose: str) -> str:
        """Path of the text for ``purpose`` (a key of ``text_roles``). Raises InputError where it is missing.

        The task's own instructions are those that its config names; the others lie beside the agent's.
        """
        role, own = self.text_roles[purpose], Path(task.agent.instruction)
        if role == purpose and role in ("agent", "world_model"):
            return getattr(task, role).instruction
        if not own.name.endswith(_OWN_INSTRUCTION):
            raise InputError(f'agent.instruction is "{own}", expected TASK{_OWN_INSTRUCTION}: '
                             f'method "{self.name}" looks for TASK_{role}.txt beside it')
        path = own.with_name(f"{own.name.removesuffix(_OWN_INSTRUCTION)}_{role}.txt")
        if not path.is_file():
            raise InputError(f'method "{self.name}" cannot play this task: {path} is missing')
        return str(path)

    def agent_temperature(self, task: TaskConfig) -> float:
        """An agent with any knowledge samples at ``agent.temperature_with_knowledge``."""
        knows = self.task_knowledge != "none" or self.state_knowledge != "none"
        return task.agent.temperature_with_knowledge if knows else task.agent.temperature

    def apply(self, task: TaskConfig) -> TaskConfig:
        """The task config with the method's overrides. Raises InputError naming the wrong field."""
        return override(task, self.overrides, f'overrides of method "{self.name}"')


class Rates(Fields):
    """What eval_agent.report.estimate reckons with."""

    source: Text
    """Where these numbers come from."""
    base_gigabytes: PositiveFloat
    adapter_gigabytes: PositiveFloat
    train_tokens_per_second: PositiveFloat
    steps_per_second: PositiveFloat
    knowledge_answers_per_second: PositiveFloat


class StrongAgent(Fields):
    """The stronger agent of Table 4."""

    agent_model_name: Text
    agent_config: Text | None = None
    """Name in configs/model, in place of the method's."""
    backbone: Text | None = None
    """What the paper calls it."""


class PaperTask(Fields):
    exp_config: Text
    """Name in configs/task."""
    recipe: Text | None = None
    """In place of the model's, where this task has a base model of its own."""
    shipped: Text | None = None
    """Folder of trained adapters that are taken where there is none in the model's own results."""
    games: Text | None = None
    """What is played, where it is not the paper's games: stands behind the benchmark's name in tables."""
    train_games: PositiveInt | None = None
    """So many train games make the training data, evenly of each type, where it is not all of them."""


class PaperSection(Fields):
    """What a model's tables are made with."""

    backbone: Text
    published_backbone: Text | None = None
    """Whose published numbers stand beside, where the backbone has none."""
    out: Text
    """Folder of everything that is made, with one folder for each task."""
    tasks: dict[str, PaperTask]
    splits: Annotated[list[Literal["dev", "test"]], Field(min_length=1)]
    repetitions: PositiveInt
    """Runs of a method that samples."""
    rates: Rates
    strong: StrongAgent | None = None


class ModelConfig(Fields):
    """configs/model/*.json: how a model is served, and by which recipe it was trained."""

    agent_class: Literal["FastChatAgent", "OpenAIAgent"]
    config: dict[str, Any]
    """Arguments of that class of eval_agent/agents."""
    recipe: Annotated[Text, AfterValidator(_of_environment)] | None = None
    """configs/train/*.json, the only place of base model and chat format; "${RECIPE:-FILE}": that of scripts/settings.sh."""
    paper: PaperSection | None = None


def load_task_config(name: str, folder: str | Path) -> TaskConfig:
    """The task config ``name`` (see :func:`find_config`). Raises InputError."""
    return _load(TaskConfig, find_config(name, folder))


def load_model_config(name: str, folder: str | Path) -> ModelConfig:
    """The model config ``name`` (see :func:`find_config`). Raises InputError."""
    return _load(ModelConfig, find_config(name, folder))


def load_method(name: str, folder: str | Path = METHODS) -> Method:
    """The method ``name`` (see :func:`find_config`). Raises InputError."""
    path = find_config(name, folder)
    return _load(Method, path, name=path.stem)


def override(config: TaskConfig, values: Mapping[str, Any], source: str) -> TaskConfig:
    """The task config with ``values`` by dotted field ("planner.gamma"). Raises InputError naming ``source``."""
    changed = config.model_dump()
    for field, value in values.items():
        section, _, name = field.partition(".")
        if name not in changed.get(section, {}):
            known = ", ".join(f"{section}.{name}" for section, fields in changed.items() for name in fields)
            raise InputError(f'{source}: a task config has no field "{field}", only {known}')
        changed[section][name] = value
    return validate(TaskConfig, changed, source)


def find_config(name: str, folder: str | Path) -> Path:
    """``name`` itself where it ends in .json, else ``folder/name.json``; InputError lists what is there."""
    path = Path(name) if name.endswith(".json") else Path(folder) / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in path.parent.glob("*.json"))) or "none"
        raise InputError(f"{path}: no such config (configs in {path.parent}: {known})")
    return path


def read_config(path: str | Path, extending: tuple[Path, ...] = ()) -> dict:
    """The object in a config file, on top of the one that it "extends". Raises InputError."""
    path = Path(path)
    if path in extending:
        raise InputError(f'{path}: field "extends" leads back to it ({" -> ".join(map(str, extending))})')
    config = read_json(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected an object, found {type(config).__name__}")
    base = config.pop("extends", None)
    if base is None:
        return config
    if not isinstance(base, str):
        raise InputError(f'{path}: field "extends" is {base!r}, expected the name of a config beside it')
    beside = find_config(base.removesuffix(".json"), path.parent)
    merged = read_config(beside, (*extending, path))
    for name, value in config.items():
        old = merged.get(name)
        merged[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def read_instruction(path: str) -> str:
    """An instruction file's text, stripped. Raises InputError where it is missing or empty."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{path}: cannot read the instruction ({error.strerror})") from None
    if not text:
        raise InputError(f"{path}: the instruction is empty")
    return text


def _load(model: type[Model], path: Path, **more: Any) -> Model:
    return validate(model, {**read_config(path), **more}, path)
