"""A measured experiment as a PNG: ours filled with its interval, the paper's values hollow beside it.

Seen and unseen differ in shade and in marker, so that a print in black and white can be read.
"""

from pathlib import Path
from textwrap import fill

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend has to be set first)
from matplotlib.patches import Patch  # noqa: E402
from matplotlib.ticker import MultipleLocator  # noqa: E402

from eval_agent.report.measured import Cell, Measured  # noqa: E402
from eval_agent.report.paper_table import TASKS, UNITS_OF  # noqa: E402
from eval_agent.report.published import split_column  # noqa: E402
from eval_agent.report.rows import SPLITS  # noqa: E402

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "axes.axisbelow": True,
}
FILLS = {
    "dev": {"color": "#1f4e79"},
    "test": {"facecolor": "#bcd2e8", "edgecolor": "#1f4e79", "hatch": "////"},
}
LINES = {"dev": {"color": "#1f4e79", "linestyle": "-"}, "test": {"color": "#c0651a", "linestyle": "--"}}
MARKERS = {"dev": "D", "test": "s"}
PANEL_WIDTH = 3.4  # inches: a column of print
LABEL_WIDTH = 22  # characters of a row's label on one line


def plot(table: Measured, gammas: dict[str, float], path: Path) -> None:
    """Write the PNG that the experiment asks for. ``gammas`` has each task's own gamma, for the curve."""
    path.parent.mkdir(parents=True, exist_ok=True)
    by_task: dict[str, list[str]] = {}
    for column in table.measured_columns or _published_columns(table) or table.experiment.columns:
        by_task.setdefault(split_column(column)[0], []).append(column)
    with pyplot.rc_context(STYLE):
        if table.experiment.plot == "gamma":
            figure, axes = _figure(len(by_task), 2.9)
            for axis, (task, columns) in zip(axes, by_task.items()):
                _gamma_panel(axis, table, columns, gammas.get(task), table.experiment.gammas[task])
        else:
            splits = max(map(len, by_task.values()))
            figure, axes = _figure(len(by_task), 0.5 + (0.16 + 0.12 * splits) * len(table.lines), sharey=True)
            for axis, columns in zip(axes, by_task.values()):
                _bar_panel(axis, table, columns)
            axes[0].invert_yaxis()  # shared: once for all panels
        for axis, task in zip(axes, by_task):
            axis.set_title(TASKS[task], loc="left")
        _legend(figure, axes, table)
        figure.savefig(path, dpi=200)
        pyplot.close(figure)


def _figure(panels: int, height: float, **options):
    size = (PANEL_WIDTH * panels, height + 0.8)
    figure, axes = pyplot.subplots(1, panels, figsize=size, layout="constrained", squeeze=False, **options)
    return figure, axes[0]


def _published_columns(table: Measured) -> list[str]:
    return [
        column
        for column in table.experiment.columns
        if any(table.cells[line.label, column].published is not None for line in table.lines)
    ]


def _bar_panel(axis, table: Measured, columns: list[str]) -> None:
    height = 0.8 / len(columns)
    for place, line in enumerate(table.lines):
        for number, column in enumerate(columns):
            at = place + (number - (len(columns) - 1) / 2) * height
            _bar(axis, table.cells[line.label, column], at, height * 0.9)
    labels = [fill(line.label, LABEL_WIDTH) for line in table.lines]
    axis.set_yticks(range(len(labels)), labels)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(UNITS_OF[table.experiment.measure])
    axis.text(1.02, 1.03, "measured", transform=axis.transAxes, ha="left", fontsize=6.5, color="0.3")
    axis.set_xlim(0, axis.get_xlim()[1] * 1.04)  # room for the last marker
    axis.grid(axis="x", color="0.9")


def _bar(axis, cell: Cell, at: float, height: float) -> None:
    split = split_column(cell.column)[1]
    measured = cell.measured
    if measured:
        # equal values: their mean and its interval differ in the last bit
        error = [[max(0, measured.mean - measured.low)], [max(0, measured.high - measured.mean)]]
        axis.barh(
            at,
            measured.mean,
            height,
            xerr=error,
            label=_measured(cell.column),
            **FILLS[split],
            error_kw={"capsize": 2, "elinewidth": 1, "ecolor": "0.1"},
        )
    shown, color = (f"{measured.mean:.1f}", "black") if measured else ("missing", "0.45")
    axis.text(1.02, at, shown, transform=axis.get_yaxis_transform(), va="center", fontsize=7, color=color)
    if cell.published is not None:
        axis.plot(
            cell.published,
            at,
            MARKERS[split],
            mfc="white",
            mec="black",
            ms=4.5,
            mew=1,
            zorder=5,
            label=_paper(cell),
        )


def _split_title(column: str) -> str:
    return SPLITS[split_column(column)[1]]


def _measured(column: str) -> str:
    return f"{_split_title(column)}, measured"


def _paper(cell: Cell) -> str:
    return f"{_split_title(cell.column)}, paper"


def _gamma_panel(
    axis, table: Measured, columns: list[str], own: float | None, published_gamma: float
) -> None:
    for column in columns:
        split = split_column(column)[1]
        _curve(axis, table, column, own, LINES[split])
        points = [
            (published_gamma if cell.line.row.gamma is None else cell.line.row.gamma, cell)
            for cell in _wkm_cells(table, column)
            if cell.published is not None
        ]
        if points:
            axis.plot(
                [x for x, _ in points],
                [cell.published for _, cell in points],
                MARKERS[split],
                mfc="white",
                mec=LINES[split]["color"],
                ms=6,
                mew=1.2,
                label=_paper(points[0][1]),
                zorder=5,
                clip_on=False,
            )
    if own is not None:
        axis.axvline(own, color="0.5", linewidth=0.8, linestyle=":", label="chosen γ", zorder=1)
    axis.xaxis.set_major_locator(MultipleLocator(0.2))
    axis.xaxis.set_minor_locator(MultipleLocator(0.1))
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("γ (0: state knowledge alone, 1: agent alone)")
    axis.set_ylabel(UNITS_OF[table.experiment.measure])
    axis.set_ylim(bottom=0)
    axis.grid(axis="y", color="0.9")


def _wkm_cells(table: Measured, column: str) -> list[Cell]:
    return [table.cells[line.label, column] for line in table.lines if line.row.method == "wkm"]


def _curve(axis, table: Measured, column: str, own: float | None, style: dict) -> None:
    """The measured curve with its band, the task's own gamma among its points; the reference as a level."""
    found = {
        own if cell.line.row.gamma is None else cell.line.row.gamma: cell.measured
        for cell in _wkm_cells(table, column)
        if cell.measured
    }
    places = sorted(found)
    if places:
        axis.plot(
            places,
            [found[x].mean for x in places],
            marker=MARKERS[split_column(column)[1]],
            ms=4,
            label=_measured(column),
            **style,
        )
        axis.fill_between(
            places,
            [found[x].low for x in places],
            [found[x].high for x in places],
            alpha=0.18,
            color=style["color"],
            linewidth=0,
        )
    for line in table.references:
        level = table.cells[line.label, column].measured
        if level and line.row.gamma is None:  # else it is a point of the curve
            axis.axhline(
                level.mean,
                color=style["color"],
                linewidth=0.9,
                linestyle=(0, (1, 2)),
                label=f"{_split_title(column)}, no knowledge ({line.row.method})",
            )


def _legend(figure, axes, table: Measured) -> None:
    """Outside the data, an entry once; with it what the whiskers or bands are."""
    shown = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        shown |= dict(zip(labels, handles))
    kinds = ("measured", "paper", "")
    shown = {label: shown[label] for kind in kinds for label in shown if kind in label}
    shown["95% interval"] = (
        Patch(alpha=0.18, color="0.2")
        if table.experiment.plot == "gamma"
        else pyplot.Line2D([], [], color="0.1", linewidth=1, marker="|", ms=5)
    )
    published = any("paper" in label for label in shown)
    title = f"measured: {table.backbone}" + (f"; paper: {table.published_backbone}" if published else "")
    figure.legend(
        shown.values(),
        shown.keys(),
        title=title,
        loc="outside lower center",
        ncols=2 * len(axes),
        frameon=False,
        columnspacing=1.0,
        handlelength=1.6,
        alignment="left",
        title_fontsize=8,
    )
