"""The table's rows: a method on a split, measured from episode files or published by the paper."""

from dataclasses import dataclass, field
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.report.published import published_measures
from eval_agent.report.summary import MEASURES, bootstrap_interval, values_of
from eval_agent.results import cut_short, read_episodes

SPLITS = {"dev": "seen", "test": "unseen"}
# factor to the unit that the paper prints
UNITS = {"average_reward": 100, "success_rate": 100, "average_steps": 1, "hallucination_rate": 100}
TITLES = {
    "average_reward": "average reward x 100",
    "success_rate": "success rate %",
    "average_steps": "average steps",
    "hallucination_rate": "hallucination rate %",
}


@dataclass(frozen=True)
class Measure:
    """A mean with its 95% interval, in the paper's units; the paper's own numbers come without one."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One method on one split ("seen" or "unseen"); no ``measures`` where there are no results."""

    method: str
    split: str
    games: int | None = None
    failures: int = 0
    cut_short: int = 0  # games that a full context ended
    measures: dict[str, Measure] = field(default_factory=dict)


def measure_run(label: str, folder: Path) -> list[Row]:
    """Both splits' rows of a run folder. Raises InputError where there is no such folder."""
    if not folder.is_dir():
        raise InputError(f'run "{label}": no folder {folder}')
    return [_row(label, name, read_episodes(folder / split)) for split, name in SPLITS.items()]


def _row(label: str, split: str, episodes: list[dict]) -> Row:
    values = values_of(episodes)
    games = len(values["success_rate"])
    measures = {}
    for name in MEASURES if games else ():
        scaled = values[name] * UNITS[name]
        measures[name] = Measure(float(scaled.mean()), *bootstrap_interval(scaled))
    short = sum(cut_short(episode["meta"]) for episode in episodes if episode["meta"]["finished"])
    return Row(label, split, games, len(episodes) - games, short, measures)


def paper_rows(task: str, backbone: str) -> list[Row]:
    """The published numbers of ``task`` for ``backbone``: Tables 1 to 3 and Figure 3 of configs/paper.

    Raises InputError with the known backbones for another one.
    """
    published = published_measures(task)
    rows = [
        Row(f"{backbone} {label} (paper)", name,
            measures={measure: Measure(value) for measure, value in splits.get(split, {}).items()})
        for (owner, label), splits in published.items() if owner == backbone for split, name in SPLITS.items()
    ]
    if not rows:
        known = ", ".join(dict.fromkeys(owner for owner, _ in published)) or "none"
        raise InputError(f'{task}: no published numbers of backbone "{backbone}" (there are {known})')
    return rows
