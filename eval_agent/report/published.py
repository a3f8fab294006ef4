"""The experiments of configs/paper/*.json: a table's or figure's rows, the method that measures each, and the
published numbers. Also the published rows of one benchmark, gathered from all of them.
"""

from dataclasses import dataclass, field
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.files import read_json

FOLDER = Path("configs/paper")
MEASURES = ("average_reward", "average_steps", "hallucination_rate", "step_wins")
_OF_METHODS = ("table1", "fig3", "table2", "table3")
PLOTS = (None, "bars", "gamma")


@dataclass(frozen=True)
class Row:
    """One row: ``method`` (configs/method), its variant, and published numbers [columns] by backbone."""

    label: str
    method: str
    gamma: float | None = None
    n_neighbours: int | None = None
    strong: bool = False  # the agent is the model config's "strong" one; a row for each backbone of it
    ours: bool = False  # no row of the paper's
    published: dict[str, list[float | None]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.label} (strong agent)" if self.strong else self.label

    def is_called(self, reference: str) -> bool:
        """Whether a table's reference, a method or a label, means this row."""
        return reference in (self.method, self.label)


@dataclass(frozen=True)
class Experiment:
    """One table or figure. ``columns`` are "task/split"; the others are compared with the rows ``references`` names."""

    name: str
    title: str
    measure: str
    note: str
    columns: list[str]
    references: list[str]
    rows: list[Row]
    plot: str | None = None
    gammas: dict[str, float] = field(default_factory=dict)  # the paper's, by task
    n_neighbours: int | None = None  # the paper's N, where rows plan with state knowledge

    @classmethod
    def load(cls, name: str) -> "Experiment":
        """Read and check configs/paper/``name``.json. Raises InputError naming the field or row at fault."""
        path = FOLDER / f"{name}.json"
        if not path.is_file():
            raise InputError(f"{path}: no such experiment (there are {', '.join(names())})")
        try:
            content = {key: value for key, value in read_json(path).items() if key != "source"}
            rows = [Row(**row) for row in content.pop("rows")]
            experiment = cls(name=name, rows=rows, **content)
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: not an experiment of the paper ({error})") from None
        experiment._check(path)
        return experiment

    def _check(self, path: Path) -> None:
        if self.measure not in MEASURES or self.plot not in PLOTS:
            raise InputError(f'{path}: measure "{self.measure}" or plot "{self.plot}" is unknown')
        if len({row.key for row in self.rows}) < len(self.rows):
            raise InputError(f"{path}: two rows have the same label")
        for row in self.rows:
            for backbone, numbers in row.published.items():
                if len(numbers) != len(self.columns):
                    raise InputError(
                        f'{path}: row "{row.label}", {backbone}: {len(numbers)} numbers for '
                        f"{len(self.columns)} columns"
                    )
        for reference in self.references:
            if not any(row.is_called(reference) for row in self.rows):
                raise InputError(f'{path}: reference "{reference}" is no row\'s method or label')

    def published(self, row: Row, backbone: str, column: str) -> float | None:
        numbers = row.published.get(backbone)
        return None if numbers is None else numbers[self.columns.index(column)]


def names() -> list[str]:
    """All experiments, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def published_measures(task: str) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """(backbone, label) -> split -> measure -> number, of one task."""
    found: dict[tuple[str, str], dict] = {}
    labels: dict[str, str] = {}  # a method is called as in the first table that has it
    for name in _OF_METHODS:
        experiment = Experiment.load(name)
        for row in experiment.rows:
            label = labels.setdefault(row.method, row.label)
            for backbone, numbers in row.published.items():
                for column, number in zip(experiment.columns, numbers):
                    owner, split = split_column(column)
                    if owner == task:
                        found.setdefault((backbone, label), {}).setdefault(split, {})[experiment.measure] = (
                            number
                        )
    return found


def split_column(column: str) -> tuple[str, str]:
    """ "alfworld/dev" -> ("alfworld", "dev")."""
    task, _, split = column.partition("/")
    return task, split
