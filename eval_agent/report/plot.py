"""The measured rows of the table as bars with their intervals."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend has to be set first)

from eval_agent.report.rows import SPLITS, TITLES, Measure, Row  # noqa: E402

PANELS = ("average_reward", "average_steps", "hallucination_rate")


def plot_measures(rows: list[Row], path: Path) -> None:
    """Write a PNG: one panel a measure, a group of bars for seen and unseen, one colour a method."""
    methods = list(dict.fromkeys(row.method for row in rows))
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(3.6 * len(PANELS), 3.8), layout="constrained")
    for axis, name in zip(axes, PANELS):
        _panel(axis, name, rows, methods)
    handles, labels = axes[0].get_legend_handles_labels()
    shown = dict(zip(labels, handles))  # one entry a method, not one a bar
    columns = min(len(methods), 4)
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle("mean over games with its 95% bootstrap interval", fontsize=9, color="0.3")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _panel(axis, name: str, rows: list[Row], methods: list[str]) -> None:
    width = 0.8 / len(methods)
    splits = list(SPLITS.values())
    for row in rows:
        index = methods.index(row.method)
        place = splits.index(row.split) + (index - (len(methods) - 1) / 2) * width
        if row.measures:
            _bar(axis, place, width * 0.92, row.measures[name], row.method, f"C{index}")
        else:
            axis.text(place, 0, " missing", rotation=90, ha="center", va="bottom", fontsize=8, color="0.4")
    axis.set_title(TITLES[name], fontsize=10)
    axis.set_xticks(range(len(splits)), splits)
    axis.set_xlim(-0.55, len(splits) - 0.45)
    axis.margins(y=0.12)
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)


def _bar(axis, place: float, width: float, measure: Measure, method: str, color: str) -> None:
    error = [[measure.mean - measure.low], [measure.high - measure.mean]]
    axis.bar(place, measure.mean, width, yerr=error, label=method, color=color,
             error_kw={"capsize": 3, "elinewidth": 1, "ecolor": "0.25"})
    axis.annotate(f"{measure.mean:.1f}", (place, measure.high), xytext=(0, 3), textcoords="offset points",
                  ha="center", fontsize=8)
