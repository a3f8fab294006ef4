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

from eval_agent.report.experiment import Experiment, Row, column_title
from eval_agent.trajectories.episodes import CONTEXT_OVERFLOW, MEASURES

CELL = ["row", "method", "task", "split"]
REWARD = "average_reward"
UNITS = {"average_reward": 100, "success_rate": 100, "average_steps": 1, "hallucination_rate": 100}  # the paper's
RESAMPLES = 10_000
NUMBERS = ["measure", "mean", "low", "high", "games", "runs", "episodes", "missing_episodes", "cut_short",
           "conversations"]
ENDS = ("", "_low", "_high", "_games", "_up", "_down")  # of a difference's columns
COUNTS = ("n_neighbours", "games", "planned", "runs", "episodes", "cut_short", "up", "down")  # ends of such columns' names
BY_TYPE = [*CELL, "task_type", REWARD, "low", "high", "games", "difference", "difference_low", "difference_high",
           "difference_games", "up", "down", "difference_from"]


@dataclass(frozen=True)
class Report:
    """A table: one line of ``cells`` for each row, column and measure; one of ``by_type`` for each task type in it.

    ``cells`` holds the outline's columns (see :func:`report`) and measure, mean, low, high, games, runs, episodes,
    missing_episodes, cut_short (episodes that a full context ended), conversations (equal where two cells rest on
    the same ones), and difference_from_<reference> with _low, _high, _games, _up and _down. ``by_type`` has the
    average reward in percent, in ALFWorld the success rate. What there is not is NaN.
    """

    experiment: Experiment  # of a model
    backbone: str  # measured
    published_backbone: str
    cells: pd.DataFrame
    by_type: pd.DataFrame

    def by_column(self) -> dict[str, pd.DataFrame]:
        """Each column's cells by its title, of the first measure."""
        first = self.cells[self.cells["measure"] == self.experiment.measures[0]]
        return {column_title(*column): cells for column, cells in first.groupby(["task", "split"], sort=False)}


def report(experiment: Experiment, backbone: str, published_backbone: str, outline: pd.DataFrame,
           played: pd.DataFrame) -> Report:
    """The numbers of an experiment.

    ``outline``: a line for each row and column, with row, method, task, split, all_games (the split's games) and
    planned (repetitions); ``played``: finished episodes as report.episodes has them, with row and repetition.
    """
    cells, by_type = [], []
    for (task, split), column in outline.groupby(["task", "split"], sort=False):
        here = played[(played["task"] == task) & (played["split"] == split)]
        games = _games(experiment, here)
        for line in column.to_dict("records"):
            mine = here[here["row"] == line["row"]]
            found = [_cell(experiment, line["row"], measure, games) for measure in experiment.measures]
            cells += [line | _counts(line, mine) | cell for cell in found]
            by_type += _by_type(experiment, line, games) if "mean" in found[0] else []
    differences = [reference_name(row) + end for row in experiment.reference_rows for end in ENDS]
    return Report(experiment, backbone, published_backbone, _frame(cells, [*outline, *NUMBERS, *differences], outline),
                  _frame(by_type, BY_TYPE, outline))


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


def per_game(episodes: pd.DataFrame) -> pd.DataFrame:
    """Each row's games by (row, task_id): the measures in the paper's units, means over repetitions, and task_type."""
    values = {name: UNITS[name] * value_of(episodes) for name, value_of in MEASURES.items()}
    how = dict.fromkeys(values, "mean") | {"task_type": "first"}
    return episodes.assign(**values).groupby(["row", "task_id"]).agg(how)


def step_wins(steps: pd.Series) -> pd.Series:
    """Win rate of planning steps (Figure 9): each row's share of each game, in percent; ``steps`` by (row, task_id).

    On each game that all rows played, the one with the fewest steps wins; a tie is shared evenly.
    """
    by_row = steps.unstack("row").dropna()
    fewest = by_row.le(by_row.min(axis=1) + 1e-9, axis=0)
    return (100 * fewest.div(fewest.sum(axis=1), axis=0)).unstack()


def reference_name(row: Row) -> str:
    """The column of the differences from a reference."""
    return f"difference_from_{row.method}" + ("" if row.gamma is None else f"_gamma{row.gamma:g}")


def _frame(lines: list[dict], columns: list[str], outline: pd.DataFrame) -> pd.DataFrame:
    """``lines`` with whole numbers as such, in the order of the outline's rows."""
    order = {row: place for place, row in enumerate(dict.fromkeys(outline["row"]))}
    table = pd.DataFrame(lines, columns=columns)
    table = table.astype({name: "Int64" for name in columns if name.endswith(COUNTS)})
    return table.sort_values("row", key=lambda rows: rows.map(order), kind="stable", ignore_index=True)


def _games(experiment: Experiment, episodes: pd.DataFrame) -> pd.DataFrame:
    """:func:`per_game`, with wins where every row has games: they are shared among all."""
    games = per_game(episodes)
    whole = {row.label for row in experiment.rows} == set(episodes["row"])
    return games.assign(step_wins=step_wins(games["average_steps"]) if whole else np.nan)


def _of_row(games: pd.DataFrame, label: str, measure: str) -> pd.Series:
    """A row's value of each game."""
    return games.loc[games.index.get_level_values("row") == label, measure].droplevel("row").dropna()


def _counts(line: dict, episodes: pd.DataFrame) -> dict:
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


def _cell(experiment: Experiment, label: str, measure: str, games: pd.DataFrame) -> dict:
    mine = _of_row(games, label, measure)
    found = {"measure": measure, **estimate(mine)}
    for row in experiment.reference_rows:
        if row.label != label:
            compared = difference(mine, _of_row(games, row.label, measure))
            found |= {reference_name(row) + end: number for end, number in zip(ENDS, compared.values())}
    return found


def _by_type(experiment: Experiment, line: dict, games: pd.DataFrame) -> list[dict]:
    """A line's rewards by task type, against the first reference."""
    mine, first = _of_row(games, line["row"], REWARD), experiment.reference_rows[:1]
    kinds = _of_row(games, line["row"], "task_type")
    found = []
    for kind, group in mine.groupby(kinds):
        one = {name: line[name] for name in CELL} | {"task_type": kind}
        one |= dict(zip(BY_TYPE[5:], estimate(group).values()))
        if first and first[0].label != line["row"]:
            compared = difference(group, _of_row(games, first[0].label, REWARD))
            one |= dict(zip(BY_TYPE[9:], [*compared.values(), first[0].method])) if compared else {}
        found.append(one)
    return found
