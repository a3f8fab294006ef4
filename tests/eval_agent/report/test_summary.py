"""Statistics over repetitions, against numbers worked out by hand."""

import pandas as pd
import pytest

from eval_agent.report.summary import difference, estimate, per_game, step_wins
from tests.eval_agent.toy_paper import episode


def played(*repetitions, row="WKM"):
    """Episodes as a table: rewards by game in each repetition; steps are 10 for a won game, else 40."""
    found = [
        {**episode(game, reward=reward, steps=10 if reward else 40, invalid=int(not reward))["meta"],
         "row": row, "repetition": k}
        for k, rewards in enumerate(repetitions, 1) for game, reward in rewards.items()
    ]
    return pd.DataFrame(found)


def values(**of_games):
    return pd.Series(of_games, dtype=float)


def test_a_game_s_value_is_its_mean_over_the_repetitions_that_have_it():
    games = per_game(played({"a": 1, "b": 0}, {"a": 1, "b": 0}, {"a": 0}), rows=2).droplevel("row")
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


def test_the_fewest_steps_win_a_game_and_ties_are_shared():
    steps = {"WKM": values(a=5, b=10, c=40, only_here=1), "ETO": values(a=7, b=10, c=40), "NAT": values(a=7, b=12, c=40)}
    wins = step_wins(pd.concat(steps, names=["row", "task_id"]))
    assert wins["WKM"].to_dict() == pytest.approx({"a": 100, "b": 50, "c": 100 / 3})
    assert wins["ETO"].to_dict() == pytest.approx({"a": 0, "b": 50, "c": 100 / 3})
    assert wins.sum() == pytest.approx(300)
