"""Statistics over repetitions, against numbers worked out by hand."""

import pandas as pd
import pytest

from eval_agent.report.summary import difference, estimate, per_game, spread, step_wins
from tests.eval_agent.toy_paper import episode


def played(*repetitions, row="WKM"):
    """Episodes as a table: rewards by game in each repetition; steps are 10 for a won game, else 40."""
    found = [
        {**episode(game, reward=reward, steps=10 if reward else 40, invalid=int(not reward))["meta"],
         "row": row, "training": 1, "repetition": k}
        for k, rewards in enumerate(repetitions, 1) for game, reward in rewards.items()
    ]
    return pd.DataFrame(found)


def values(**of_games):
    return pd.Series(of_games, dtype=float)


def test_a_game_s_value_is_its_mean_over_the_repetitions_that_have_it():
    games = per_game(played({"a": 1, "b": 0}, {"a": 1, "b": 0}, {"a": 0}), rows=2).droplevel(["row", "training"])
    assert games["average_reward"].to_dict() == {"a": pytest.approx(200 / 3), "b": 0}
    assert games["average_steps"].to_dict() == {"a": 20, "b": 40}
    assert games["hallucination_rate"].to_dict() == {"a": pytest.approx(100 / 3), "b": 100}
    found = estimate(games["average_reward"])
    assert found["mean"] == pytest.approx(100 / 3) and found["games"] == 2
    # two games, drawn twice: both are b in a quarter of the resamples, both are a in another
    assert (found["low"], found["high"]) == (0, pytest.approx(200 / 3))


def test_the_interval_is_the_normal_one_for_many_games_and_the_same_each_time():
    games = values(**{f"g{n}": 100.0 * (n < 30) for n in range(100)})
    found = estimate(games)
    # normal approximation of a share of 0.3 over 100 games: 30 +- 1.96 * sqrt(30 * 70 / 100)
    assert (found["low"], found["high"]) == pytest.approx((21, 39), abs=1.1)
    assert estimate(games) == found


def test_an_interval_of_equal_values_or_of_one_game_is_a_point_and_of_none_nothing():
    assert estimate(values(a=1, b=1)) == {"mean": 1, "low": 1, "high": 1, "games": 2}
    assert estimate(values(a=5)) == {"mean": 5, "low": 5, "high": 5, "games": 1}
    assert estimate(values()) == {}


def test_a_paired_difference_is_over_the_shared_games():
    found = difference(values(a=100, b=50, c=0, mine=100), values(a=0, b=50, c=25, other=0))
    assert (found["mean"], found["games"], found["up"], found["down"]) == (25, 3, 1, 1)
    assert difference(values(a=1), values(b=1)) == {}


def trained(*of_runs):
    """Values by training run and game."""
    return pd.concat({k: pd.Series(games, dtype=float) for k, games in enumerate(of_runs, 1)}, names=["training", "task_id"])


def test_several_training_runs_count_on_the_games_that_all_of_them_have():
    wins = trained({"a": 0, "b": 20}, {"a": 20, "b": 40, "c": 100})
    found = estimate(wins)
    # means 10 and 30 of runs and of games, no rest: tests of intervals.py
    assert (found["mean"], found["games"]) == (20, 2)
    assert found["high"] - found["mean"] == pytest.approx(43.02653 * 2**0.5)
    told = spread(wins)
    assert (told["mean_training1"], told["mean_training2"], told["spread"]) == (10, 30, pytest.approx(200**0.5))
    assert (told["games_alone_low"], told["games_alone_high"]) == (10, 30)  # two games' means, drawn twice
    assert spread(trained({"a": 1, "b": 2})) == {}


def test_a_difference_is_paired_training_run_by_training_run():
    found = difference(trained({"a": 100, "b": 50}, {"a": 50, "b": 0}), trained({"a": 0, "b": 50}, {"a": 50, "b": 50}))
    assert (found["mean"], found["games"], found["up"], found["down"]) == (12.5, 2, 1, 1)
    only_one = difference(trained({"a": 100}, {"a": 50}), trained({"a": 40}))
    assert (only_one["mean"], only_one["low"], only_one["high"]) == (60, 60, 60)


def test_the_fewest_steps_win_a_game_and_ties_are_shared():
    steps = {"WKM": values(a=5, b=10, c=40, only_here=1), "ETO": values(a=7, b=10, c=40), "NAT": values(a=7, b=12, c=40)}
    wins = step_wins(pd.concat(steps, names=["row", "task_id"]))
    assert wins["WKM"].to_dict() == pytest.approx({"a": 100, "b": 50, "c": 100 / 3})
    assert wins["ETO"].to_dict() == pytest.approx({"a": 0, "b": 50, "c": 100 / 3})
    assert wins.sum() == pytest.approx(300)
