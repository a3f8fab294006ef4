"""Differences between two methods on the same games: what is left once the games' own difficulty is out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval_agent.report.rows import SPLITS, UNITS, Measure
from eval_agent.report.summary import bootstrap_interval
from eval_agent.results import read_episodes


@dataclass(frozen=True)
class Difference:
    """``method`` less ``reference`` on the ``games`` that both finished; reward x 100."""

    method: str
    reference: str
    split: str
    reward: Measure
    better: int
    worse: int
    games: int


def differences(runs: dict[str, Path]) -> list[Difference]:
    """Every run against the first one, on each split where they share finished games."""
    (reference, first), *others = runs.items()
    found = []
    for split, name in SPLITS.items():
        base = _rewards(first / split)
        for method, folder in others:
            mine = _rewards(folder / split)
            games = sorted(base.keys() & mine.keys())
            if games:
                gain = UNITS["average_reward"] * np.array([mine[game] - base[game] for game in games])
                mean = Measure(float(gain.mean()), *bootstrap_interval(gain))
                counts = int((gain > 0).sum()), int((gain < 0).sum()), len(games)
                found.append(Difference(method, reference, name, mean, *counts))
    return found


def sentence(difference: Difference) -> str:
    """The difference in words."""
    gain = difference.reward
    return (f"On the same {difference.games} {difference.split} games, {difference.method} against "
            f"{difference.reference}: average reward x 100 {gain.mean:+.2f} [{gain.low:+.1f}, {gain.high:+.1f}], "
            f"better in {difference.better}, worse in {difference.worse}.")


def _rewards(folder: Path) -> dict[str, float]:
    metas = [episode["meta"] for episode in read_episodes(folder)]
    return {meta["task_id"]: meta["reward"] for meta in metas if meta["finished"]}
