"""From episodes to the numbers of a table: means over games, their intervals, paired differences.

A game's value is its mean over the repetitions that have it, for each training run. Intervals are over games, and where
several training runs were played over these too (intervals.py). Everything comes from the episodes alone and is the
same each time: games are taken in the order of their ids, and the bootstrap has a fixed seed.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval_agent.report.experiment import Experiment, Row
from eval_agent.report.intervals import over_games, over_runs_and_games
from eval_agent.trajectories.episodes import CONTEXT_OVERFLOW, MEASURES

REWARD = "average_reward"
UNITS = {"average_reward": 100, "success_rate": 100, "average_steps": 1, "hallucination_rate": 100}  # the paper's
MEAN = ["measure", "mean", "low", "high", "games"]
PUBLISHED = ["published", "published_backbone"]  # numbers of the outline that are of all task types together
SPREAD = ["spread", "games_alone_low", "games_alone_high"]
OF_TRAINING = "mean_training"  # with the training run's number a column
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
    cells rest on the same ones); ``by_type`` task_type, for the average reward and the first reference alone. Where the
    experiment has several training runs, there are also the values of :func:`spread`. What there is not is NaN.
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
    games), planned (runs) and whatever else the CSV shall have; ``played``: finished episodes as
    report.episodes has them, with row, training (the number of the training run) and repetition.
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
    of_runs = [f"{OF_TRAINING}{k}" for k in range(1, experiment.training_runs + 1)]
    mean = [*MEAN, *of_runs, *SPREAD] if experiment.training_runs > 1 else MEAN
    of_type = [*outline.columns.drop(PUBLISHED, errors="ignore"), "task_type", *mean, *differences[:len(ENDS)]]
    return Report(
        experiment, backbone, published_backbone,
        _frame(cells, [*outline, *mean, *RESTS_ON, *differences], outline), _frame(by_type, of_type, outline),
    )  # fmt: skip


def estimate(values: pd.Series) -> dict[str, float]:
    """mean, low, high and games of a value for each game by task_id, or for each training run and game; empty where
    there is none. Of several training runs the games count that all of them have."""
    table = _by_training(values)
    if not table.size:
        return {}
    low, high = over_runs_and_games(table) if min(table.shape) > 1 else over_games(table.mean(axis=0))
    return {"mean": table.mean(), "low": low, "high": high, "games": table.shape[1]}


def spread(values: pd.Series) -> dict[str, float]:
    """What chance in training makes of :func:`estimate`: the mean of each training run, the standard deviation of these
    means, and the interval over games alone, as if the adapters were the only ones. Empty where one run was played."""
    table = _by_training(values)
    if not table.size or len(table) == 1:
        return {}
    means, (low, high) = table.mean(axis=1), over_games(table.mean(axis=0))
    trained = values.index.get_level_values("training").unique().sort_values()
    of_runs = {f"{OF_TRAINING}{k}": mean for k, mean in zip(trained, means)}
    return {**of_runs, **dict(zip(SPREAD, (means.std(ddof=1), low, high)))}


def _by_training(values: pd.Series) -> np.ndarray:
    """Values [training runs, games] of the games that all of these runs have."""
    if "training" not in values.index.names:
        return values.to_numpy(float)[None]
    return values.unstack("training").dropna().to_numpy(float).T


def difference(mine: pd.Series, reference: pd.Series) -> dict[str, float]:
    """:func:`estimate` of the paired difference on the games that both have, within each training run, and the games that
    went up and down."""
    # values are means over runs: what differs in the last bit only is equal
    paired = (mine - reference).dropna().round(9) + 0.0
    found = estimate(paired)
    if not found:
        return {}
    of_games = _by_training(paired).mean(axis=0).round(9)
    return {**found, "up": int((of_games > 0).sum()), "down": int((of_games < 0).sum())}


def per_game(episodes: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Each row's games by (row, training, task_id): the measures in the paper's units, means over repetitions, and
    task_type.

    Wins are shared among ``rows`` rows, so that they need all of them.
    """
    values = {name: UNITS[name] * value_of(episodes) for name, value_of in MEASURES.items()}
    how = dict.fromkeys(values, "mean") | {"task_type": "first"}
    games = episodes.assign(**values).groupby(["row", "training", "task_id"]).agg(how)
    whole = episodes["row"].nunique() == rows
    return games.assign(step_wins=step_wins(games["average_steps"]) if whole else np.nan)


def step_wins(steps: pd.Series) -> pd.Series:
    """Win rate of planning steps (Figure 9): each row's share of each game, in percent; ``steps`` by (row, ..., task_id).

    On each game that all rows played, the one with the fewest steps wins; a tie is shared evenly.
    """
    by_row = steps.unstack("row").dropna()
    fewest = by_row.le(by_row.min(axis=1) + 1e-9, axis=0)
    return (100 * fewest.div(fewest.sum(axis=1), axis=0)).stack().reorder_levels(steps.index.names)


def difference_from(reference: Row) -> str:
    """The column of the differences from a reference."""
    return f"difference_from_{reference.method}" + ("" if reference.gamma is None else f"_gamma{reference.gamma:g}")


def _numbers(label: str, games: pd.DataFrame, measure: str, references: list[Row]) -> dict:
    """A row's mean over ``games`` and its differences from the other ``references``."""
    def of(row: str) -> pd.Series:
        return games.loc[games.index.get_level_values("row") == row, measure].droplevel("row").dropna()

    most = np.inf if measure == "average_steps" else 100.0
    found = {"measure": measure, **_within(estimate(of(label)), 0.0, most), **spread(of(label))}
    for row in references:
        if row.label != label:
            paired = _within(difference(of(label), of(row.label)), -most, most)
            found |= zip((difference_from(row) + end for end in ENDS), paired.values())
    return found


def _within(found: dict[str, float], least: float, most: float) -> dict[str, float]:
    """``found`` with its interval cut to what a mean can be: one over training runs knows no bounds."""
    return found | {end: float(np.clip(found[end], least, most)) for end in ("low", "high") if end in found}


def _rests_on(line: dict, episodes: pd.DataFrame) -> dict:
    if episodes.empty:
        return {}
    ordered = episodes.sort_values(["training", "repetition", "task_id"])
    digests = ordered[["repetition", "task_id", "digest"]].to_csv(index=False)
    return {
        "runs": len(episodes[["training", "repetition"]].drop_duplicates()),
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
