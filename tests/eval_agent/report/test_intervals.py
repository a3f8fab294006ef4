"""Intervals cover what they say: on a thousand simulated tables whose true mean is known, 92 to 97 of a hundred hold it.

A simulated game is won with a probability that depends on how easy the game is (the same for all methods and training
runs), on what this method makes of it, and on the training run's luck; each is played twice, as in the paper's tables.
"""

import numpy as np
import pytest
from scipy.special import expit, roots_hermitenorm

from eval_agent.report import intervals
from eval_agent.report.intervals import over_games, over_runs_and_games

TABLES, GAMES, PLAYS = 1000, 140, 2
EASE, OWN = 2.0, 1.0  # standard deviations of the logits: between games, and of a method's own on each of them
SKILLS = 2.2, 1.5  # of two methods: 78 and 70% won


def two_methods(luck: float, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Wins in % [tables, training runs, games] of both; ``luck`` is the standard deviation between training runs."""
    rng = np.random.default_rng(0)
    ease = rng.normal(0, EASE, (TABLES, 1, GAMES))

    def play(skill: float) -> np.ndarray:
        of_game, of_run = rng.normal(0, OWN, (TABLES, 1, GAMES)), rng.normal(0, luck, (TABLES, runs, 1))
        return 100 * rng.binomial(PLAYS, expit(skill + ease + of_game + of_run)) / PLAYS

    return play(SKILLS[0]), play(SKILLS[1])


def truth(skill: float, luck: float) -> float:
    """Games won in % over all games and training runs: the mean over a normal distribution, by quadrature."""
    points, weights = roots_hermitenorm(80)
    logits = skill + np.linalg.norm([EASE, OWN, luck]) * points
    return 100 * (weights * expit(logits)).sum() / weights.sum()


def coverage(interval, tables: np.ndarray, mean: float) -> float:
    low, high = np.array([interval(table) for table in tables]).T
    return ((low <= mean) & (mean <= high)).mean()


def test_an_interval_over_games_covers_a_mean_and_a_paired_difference(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 1000)  # 10,000 move an end by a tenth of a point and take minutes here
    first, second = (values[:, 0] for values in two_methods(luck=0, runs=1))
    assert 0.92 <= coverage(over_games, first, truth(SKILLS[0], 0)) <= 0.97
    assert 0.92 <= coverage(over_games, first - second, truth(SKILLS[0], 0) - truth(SKILLS[1], 0)) <= 0.97


@pytest.mark.parametrize("luck", [0, 0.2, 0.4])  # three runs then differ by 1.7, 2.5 and 3.9 points
def test_an_interval_over_three_training_runs_and_games_covers_however_much_the_runs_differ(luck):
    first, second = two_methods(luck, runs=3)
    assert 0.92 <= coverage(over_runs_and_games, first, truth(SKILLS[0], luck)) <= 0.97
    assert 0.92 <= coverage(over_runs_and_games, first - second, truth(SKILLS[0], luck) - truth(SKILLS[1], luck)) <= 0.97


def test_drawing_runs_and_then_games_anew_would_not_do():
    first, second = two_methods(luck=0.4, runs=3)
    rng = np.random.default_rng(0)

    def bootstrap(values: np.ndarray) -> np.ndarray:
        drawn = values[rng.integers(3, size=(300, 3))]  # [resamples, runs, games]
        counts = rng.multinomial(GAMES, np.full(GAMES, 1 / GAMES), size=drawn.shape[:2])
        return np.quantile((drawn * counts).sum(axis=(1, 2)) / (3 * GAMES), [0.025, 0.975])

    mean = truth(SKILLS[0], 0.4) - truth(SKILLS[1], 0.4)
    assert coverage(bootstrap, (first - second)[:300], mean) < 0.9


def test_the_mean_squares_by_hand():
    # runs 1 and 3, games 1 and 3, no rest: MS of both 4, variance (4 + 4) / 4, 64 / (16 + 16) = 2 degrees of freedom
    low, high = over_runs_and_games(np.array([[0.0, 2.0], [2.0, 4.0]]))
    assert ((low + high) / 2, (high - low) / 2) == pytest.approx((2, 4.302653 * 2**0.5))
    # runs that agree in the mean are a t interval over the games' means
    values = np.array([[0.0, 10.0, 5.0], [10.0, 0.0, 5.0], [5.0, 5.0, 5.0]])
    assert over_runs_and_games(values) == pytest.approx((5, 5))
    values = np.array([[0.0, 10.0, 20.0], [10.0, 0.0, 20.0]])
    assert over_runs_and_games(values) == pytest.approx((10 - 4.302653 * 5, 10 + 4.302653 * 5))
