"""A report as a picture, PNG and PDF: ours filled with its interval, the paper's values hollow beside it.

Seen and unseen differ in shade and in marker, so that a print in black and white can be read; blue and orange are told
apart by colour-blind people. Above the legend stands what all rests on: games, seeds, what is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend has to be set first)
from matplotlib.patches import Patch  # noqa: E402
from matplotlib.ticker import MultipleLocator  # noqa: E402

from eval_agent.report.experiment import SPLITS, TITLES  # noqa: E402
from eval_agent.report.summary import Report  # noqa: E402

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,  # text as text: publishers refuse matplotlib's own kind of font
}
FILLS = {
    "dev": {"color": "#1f4e79"},
    "test": {"facecolor": "#bcd2e8", "edgecolor": "#1f4e79", "hatch": "////"},
}
LINES = {"dev": {"color": "#1f4e79", "linestyle": "-"}, "test": {"color": "#c0651a", "linestyle": "--"}}
MARKERS = {"dev": "D", "test": "s"}
PANEL_WIDTH = 3.4, 2.5  # inches: a column of print; less where measures stand beside each other
LABEL_WIDTH, BENCHMARK_WIDTH = 22, 24  # characters on a line: of a row's label, above a panel
TITLE_WIDTH, TITLE_LINE = 17, 0.14  # of the legend's title: characters on an inch, inches of a line


def plot(report: Report, path: Path) -> None:
    """Write the PNG that the experiment asks for, and a PDF beside it: a panel for each task and measure that has
    numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = report.cells[report.cells["row"].isin([row.label for row in report.experiment.rows])]
    there = [cells[cells[name].notna()] for name in ("mean", "published")]
    shown = next((part for part in there if not part.empty), cells)  # measured, else published, else all
    columns = shown[["task", "split"]].drop_duplicates()
    cells = cells.merge(columns)
    panels = [panel for _, panel in cells.groupby(["task", "measure"], sort=False)]
    with pyplot.rc_context(STYLE):
        if report.experiment.plot == "gamma":
            figure, axes = _figure(report, len(panels), 2.9)
            for axis, panel in zip(axes, panels):
                _gamma_panel(axis, report, panel)
        else:
            rows, splits = cells["row"].nunique(), columns.groupby("task").size().max()
            figure, axes = _figure(report, len(panels), 0.5 + (0.16 + 0.12 * splits) * rows, sharey=True)
            for axis, panel in zip(axes, panels):
                _bar_panel(axis, panel)
            axes[0].set_ylim(rows - 0.5, -0.5)  # from the top, rows without a bar too; shared: once for all panels
        titles = [_benchmark(panel) for panel in panels]
        for place, title in enumerate(titles):
            if title not in titles[:place]:
                axes[place].set_title(fill(title, BENCHMARK_WIDTH), loc="left")
        _legend(figure, axes, report, cells)
        figure.savefig(path, dpi=200)
        # no date: the same bytes for the same report
        figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})
        pyplot.close(figure)


def rests_on(cells: pd.DataFrame) -> Iterator[str]:
    """A sentence for each column: its games, the seeds (of most rows, then of the others), what was not measured."""
    for column, part in cells.drop_duplicates(["column", "row"]).groupby("column", sort=False):
        measured = part[part["mean"].notna()]
        groups = sorted(measured.groupby("runs"), key=lambda group: -len(group[1]))
        seeds = [f"{n} seed{'s' if n > 1 else ''}" for n, _ in groups]
        others = [f"{name}: {', '.join(rows['row'])}" for name, (_, rows) in zip(seeds[1:], groups[1:])]
        gaps = list(part.loc[part["mean"].isna(), "row"])
        partial = measured[measured["missing_episodes"] > 0]
        for (there, left), cells in partial.groupby(["episodes", "missing_episodes"], sort=False):
            each = "each of " * (len(cells) > 1)
            gaps.append(f"{left} of {left + there} episodes of {each}{', '.join(cells['row'])}")
        yield "; ".join([", ".join([f"{column}: {part['all_games'].iloc[0]} games", *seeds[:1]]), *others,
                         *([f"missing: {', '.join(gaps)}"] if gaps else [])]) + "."


def _benchmark(panel: pd.DataFrame) -> str:
    """A column's title without its split."""
    column, split = panel[["column", "split"]].iloc[0]
    return column.removesuffix(f" {SPLITS[split]}")


def _figure(report: Report, panels: int, height: float, **options):
    size = (PANEL_WIDTH[len(report.experiment.measures) > 1] * panels, height + 0.8)
    figure, axes = pyplot.subplots(1, panels, figsize=size, layout="constrained", squeeze=False, **options)
    return figure, axes[0]


def _bar_panel(axis, panel: pd.DataFrame) -> None:
    rows = list(panel["row"].unique())
    splits = list(panel["split"].unique())
    height = 0.8 / len(splits)
    for split, cells in panel.groupby("split", sort=False):
        shift = (splits.index(split) - (len(splits) - 1) / 2) * height
        _bars(axis, cells.assign(at=[rows.index(row) + shift for row in cells["row"]]), split, height * 0.9)
    axis.set_yticks(range(len(rows)), [fill(row, LABEL_WIDTH) for row in rows])
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(TITLES[panel["measure"].iloc[0]])
    axis.text(1.02, 1.03, "measured", transform=axis.transAxes, ha="left", fontsize=6.5, color="0.3")
    axis.set_xlim(0, axis.get_xlim()[1] * 1.04)  # room for the last marker
    axis.grid(axis="x", color="0.9")


def _bars(axis, cells: pd.DataFrame, split: str, height: float) -> None:
    measured = cells.dropna(subset="mean")
    if not measured.empty:
        # equal values: their mean and its interval differ in the last bit
        ends = [(measured["mean"] - measured["low"]).clip(0), (measured["high"] - measured["mean"]).clip(0)]
        axis.barh(measured["at"], measured["mean"], height, xerr=ends, label=f"{SPLITS[split]}, measured",
                  **FILLS[split], error_kw={"capsize": 2, "elinewidth": 1, "ecolor": "0.1"})
    for at, mean in zip(cells["at"], cells["mean"]):
        shown, color = ("missing", "0.45") if pd.isna(mean) else (f"{mean:.1f}", "black")
        axis.text(1.02, at, shown, transform=axis.get_yaxis_transform(), va="center", fontsize=7, color=color)
    published = cells.dropna(subset="published")
    if not published.empty:
        axis.plot(published["published"], published["at"], MARKERS[split], mfc="white", mec="black", ms=4.5, mew=1,
                  zorder=5, label=f"{SPLITS[split]}, paper")


def _gamma_panel(axis, report: Report, panel: pd.DataFrame) -> None:
    """The curve over gamma for each split, the task's own gamma among its points; references as levels."""
    experiment, task = report.experiment, panel["task"].iloc[0]
    own_row = next(row.label for row in experiment.rows if row.method == "wkm" and row.gamma is None)
    own = panel.loc[panel["row"] == own_row, "gamma"].iloc[0]
    for split, cells in panel.groupby("split", sort=False):
        style, curve = LINES[split], cells[cells["method"] == "wkm"]
        measured = curve.dropna(subset="mean").drop_duplicates("gamma").sort_values("gamma")
        if not measured.empty:
            axis.plot(measured["gamma"], measured["mean"], marker=MARKERS[split], ms=4,
                      label=f"{SPLITS[split]}, measured", **style)
            axis.fill_between(measured["gamma"], measured["low"], measured["high"], alpha=0.18, color=style["color"],
                              linewidth=0)
        for row in experiment.reference_rows:
            level = cells.loc[cells["row"] == row.label, "mean"].iloc[0]
            if row.gamma is None and pd.notna(level):  # else it is a point of the curve
                axis.axhline(level, color=style["color"], linewidth=0.9, linestyle=(0, (1, 2)),
                             label=f"{SPLITS[split]}, no knowledge ({row.method})")
        published = curve.dropna(subset="published")
        if not published.empty:
            places = published["gamma"].where(published["row"] != own_row, experiment.gammas[task])
            axis.plot(places, published["published"], MARKERS[split], mfc="white", mec=style["color"], ms=6, mew=1.2,
                      label=f"{SPLITS[split]}, paper", zorder=5, clip_on=False)
    if pd.notna(own):
        axis.axvline(own, color="0.5", linewidth=0.8, linestyle=":", label="chosen γ", zorder=1)
    axis.xaxis.set_major_locator(MultipleLocator(0.2))
    axis.xaxis.set_minor_locator(MultipleLocator(0.1))
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("γ (0: state knowledge alone, 1: agent alone)")
    axis.set_ylabel(TITLES[panel["measure"].iloc[0]])
    axis.set_ylim(bottom=0)
    axis.grid(axis="y", color="0.9")


def _legend(figure, axes, report: Report, cells: pd.DataFrame) -> None:
    """Outside the data, an entry once; with it what the whiskers or bands are, and what all of it rests on."""
    found = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles))
    shown = {label: found[label] for kind in ("measured", "paper", "") for label in found if kind in label}
    band = report.experiment.plot == "gamma"
    shown["95% interval"] = (
        Patch(alpha=0.18, color="0.2") if band else pyplot.Line2D([], [], color="0.1", linewidth=1, marker="|", ms=5)
    )
    title = [f"measured: {report.backbone}"] if report.backbone else []
    title += [f"paper: {report.published_backbone}"] if any("paper" in label for label in shown) else []
    lines = filter(None, ["; ".join(title), *rests_on(cells)])
    title = "\n".join(fill(line, int(TITLE_WIDTH * figure.get_figwidth())) for line in lines)
    figure.set_figheight(figure.get_figheight() + TITLE_LINE * title.count("\n"))
    figure.legend(shown.values(), shown.keys(), title=title, loc="outside lower center", ncols=2 * len(axes),
                  frameon=False, columnspacing=1.0, handlelength=1.6, alignment="left", title_fontsize=8)
