"""Statistics over repetitions, against numbers worked out by hand."""

import pytest

from eval_agent.report.repeated import Estimate, Gain, Played, step_wins
from tests.eval_agent.sciworld_chain import episode


def run(**rewards):
    """A repetition: reward and steps by game; steps are 10 for a won game, else 40."""
    return {
        game: episode(game, reward=reward, steps=10 if reward else 40, invalid=int(not reward))["meta"]
        for game, reward in rewards.items()
    }


def test_a_game_s_value_is_its_mean_over_the_repetitions():
    played = Played(("a", "b"), [run(a=1, b=0), run(a=1, b=0), run(a=0, b=0)])
    assert played.values("average_reward") == {"a": pytest.approx(200 / 3), "b": 0}
    assert played.values("average_steps") == {"a": 20, "b": 40}
    assert played.values("hallucination_rate") == {"a": pytest.approx(100 / 3), "b": 100}
    estimate = Estimate.of(played.values("average_reward"))
    assert estimate.mean == pytest.approx(100 / 3) and estimate.games == 2
    # two games, drawn twice: both are b in a quarter of the resamples, both are a in another
    assert (estimate.low, estimate.high) == (0, pytest.approx(200 / 3))


def test_a_run_that_is_not_whole_is_counted():
    played = Played(("a", "b", "c"), [run(a=1, b=0), run(a=0), {}])
    assert (played.episodes, played.lacking, played.unplayed, played.started) == (3, 6, 1, 2)
    assert played.values("average_reward") == {"a": 50, "b": 0}
    assert Estimate.of(Played(("a",), [{}]).values("average_reward")) is None


def test_the_interval_is_the_normal_one_for_many_games():
    values = {f"game {n}": 100.0 * (n < 30) for n in range(100)}
    estimate = Estimate.of(values)
    assert (estimate.low, estimate.high) == pytest.approx((21, 39), abs=1.1)
    assert estimate == Estimate.of(dict(reversed(values.items())))


def test_a_paired_difference_is_over_the_shared_games():
    gain = Gain.of({"a": 100, "b": 50, "c": 0, "only mine": 100}, {"a": 0, "b": 50, "c": 25, "other": 0})
    assert (gain.estimate.mean, gain.estimate.games) == (25, 3)
    assert (gain.better, gain.worse) == (1, 1)
    assert Gain.of({"a": 1}, {"b": 1}) is None


def test_the_fewest_steps_win_a_game_and_ties_are_shared():
    wins = step_wins(
        {
            "WKM": {"a": 5, "b": 10, "c": 40, "only here": 1},
            "ETO": {"a": 7, "b": 10, "c": 40},
            "NAT": {"a": 7, "b": 12, "c": 40},
        }
    )
    assert wins["WKM"] == pytest.approx({"a": 100, "b": 50, "c": 100 / 3})
    assert wins["ETO"] == pytest.approx({"a": 0, "b": 50, "c": 100 / 3})
    assert sum(sum(values.values()) for values in wins.values()) == pytest.approx(300)
