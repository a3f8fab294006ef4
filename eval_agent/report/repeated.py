"""Statistics over repeated runs of the same games: a game's value is its mean over the repetitions.

Everything here comes from the episodes alone and is the same each time: games are taken in the order of their
ids, and the bootstrap has a fixed seed.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eval_agent.report.rows import UNITS
from eval_agent.report.summary import MEASURES, bootstrap_interval
from eval_agent.results import cut_short

Values = dict[str, float]  # by game


@dataclass(frozen=True)
class Estimate:
    """A mean over games with its 95% bootstrap interval over games, in the paper's units."""

    mean: float
    low: float
    high: float
    games: int

    @classmethod
    def of(cls, values: Values) -> "Estimate | None":
        """None where there are no games."""
        if not values:
            return None
        ordered = np.array([values[game] for game in sorted(values)])
        return cls(float(ordered.mean()), *bootstrap_interval(ordered), len(ordered))


@dataclass(frozen=True)
class Gain:
    """A paired difference: the mean over shared games of a method's value less the reference's."""

    estimate: Estimate
    better: int  # games with a higher value than the reference's; for steps these are the longer ones
    worse: int

    @classmethod
    def of(cls, mine: Values, reference: Values) -> "Gain | None":
        """None where the two share no game."""
        differences = {
            # means over runs: what differs in the last bit only is equal
            game: round(mine[game] - reference[game], 9) + 0.0
            for game in mine.keys() & reference.keys()
        }
        estimate = Estimate.of(differences)
        if estimate is None:
            return None
        signs = [np.sign(value) for value in differences.values()]
        return cls(estimate, signs.count(1), signs.count(-1))


@dataclass(frozen=True)
class Played:
    """What was played of one cell of a table: the split's games and each repetition's finished episodes."""

    games: tuple[str, ...]
    runs: list[dict[str, dict]]  # "meta" by game

    @property
    def episodes(self) -> int:
        return sum(len(run) for run in self.runs)

    @property
    def started(self) -> int:
        """Runs of which there is anything."""
        return sum(bool(run) for run in self.runs)

    @property
    def lacking(self) -> int:
        """Episodes that are not there."""
        return len(self.games) * len(self.runs) - self.episodes

    @property
    def unplayed(self) -> int:
        """Games without any episode."""
        return len(self.games) - len(self.types)

    @property
    def cut_short(self) -> int:
        """Episodes that a full context ended."""
        return sum(cut_short(meta) for run in self.runs for meta in run.values())

    @property
    def digests(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """What was said in each game of each run, as digests: equal where two rows rest on the same episodes."""
        return tuple(tuple(sorted((game, meta["digest"]) for game, meta in run.items())) for run in self.runs)

    @cached_property
    def types(self) -> dict[str, str]:
        """The task type of each game that was played."""
        return {game: meta["task_type"] for run in self.runs for game, meta in run.items()}

    def values(self, measure: str) -> Values:
        """Each played game's mean over the repetitions that have it, in the paper's units."""
        found: dict[str, list[float]] = {}
        for run in self.runs:
            for game, meta in run.items():
                found.setdefault(game, []).append(UNITS[measure] * MEASURES[measure](meta))
        return {game: float(np.mean(values)) for game, values in found.items()}


def step_wins(steps: dict[str, Values]) -> dict[str, Values]:
    """Win rate of planning steps (Figure 9): each method's share of each game, in percent.

    On each game that all methods played, the one with the fewest steps wins; a tie is shared evenly.
    """
    shared = set.intersection(*(set(values) for values in steps.values()))
    wins: dict[str, Values] = {method: {} for method in steps}
    for game in shared:
        fewest = min(values[game] for values in steps.values())
        winners = [method for method, values in steps.items() if abs(values[game] - fewest) < 1e-9]
        for method in steps:
            wins[method][game] = 100 / len(winners) if method in winners else 0.0
    return wins
