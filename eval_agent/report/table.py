"""A report as Markdown and CSV."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from eval_agent.files import write_text
from eval_agent.report.experiment import OF_STEPS, TASKS, TITLES, Row
from eval_agent.report.summary import OF_TRAINING, Report, difference_from

_READING = (
    "In brackets: 95% bootstrap interval over games; where a method was run several times, a game's value is "
    'its mean over the runs. "missing": not measured; "-": not published.'
)
_PAIRED = (
    "Paired: the mean over the games that both played, with its 95% bootstrap interval over games. Games with a higher "
    "(up) and a lower (down) value."
)
_TRAINED = (
    "Each method was played with several sets of adapters that differ by the seed of their training alone. In brackets: "
    '95% interval over training runs and games. "missing": not measured; "-": not published.'
)
_TRAINED_PAIRED = (
    "Paired within each training run: the mean over training runs and the games that both played, with its 95% interval "
    "over both. Games with a higher (up) and a lower (down) mean over the training runs."
)
_CUT_SHORT = (
    "Cut short: a full context ended the episode, which counts with the few steps that it had and so makes the row look "
    "quicker than it is."
)
_NOT_IN_CSV = ["column", "all_games", "planned"]


def write_tables(report: Report, folder: Path, name: str) -> str:
    """Write ``name``.md, ``name``.csv and ``name``_by_type.csv. Gives the Markdown."""
    markdown = to_markdown(report)
    write_text(folder / f"{name}.md", markdown)
    for end, table in (("", report.cells), ("_by_type", report.by_type)):
        text = table.drop(columns=_NOT_IN_CSV).round(6).to_csv(index=False)
        write_text(folder / f"{name}{end}.csv", text)
    return markdown


def to_markdown(report: Report) -> str:
    """Measured beside published, what the cells rest on, then differences and rewards by task type."""
    experiment = report.experiment
    cells = report.cells[report.cells["measure"] == experiment.measures[0]]
    head = ", ".join(TITLES[measure] for measure in experiment.measures).capitalize()
    head += f", measured with {report.backbone}" if report.backbone else ""
    if report.published_backbone:
        head += f'; "paper": published for {report.published_backbone} ({experiment.source})'
    parts = [
        f"# {experiment.title}",
        f"{head}. {_TRAINED if experiment.training_runs > 1 else _READING}",
        _columns_beside(report) if len(experiment.measures) == 1 else _measures_beside(report),
        *(note for column, part in cells.groupby("column", sort=False) for note in _rests_on(column, part)),
        *_cut_short(report),
        *_neighbours(report),
        experiment.note,
        *_training_runs(report),
    ]
    for reference in experiment.reference_rows:
        paired = _TRAINED_PAIRED if experiment.training_runs > 1 else _PAIRED
        parts += _differences(cells[cells["planned"] > 0], reference, paired)
    by_type = report.by_type if len(experiment.measures) == 1 else report.by_type.head(0)  # else in its CSV only
    for column, lines in by_type.groupby("column", sort=False):
        parts += _by_type(lines, column, experiment.reference_rows[:1])
    return "\n\n".join(part for part in parts if part) + "\n"


def grid(head: list[str], lines: list[list]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def _columns_beside(report: Report) -> str:
    """A line for each row; for each column what is measured, and beside it what is published."""
    head = [title for column in report.cells["column"].unique() for title in (column, "paper")]
    lines = [
        [row, *(text for cell in cells.to_dict("records") for text in (_measured(cell), _published(cell)))]
        for row, cells in report.cells.groupby("row", sort=False)
    ]
    return grid(["method", *head], lines)


def _measures_beside(report: Report) -> str:
    """A line for each row and column, in which the measures stand beside each other; the paper's rows below."""
    measures, lines = report.experiment.measures, []
    for key, cells in report.cells.groupby(["row", "column"], sort=False):
        shown = {cell["measure"]: _measured(cell) if cell["planned"] else _published(cell)
                 for cell in cells.to_dict("records")}
        lines.append([*key, *(shown.get(measure, "-") for measure in measures)])
    return grid(["method", "split", *(TITLES[measure] for measure in measures)], lines)


def _measured(cell: dict) -> str:
    text = _number(cell) + (" *" if pd.notna(cell["mean"]) and cell["missing_episodes"] else "")
    short = cell["measure"] in OF_STEPS and pd.notna(cell["mean"]) and cell["cut_short"]
    return f"{text} ({cell['cut_short']} cut short)" if short else text


def _published(cell: dict) -> str:
    return "-" if pd.isna(cell["published"]) else f"{cell['published']:.2f}"


def _number(cell: dict, name: str = "mean") -> str:
    """A mean, or with its sign a difference, and its interval."""
    low, high, sign = ("low", "high", "") if name == "mean" else (f"{name}_low", f"{name}_high", "+")
    if pd.isna(cell[name]):
        return "missing"
    return f"{cell[name]:{sign}.2f} [{cell[low]:{sign}.1f}, {cell[high]:{sign}.1f}]"


def _pivot(cells: pd.DataFrame, down: str, across: str, show: Callable[[dict], str], title: str) -> str:
    """A Markdown table with a line for each value of ``down`` and a column for each of ``across``."""
    shown = {(cell[down], cell[across]): show(cell) for cell in cells.to_dict("records")}
    columns = cells[across].unique()
    return grid([title, *columns], [
        [line, *(shown.get((line, column), "missing") for column in columns)] for line in cells[down].unique()
    ])  # fmt: skip


def _rests_on(column: str, cells: pd.DataFrame) -> list[str]:
    """How many games and runs a column's cells rest on, which are not whole, and which rest on the same episodes."""
    measured = cells[cells["mean"].notna()]
    if measured.empty:
        return [f"{column}: nothing measured."]
    runs = [f"{n} run{'s' if n > 1 else ''}: {', '.join(part['row'])}" for n, part in measured.groupby("runs")]
    notes = [f"{column}: {measured['all_games'].iloc[0]} games; {'; '.join(runs)}."]
    partial = measured[measured["missing_episodes"] > 0]
    for (episodes, missing, games), part in partial.groupby(["episodes", "missing_episodes", "games"], sort=False):
        without = part["all_games"].iloc[0] - games
        each = "each of " * (len(part) > 1)
        notes.append(f"\\* {column}: {episodes} of {episodes + missing} episodes of {each}{', '.join(part['row'])}"
                     f"{f'; {without} games without any are not counted' if without else ''}.")
    same = [", ".join(part["row"]) for _, part in measured.groupby("conversations", sort=False) if len(part) > 1]
    reason = "the same conversations in every game and run, so one measurement"
    return notes + ([f"{column}: {reason}: {'; '.join(same)}."] if same else [])


def _cut_short(report: Report) -> list[str]:
    cells = report.cells[report.cells["measure"].isin(OF_STEPS) & report.cells["mean"].notna()]
    cells = cells[cells["cut_short"] > 0].to_dict("records")
    counts = [f"{cell['row']}, {cell['column']}: {cell['cut_short']} of {cell['episodes']}" for cell in cells]
    return [f"{_CUT_SHORT} {'; '.join(counts)}."] if counts else []


def _neighbours(report: Report) -> list[str]:
    """N of the rows that plan, where it is not the row's name that says it."""
    published, own = report.experiment.n_neighbours, {row.label for row in report.experiment.rows if row.n_neighbours}
    if published is None:
        return []
    cells = report.cells[report.cells["mean"].notna() & report.cells["n_neighbours"].notna()]
    used = cells[~cells["row"].isin(own)].groupby("task", sort=False)["n_neighbours"].first()
    named = ", ".join(f"{n} in {TASKS[task]}" for task, n in used.items())
    tail = "; a row with an N in its name has that." if own else "."
    return [f"N, the nearest triplets that give p_know: {named} (the paper: {published}){tail}"] if named else []


def _training_runs(report: Report) -> list[str]:
    """What each training run gave, how much they differ, and the interval that knows nothing of that."""
    if report.experiment.training_runs == 1 or report.cells["spread"].isna().all():
        return []
    each = [name for name in report.cells if name.startswith(OF_TRAINING)]
    lines = [
        [cell["row"], cell["column"], TITLES[cell["measure"]],
         *("missing" if pd.isna(cell[name]) else f"{cell[name]:.2f}" for name in each),
         f"{cell['spread']:.2f}", f"[{cell['games_alone_low']:.1f}, {cell['games_alone_high']:.1f}]"]
        for cell in report.cells[report.cells["spread"].notna()].to_dict("records")
    ]  # fmt: skip
    head = ["method", "column", "measure", *(f"training run {name.removeprefix(OF_TRAINING)}" for name in each)]
    table = grid([*head, "standard deviation", "95% interval over games alone"], lines)
    return ["## The training runs one by one", table]


def _differences(cells: pd.DataFrame, reference: Row, paired: str) -> list[str]:
    name = difference_from(reference)
    there = cells[cells["column"].isin(cells.loc[cells[name].notna(), "column"])]
    others = there[there["row"] != reference.label]

    def show(cell: dict) -> str:
        counts = f" ({cell[f'{name}_up']} up, {cell[f'{name}_down']} down of {cell[f'{name}_games']})"
        return _number(cell, name) + (counts if pd.notna(cell[name]) else "")

    table = _pivot(others, "row", "column", show, "method")
    return [] if others.empty else [f"## Difference from {reference.label}", paired, table]


def _by_type(lines: pd.DataFrame, column: str, reference: list[Row]) -> list[str]:
    measure = "success rate by task type, %" if column.startswith("ALFWorld") else "average reward x 100 by task type"
    counts = {kind: n.agg(["min", "max"]).unique() for kind, n in lines.groupby("task_type")["games"]}
    kinds = {kind: f"{kind} ({' to '.join(map(str, numbers))})" for kind, numbers in counts.items()}
    lines = lines.sort_values("task_type", kind="stable").replace({"task_type": kinds})
    title = "task type (games)"
    parts = [f"## {column}: {measure}", _pivot(lines, "task_type", "row", _number, title)]
    for row in reference:
        compared = lines[lines[difference_from(row)].notna()]
        if not compared.empty:
            table = _pivot(compared, "task_type", "row", lambda cell: _number(cell, difference_from(row)), title)
            parts += [f"Difference from {row.label} on the same games:", table]
    return parts
