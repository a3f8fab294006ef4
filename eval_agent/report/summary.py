"""The paper's measures over finished episodes, with bootstrap intervals over games."""

from collections.abc import Callable

import numpy as np

# a finished episode's value, from its "meta", by the paper's definitions (Tables 1 to 3)
MEASURES: dict[str, Callable[[dict], float]] = {
    "average_reward": lambda meta: float(meta["reward"]),
    "success_rate": lambda meta: float(meta["success"]),
    "average_steps": lambda meta: float(meta["steps"]),
    "hallucination_rate": lambda meta: float(meta["invalid_actions"] > 0),  # at least one invalid action
}


def summarize(episodes: list[dict]) -> dict:
    """Mean of every measure over the finished ``episodes``, their number ``games``, and ``failures``.

    Shares are fractions of 1; a measure is None where no episode finished. ``failures`` names each episode
    that a technical fault ended.
    """
    metas = [episode["meta"] for episode in episodes]
    values = values_of(episodes)
    return {
        "games": len(values["success_rate"]),
        **{name: float(values[name].mean()) if values[name].size else None for name in MEASURES},
        "failures": [{"task_id": m["task_id"], "error": m["error"]} for m in metas if not m["finished"]],
    }


def summarize_by_type(episodes: list[dict]) -> dict[str, dict]:
    """:func:`summarize` for the episodes of each task type."""
    types = sorted({episode["meta"]["task_type"] for episode in episodes})
    return {kind: summarize([e for e in episodes if e["meta"]["task_type"] == kind]) for kind in types}


def values_of(episodes: list[dict]) -> dict[str, np.ndarray]:
    """Each measure's value in every finished episode: float arrays of shape [games]."""
    metas = [episode["meta"] for episode in episodes if episode["meta"]["finished"]]
    return {name: np.array([value_of(meta) for meta in metas], float) for name, value_of in MEASURES.items()}


def bootstrap_interval(values: np.ndarray, level: float = 0.95, resamples: int = 10_000, seed: int = 0,
                       ) -> tuple[float, float]:
    """Percentile interval of the mean of ``values`` [games], games drawn again with replacement."""
    generator = np.random.default_rng(seed)
    # the mean of a resample depends only on how often each game was drawn
    counts = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), size=resamples)
    means = counts @ values / len(values)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
