"""An experiment of the paper, measured: each cell's estimate, the published number, and its differences."""

from dataclasses import dataclass, field

from eval_agent.report.published import Experiment, Row
from eval_agent.report.repeated import Estimate, Gain, Played, Values, step_wins

REWARD = "average_reward"


@dataclass(frozen=True)
class Line:
    """One line of the table: a row, under the backbone whose published numbers stand beside it."""

    label: str
    row: Row
    backbone: str
    here: bool  # whether it is measured with this model at all


@dataclass(frozen=True)
class Cell:
    """One line in one column. ``measured`` is None where nothing was played."""

    line: Line
    column: str
    measured: Estimate | None
    published: float | None
    played: Played | None
    gains: dict[str, Gain] = field(default_factory=dict)  # by the reference's label
    by_type: dict[str, Estimate] = field(default_factory=dict)  # average reward x 100
    gains_by_type: dict[str, Gain] = field(default_factory=dict)  # against the first reference


@dataclass(frozen=True)
class Measured:
    """A table: its lines from top to bottom, and their cells."""

    experiment: Experiment
    backbone: str  # measured
    published_backbone: str
    lines: list[Line]
    cells: dict[tuple[str, str], Cell]  # by label and column
    neighbours: dict[str, int] = field(default_factory=dict)  # N of the runs, by task

    def line_cells(self, line: Line) -> list[Cell]:
        return [self.cells[line.label, column] for column in self.experiment.columns]

    @property
    def measured_columns(self) -> list[str]:
        return [
            column
            for column in self.experiment.columns
            if any(self.cells[line.label, column].measured for line in self.lines)
        ]

    @property
    def references(self) -> list[Line]:
        """The lines that the others are compared with: of each of the experiment's references the first."""
        here = [line for line in self.lines if line.here]
        found = [[line for line in here if line.row.is_called(name)] for name in self.experiment.references]
        return [lines[0] for lines in found if lines]


def measure(
    experiment: Experiment,
    played: dict[tuple[str, str], Played],
    backbone: str,
    published_backbone: str,
    strong_backbone: str | None = None,
    neighbours: dict[str, int] | None = None,
) -> Measured:
    """``played`` has a cell's episodes by row key and column; cells that are not in it are missing."""
    lines = [line for row in experiment.rows for line in _lines(row, published_backbone, strong_backbone)]
    table = Measured(experiment, backbone, published_backbone, lines, {}, neighbours or {})
    for column in experiment.columns:
        there = {
            line.label: played[line.row.key, column]
            for line in lines
            if line.here and (line.row.key, column) in played and played[line.row.key, column].episodes
        }
        values = _values(experiment, lines, there)
        rewards = {label: one.values(REWARD) for label, one in there.items()}
        for line in lines:
            table.cells[line.label, column] = _cell(table, line, column, there, values, rewards)
    return table


def _lines(row: Row, published_backbone: str, strong_backbone: str | None) -> list[Line]:
    if not row.strong:
        return [Line(f"{row.label} (ours)" if row.ours else row.label, row, published_backbone, True)]
    backbones = dict.fromkeys([*row.published, *([strong_backbone] if strong_backbone else [])])
    return [Line(f"{name} {row.label}", row, name, name == strong_backbone) for name in backbones]


def _values(experiment: Experiment, lines: list[Line], there: dict[str, Played]) -> dict[str, Values]:
    """Every line's value of each game; wins are shared among all lines, so that they need all of them."""
    if experiment.measure != "step_wins":
        return {label: played.values(experiment.measure) for label, played in there.items()}
    if len(there) < len(lines):
        return {}
    return step_wins({label: played.values("average_steps") for label, played in there.items()})


def _cell(
    table: Measured,
    line: Line,
    column: str,
    there: dict[str, Played],
    values: dict[str, Values],
    rewards: dict[str, Values],
) -> Cell:
    experiment, label = table.experiment, line.label
    published = experiment.published(line.row, line.backbone, column)
    estimate = Estimate.of(values[label]) if label in values else None
    if estimate is None:
        return Cell(line, column, None, published, there.get(label))
    others = [one.label for one in table.references if one.label != label]
    found = {name: Gain.of(values[label], values[name]) for name in others if name in values}
    first = table.references[0].label if table.references else None
    by_type, gains_by_type = {}, {}
    for kind in sorted(set(there[label].types.values())):
        mine = _of_type(rewards[label], there[label], kind)
        by_type[kind] = Estimate.of(mine)
        gain = Gain.of(mine, rewards[first]) if first in rewards and first != label else None
        if gain:
            gains_by_type[kind] = gain
    gains = {name: gain for name, gain in found.items() if gain}
    return Cell(line, column, estimate, published, there[label], gains, by_type, gains_by_type)


def _of_type(values: Values, played: Played, kind: str) -> Values:
    return {game: value for game, value in values.items() if played.types[game] == kind}
