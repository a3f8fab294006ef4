"""From episodes to the numbers of a table: means over games, their intervals, paired differences.

A game's value is its mean over the repetitions that have it. Intervals are 95% percentile bootstrap intervals over
games. Everything comes from the episodes alone and is the same each time: games are taken in the order of their ids,
and the bootstrap has a fixed seed.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from eval_agent.report.experiment import Experiment, Row
from eval_agent.trajectories.episodes import CONTEXT_OVERFLOW, MEASURES

REWARD = "average_reward"
UNITS = {"average_reward": 100, "success_rate": 100, "average_steps": 1, "hallucination_rate": 100}  # the paper's
RESAMPLES = 10_000
MEAN = ["measure", "mean", "low", "high", "games"]
PUBLISHED = ["published", "published_backbone"]  # numbers of the outline that are of all task types together
RESTS_ON = ["runs", "episodes", "missing_episodes", "cut_short", "conversations"]
ENDS = ["", "_low", "_high", "_games", "_up", "_down"]  # of a difference's columns
# ends of the names of columns that count something
COUNTS = ("n_neighbours", "games", "planned", "runs", "episodes", "cut_short", "up", "down")


@dataclass(frozen=True)
class Report:
    """A table: one line of ``cells`` for each row, column and measure; one of ``by_type`` for each task type of a cell.

    Both hold the outline's columns (see :func:`report`), measure, mean, low, high, games and, for each reference,
    difference_from_<reference> with _low, _high, _games, _up and _down. ``cells`` adds runs, episodes,
    missing_episodes, cut_short (episodes that a full context ended) and conversations (a digest: equal where two
    cells rest on the same ones); ``by_type`` task_type, for the average reward and the first reference alone. What
    there is not is NaN.
    """

    experiment: Experiment  # of a model
    backbone: str  # measured
    published_backbone: str
    cells: pd.DataFrame
    by_type: pd.DataFrame


def report(experiment: Experiment, backbone: str, published_backbone: str, outline: pd.DataFrame,
           played: pd.DataFrame) -> Report:
    """The numbers of an experiment.

    ``outline``: a line for each row and column, with row, column (its title), task, split, all_games (the split's
    games), planned (repetitions) and whatever else the CSV shall have; ``played``: finished episodes as
    report.episodes has them, with row and repetition.
    """
    cells, by_type, references = [], [], experiment.reference_rows
    for (task, split), column in outline.groupby(["task", "split"], sort=False):
        here = played[(played["task"] == task) & (played["split"] == split)]
        games = per_game(here, len(experiment.rows))
        for line in column.to_dict("records"):
            rests_on = _rests_on(line, here[here["row"] == line["row"]])
            found = [_numbers(line["row"], games, measure, references) for measure in experiment.measures]
            cells += [line | rests_on | numbers for numbers in found]
            if "mean" in found[0]:
                kinds = games.groupby("task_type")
                found = [(kind, _numbers(line["row"], part, REWARD, references[:1])) for kind, part in kinds]
                by_type += [line | {"task_type": kind} | numbers for kind, numbers in found if "mean" in numbers]
    differences = [difference_from(row) + end for row in references for end in ENDS]
    of_type = [*outline.columns.drop(PUBLISHED, errors="ignore"), "task_type", *MEAN, *differences[:len(ENDS)]]
    return Report(
        experiment, backbone, published_backbone,
        _frame(cells, [*outline, *MEAN, *RESTS_ON, *differences], outline), _frame(by_type, of_type, outline),
    )  # fmt: skip


def estimate(values: pd.Series) -> dict[str, float]:
    """mean, low, high and games of a value for each game; empty where there is none."""
    if values.empty:
        return {}
    data = values.to_numpy(float)
    low = high = data.mean()
    if len(data) > 1:
        generator = np.random.default_rng(0)
        low, high = bootstrap((data,), np.mean, n_resamples=RESAMPLES, batch=1000, method="percentile",
                              rng=generator).confidence_interval
    return {"mean": data.mean(), "low": low, "high": high, "games": len(data)}


def difference(mine: pd.Series, reference: pd.Series) -> dict[str, float]:
    """:func:`estimate` of the paired difference on the games that both have, and the games that went up and down."""
    # values are means over runs: what differs in the last bit only is equal
    paired = (mine - reference).dropna().round(9) + 0.0
    found = estimate(paired)
    return found and {**found, "up": int((paired > 0).sum()), "down": int((paired < 0).sum())}


def per_game(episodes: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Each row's games by (row, task_id): the measures in the paper's units, means over repetitions, and task_type.

    Wins are shared among ``rows`` rows, so that they need all of them.
    """
    values = {name: UNITS[name] * value_of(episodes) for name, value_of in MEASURES.items()}
    how = dict.fromkeys(values, "mean") | {"task_type": "first"}
    games = episodes.assign(**values).groupby(["row", "task_id"]).agg(how)
    whole = episodes["row"].nunique() == rows
    return games.assign(step_wins=step_wins(games["average_steps"]) if whole else np.nan)


def step_wins(steps: pd.Series) -> pd.Series:
    """Win rate of planning steps (Figure 9): each row's share of each game, in percent; ``steps`` by (row, task_id).

    On each game that all rows played, the one with the fewest steps wins; a tie is shared evenly.
    """
    by_row = steps.unstack("row").dropna()
    fewest = by_row.le(by_row.min(axis=1) + 1e-9, axis=0)
    return (100 * fewest.div(fewest.sum(axis=1), axis=0)).unstack()


def difference_from(reference: Row) -> str:
    """The column of the differences from a reference."""
    return f"difference_from_{reference.method}" + ("" if reference.gamma is None else f"_gamma{reference.gamma:g}")


def _numbers(label: str, games: pd.DataFrame, measure: str, references: list[Row]) -> dict:
    """A row's mean over ``games`` and its differences from the other ``references``."""
    def of(row: str) -> pd.Series:
        return games.loc[games.index.get_level_values("row") == row, measure].droplevel("row").dropna()

    found = {"measure": measure, **estimate(of(label))}
    for row in references:
        if row.label != label:
            found |= zip((difference_from(row) + end for end in ENDS), difference(of(label), of(row.label)).values())
    return found


def _rests_on(line: dict, episodes: pd.DataFrame) -> dict:
    if episodes.empty:
        return {}
    digests = episodes.sort_values(["repetition", "task_id"])[["repetition", "task_id", "digest"]].to_csv(index=False)
    return {
        "runs": episodes["repetition"].nunique(),
        "episodes": len(episodes),
        "missing_episodes": line["planned"] * line["all_games"] - len(episodes),
        "cut_short": int((episodes["terminate_reason"] == CONTEXT_OVERFLOW).sum()),
        "conversations": hashlib.sha256(digests.encode()).hexdigest()[:8],
    }


def _frame(lines: list[dict], columns: list[str], outline: pd.DataFrame) -> pd.DataFrame:
    """``lines`` in the order of the outline's rows, counts as whole numbers."""
    order = {row: place for place, row in enumerate(dict.fromkeys(outline["row"]))}
    table = pd.DataFrame(lines, columns=columns)
    table = table.astype({name: "Int64" for name in columns if name.endswith(COUNTS)})
    return table.sort_values("row", key=lambda rows: rows.map(order), kind="stable", ignore_index=True)
