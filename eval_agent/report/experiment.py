"""The experiments of configs/paper/*.json: a table's or figure's rows, columns and published numbers.

Knows neither models nor results: which runs measure a row is runs.py's, what they come to summary.py's.
"""

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from eval_agent.errors import InputError
from eval_agent.fields import validate
from eval_agent.files import read_json

FOLDER = Path("configs/paper")
TASKS = {"alfworld": "ALFWorld", "webshop": "WebShop", "sciworld": "ScienceWorld"}
SPLITS = {"dev": "seen", "test": "unseen"}
TITLES = {
    "average_reward": "average reward x 100",
    "success_rate": "success rate %",
    "average_steps": "average steps",
    "hallucination_rate": "hallucination rate %",
    "step_wins": "win rate of planning steps %",
}
OF_STEPS = ("average_steps", "step_wins")  # measures that an episode cut short by a full context flatters
_OF_METHODS = ("table1", "fig3", "table2", "table3")  # together the published numbers of a benchmark


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Config):
    """One row: a method, or a variant of one."""

    label: str = Field(description="as the paper has it")
    method: str = Field(description="a name in configs/method")
    gamma: float | None = Field(None, description="in place of the task's own")
    n_neighbours: int | None = Field(None, description="N in place of the task's own")
    strong: bool = Field(False, description="the agent is the model config's stronger one: a row for each backbone")
    published: dict[str, list[float | None]] = Field({}, description="by backbone, a number for each column")
    backbone: str = Field("", description="whose published numbers count (of_model sets it)")
    measured: bool = Field(True, description="whether the model has this row's agent (of_model sets it)")

    def is_called(self, reference: str) -> bool:
        """Whether a table's reference, a method or a label, means this row."""
        return reference in (self.method, self.label)


class Experiment(_Config):
    """One table or figure."""

    name: str
    title: str
    measures: list[Literal[tuple(TITLES)]] = Field(min_length=1)
    columns: list[str] = Field(description='"task/split"')
    references: list[str] = Field(description="methods or labels of the rows that the others are compared with")
    rows: list[Row]
    note: str = ""
    source: str = "arXiv 2405.14205"
    plot: Literal["bars", "gamma"] | None = None
    gammas: dict[str, float] = Field({}, description="the paper's, by task")
    n_neighbours: int | None = Field(None, description="the paper's N, where rows plan with state knowledge")
    training_runs: int = Field(1, ge=1, description="sets of adapters of different seeds that all rows play")

    @classmethod
    def load(cls, name: str) -> "Experiment":
        """Read and check configs/paper/``name``.json. Raises InputError naming the field or row at fault."""
        path = FOLDER / f"{name}.json"
        if not path.is_file():
            raise InputError(f"{path}: no such experiment (there are {', '.join(names())})")
        content = read_json(path)
        return validate(cls, {"name": name, **content} if isinstance(content, dict) else content, path)

    @model_validator(mode="after")
    def _consistent(self) -> "Experiment":
        if len({(row.label, row.strong) for row in self.rows}) < len(self.rows):
            raise ValueError("two rows have the same label")
        for row in self.rows:
            for backbone, numbers in row.published.items():
                if len(numbers) != len(self.columns):
                    counts = f"{len(numbers)} numbers for {len(self.columns)} columns"
                    raise ValueError(f'row "{row.label}", {backbone}: {counts}')
        for reference in self.references:
            if not any(row.is_called(reference) for row in self.rows):
                raise ValueError(f'reference "{reference}" is no row\'s method or label')
        return self

    def of_model(self, backbone: str, strong: str | None = None) -> "Experiment":
        """With the published numbers of ``backbone``, and each stronger agent's row once for every backbone that it
        has numbers of; ``strong`` is the one that is measured."""
        rows = []
        for row in self.rows:
            owners = dict.fromkeys([*row.published, *([strong] if strong else [])]) if row.strong else [backbone]
            rows += [
                row.model_copy(update={
                    "label": f"{owner} {row.label}" if row.strong else row.label,
                    "backbone": owner, "measured": not row.strong or owner == strong,
                })
                for owner in owners
            ]  # fmt: skip
        return self.model_copy(update={"rows": rows})

    @property
    def reference_rows(self) -> list[Row]:
        """Of each of ``references`` the first row that is measured."""
        found = [[row for row in self.rows if row.measured and row.is_called(name)] for name in self.references]
        return [rows[0] for rows in found if rows]

    def published(self, row: Row, column: str) -> float | None:
        numbers = row.published.get(row.backbone)
        return numbers[self.columns.index(column)] if numbers else None


def names() -> list[str]:
    """All experiments, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def split_column(column: str) -> tuple[str, str]:
    """ "alfworld/dev" -> ("alfworld", "dev")."""
    task, _, split = column.partition("/")
    return task, split


def column_title(task: str, split: str, games: str | None = None) -> str:
    """("alfworld", "dev") -> "ALFWorld seen"; ``games`` says what they are, where they are not the paper's."""
    benchmark = f"{TASKS[task]} ({games})" if games else TASKS[task]
    return benchmark if task == "webshop" else f"{benchmark} {SPLITS[split]}"


def splits_of(task: str) -> list[str]:
    """WebShop has no seen split."""
    return ["test"] if task == "webshop" else list(SPLITS)


def published_rows(task: str, backbone: str) -> pd.DataFrame:
    """The published numbers of a task: row, column, task, split, measure, published and published_backbone.

    Raises InputError with the known backbones where there are none of ``backbone``.
    """
    labels: dict[str, str] = {}  # a method is called as in the first table that has it
    found = [
        (labels.setdefault(row.method, row.label), *split_column(column), *experiment.measures, number, owner)
        for experiment in map(Experiment.load, _OF_METHODS)
        for row in experiment.rows
        for owner, numbers in row.published.items()
        for column, number in zip(experiment.columns, numbers)
    ]
    fields = ["row", "task", "split", "measure", "published", "published_backbone"]
    table = pd.DataFrame(found, columns=fields)
    table = table[table["task"] == task]
    owners = table["published_backbone"].unique()
    if backbone not in owners:
        known = ", ".join(owners) or "none"
        raise InputError(f'{task}: no published numbers of backbone "{backbone}" (there are {known})')
    table = table[table["published_backbone"] == backbone]
    return table.assign(column=[column_title(task, split) for split in table["split"]])
