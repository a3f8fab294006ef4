"""A report as Markdown and CSV."""

from pathlib import Path

import pandas as pd

from eval_agent.files import write_text
from eval_agent.report.experiment import OF_STEPS, TASKS, TITLES, Row, column_title
from eval_agent.report.summary import ENDS, REWARD, Report, reference_name

_READING = (
    "In brackets: 95% bootstrap interval over games; where a method was run several times, a game's value is "
    'its mean over the runs. "missing": not measured; "-": not published.'
)
_PAIRED = (
    "Paired: the mean over the games that both played, with its 95% bootstrap interval over games. Games with a higher "
    "(up) and a lower (down) value."
)
_CUT_SHORT = (
    "Cut short: a full context ended the episode, which counts with the few steps that it had and so makes the row look "
    "quicker than it is."
)


def write_tables(report: Report, folder: Path, name: str) -> str:
    """Write ``name``.md, ``name``.csv and ``name``_by_type.csv. Gives the Markdown."""
    markdown = to_markdown(report)
    write_text(folder / f"{name}.md", markdown)
    write_text(folder / f"{name}.csv", _csv(report.cells))
    write_text(folder / f"{name}_by_type.csv", _csv(report.by_type))
    return markdown


def to_markdown(report: Report) -> str:
    """Measured beside published, what the cells rest on, then differences and rewards by task type."""
    experiment, columns = report.experiment, report.by_column()
    head = ", ".join(TITLES[measure] for measure in experiment.measures).capitalize()
    head += f", measured with {report.backbone}" if report.backbone else ""
    if report.published_backbone:
        head += f'; "paper": published for {report.published_backbone} ({experiment.source})'
    parts = [
        f"# {experiment.title}",
        f"{head}. {_READING}",
        _columns_beside(report) if len(experiment.measures) == 1 else _measures_beside(report),
        *(note for column, cells in columns.items() for note in _rests_on(column, cells)),
        *_cut_short(report),
        *_neighbours(report),
        experiment.note,
    ]
    for row in experiment.reference_rows:
        parts += _differences(report, row)
    by_type = report.by_type if len(experiment.measures) == 1 else report.by_type.head(0)  # else in its CSV only
    for (task, split), lines in by_type.groupby(["task", "split"], sort=False):
        parts += _by_type(lines, column_title(task, split), experiment.reference_rows[:1])
    return "\n\n".join(part for part in parts if part) + "\n"


def grid(head: list[str], lines: list[list]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def _columns_beside(report: Report) -> str:
    """A line for each row; for each column what is measured, and beside it what is published."""
    head = [title for column in report.by_column() for title in (column, "paper")]
    lines = [
        [row, *(text for cell in cells.to_dict("records") for text in (_measured(cell), _published(cell)))]
        for row, cells in report.cells.groupby("row", sort=False)
    ]
    return grid(["method", *head], lines)


def _measures_beside(report: Report) -> str:
    """A line for each row and column, in which the measures stand beside each other; published rows below."""
    measures, lines = report.experiment.measures, []
    for (row, task, split), cells in report.cells.groupby(["row", "task", "split"], sort=False):
        found = {cell["measure"]: cell for cell in cells.to_dict("records")}
        shown = [_measured_or_published(found[measure]) if measure in found else "-" for measure in measures]
        lines.append([row, column_title(task, split), *shown])
    return grid(["method", "split", *(TITLES[measure] for measure in measures)], lines)


def _measured(cell: dict) -> str:
    if pd.isna(cell["mean"]):
        return "missing"
    text = f"{cell['mean']:.2f} [{cell['low']:.1f}, {cell['high']:.1f}]" + (" *" if cell["missing_episodes"] else "")
    short = cell["measure"] in OF_STEPS and cell["cut_short"]
    return f"{text} ({cell['cut_short']} cut short)" if short else text


def _measured_or_published(cell: dict) -> str:
    return _measured(cell) if pd.notna(cell["planned"]) else _published(cell)


def _published(cell: dict) -> str:
    return "-" if pd.isna(cell["published"]) else f"{cell['published']:.2f}"


def _rests_on(column: str, cells: pd.DataFrame) -> list[str]:
    """How many games and runs a column's cells rest on, which are not whole, and which rest on the same episodes."""
    measured = cells[cells["mean"].notna()]
    if measured.empty:
        return [f"{column}: nothing measured."]
    runs = [f"{n} run{'s' if n > 1 else ''}: {', '.join(lines['row'])}" for n, lines in measured.groupby("runs")]
    notes = [f"{column}: {measured['all_games'].iloc[0]} games; {'; '.join(runs)}."]
    for cell in measured[measured["missing_episodes"] > 0].to_dict("records"):
        planned = cell["episodes"] + cell["missing_episodes"]
        notes.append(f"\\* {cell['row']}, {column}: {cell['episodes']} of {planned} episodes; "
                     f"{cell['all_games'] - cell['games']} games without any are not counted.")
    same = [", ".join(lines["row"]) for _, lines in measured.groupby("conversations", sort=False) if len(lines) > 1]
    if same:
        reason = "the same conversations in every game and run, so one measurement"
        notes.append(f"{column}: {reason}: {'; '.join(same)}.")
    return notes


def _cut_short(report: Report) -> list[str]:
    if not set(report.experiment.measures) & set(OF_STEPS):
        return []
    counts = [
        f"{cell['row']}, {column}: {cell['cut_short']} of {cell['episodes']}"
        for column, cells in report.by_column().items() for cell in cells.dropna(subset="mean").to_dict("records")
        if cell["cut_short"]
    ]  # fmt: skip
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


def _differences(report: Report, reference: Row) -> list[str]:
    name = reference_name(reference)
    columns = {column: cells.set_index("row") for column, cells in report.by_column().items() if cells[name].notna().any()}
    if not columns:
        return []
    others = [row.label for row in report.experiment.rows if row.measured and row.label != reference.label]
    lines = [[row, *(_difference(cells.loc[row], name) for cells in columns.values())] for row in others]
    return [f"## Difference from {reference.label}", _PAIRED, grid(["method", *columns], lines)]


def _difference(cell: pd.Series, name: str) -> str:
    mean, low, high, games, up, down = (cell[name + end] for end in ENDS)
    return "missing" if pd.isna(mean) else f"{mean:+.2f} [{low:+.1f}, {high:+.1f}] ({up} up, {down} down of {games})"


def _by_type(lines: pd.DataFrame, column: str, reference: list[Row]) -> list[str]:
    kinds = {kind: cells.set_index("row") for kind, cells in lines.groupby("task_type")}
    rows = list(dict.fromkeys(lines["row"]))
    measure = "success rate by task type, %" if column.startswith(TASKS["alfworld"]) else "average reward x 100 by task type"
    table = [[kind, _games(cells), *(_of_type(cells, row, REWARD) for row in rows)] for kind, cells in kinds.items()]
    parts = [f"## {column}: {measure}", grid(["task type", "games", *rows], table)]
    compared = lines.dropna(subset="difference")
    if not compared.empty:
        rows = list(dict.fromkeys(compared["row"]))
        table = [[kind, *(_of_type(cells, row, "difference") for row in rows)] for kind, cells in kinds.items()]
        parts += [f"Difference from {reference[0].label} on the same games:", grid(["task type", *rows], table)]
    return parts


def _games(cells: pd.DataFrame) -> str:
    fewest, most = cells["games"].min(), cells["games"].max()
    return str(fewest) if fewest == most else f"{fewest} to {most}"


def _of_type(cells: pd.DataFrame, row: str, name: str) -> str:
    if row not in cells.index or pd.isna(cells.loc[row, name]):
        return "missing"
    cell = cells.loc[row]
    if name == REWARD:
        return f"{cell[name]:.2f} [{cell['low']:.1f}, {cell['high']:.1f}]"
    return f"{cell[name]:+.1f} [{cell['difference_low']:+.1f}, {cell['difference_high']:+.1f}]"


def _csv(table: pd.DataFrame) -> str:
    return table.drop(columns=["planned", "all_games"], errors="ignore").round(6).to_csv(index=False)
