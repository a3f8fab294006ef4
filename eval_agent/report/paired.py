"""Differences between two methods on the same games: what is left once the games' own difficulty is out."""

from dataclasses import dataclass
from pathlib import Path

from eval_agent.report.repeated import Gain, Values
from eval_agent.report.rows import SPLITS, UNITS
from eval_agent.results import read_episodes


@dataclass(frozen=True)
class Difference:
    """``method`` less ``reference`` on the games of ``split`` that both finished; reward x 100."""

    method: str
    reference: str
    split: str
    gain: Gain


def differences(runs: dict[str, Path]) -> list[Difference]:
    """Every run against the first one, on each split where they share finished games."""
    (reference, first), *others = runs.items()
    found = []
    for split, name in SPLITS.items():
        base = _rewards(first / split)
        for method, folder in others:
            if gain := Gain.of(_rewards(folder / split), base):
                found.append(Difference(method, reference, name, gain))
    return found


def sentence(difference: Difference) -> str:
    """The difference in words."""
    gain, mean = difference.gain, difference.gain.estimate
    return (f"On the same {mean.games} {difference.split} games, {difference.method} against "
            f"{difference.reference}: average reward x 100 {mean.mean:+.2f} [{mean.low:+.1f}, {mean.high:+.1f}], "
            f"better in {gain.better}, worse in {gain.worse}.")


def _rewards(folder: Path) -> Values:
    metas = [episode["meta"] for episode in read_episodes(folder)]
    return {meta["task_id"]: UNITS["average_reward"] * meta["reward"] for meta in metas if meta["finished"]}
