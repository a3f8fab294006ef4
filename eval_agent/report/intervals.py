"""95% intervals of a mean: over games, and over training runs and games together. Knows neither methods nor files.

Games are many, so they are drawn anew (percentile bootstrap). Training runs are few, mostly three, and drawing from
three runs gives intervals that are far too short; besides, all runs play the same games, which a bootstrap that draws
games within each run forgets. So two sources of chance are taken apart as in an analysis of variance. The tests hold
the coverage of all of it on simulated tables.
"""

import numpy as np
from scipy.stats import bootstrap, t

RESAMPLES = 10_000


def over_games(values: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap of the mean of ``values`` [games]; a point where there is one game. The same each time."""
    if len(values) == 1:
        return values[0], values[0]
    generator = np.random.default_rng(0)
    return tuple(bootstrap((values,), np.mean, n_resamples=RESAMPLES, batch=1000, method="percentile",
                           rng=generator).confidence_interval)


def over_runs_and_games(values: np.ndarray) -> tuple[float, float]:
    """Interval of the mean of ``values`` [training runs, games], for other training runs and other games.

    A value is mean + run + game + rest, so with the mean squares of runs, games and rest the mean's variance is
    (MS_runs + MS_games - MS_rest) / (runs * games), at least MS_games / (runs * games): chance in training takes
    nothing away. Student's t with Satterthwaite's degrees of freedom, few where the runs differ.
    """
    runs, games = values.shape
    mean, of_run, of_game = values.mean(), values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = values - of_run - of_game + mean
    freedom = np.array([runs - 1, games - 1, (runs - 1) * (games - 1)])
    squares = np.array([games * ((of_run - mean) ** 2).sum(), runs * ((of_game - mean) ** 2).sum(), (rest**2).sum()])
    squares /= freedom
    if squares[0] <= squares[2]:
        variance, effective = squares[1], freedom[1]
    else:
        variance = squares @ [1, 1, -1]
        effective = variance**2 / (squares**2 / freedom).sum()
    half = t.ppf(0.975, effective) * np.sqrt(variance / values.size)
    return mean - half, mean + half
