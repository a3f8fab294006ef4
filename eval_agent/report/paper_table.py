"""A measured experiment as Markdown and CSV."""

import csv
import io
from collections.abc import Callable

from eval_agent.report.measured import Cell, Line, Measured
from eval_agent.report.published import Row, split_column
from eval_agent.report.repeated import Estimate, Gain
from eval_agent.report.rows import SPLITS, TITLES

TASKS = {"alfworld": "ALFWorld", "webshop": "WebShop", "sciworld": "ScienceWorld"}
UNITS_OF = {**TITLES, "step_wins": "win rate of planning steps %"}
_READING = (
    "In brackets: 95% bootstrap interval over games; where a method was run several times, a game's value is "
    'its mean over the runs. "missing": not measured; "-": not published.'
)
OF_STEPS = ("average_steps", "step_wins")
CUT_SHORT = (
    "Cut short: a full context ended the episode, which counts with the few steps that it had and so makes the "
    "row look quicker than it is."
)
_PAIRED = "Paired: the mean over the games that both played, with its 95% bootstrap interval over games."


def column_title(column: str) -> str:
    """ "alfworld/dev" -> "ALFWorld seen"."""
    task, split = split_column(column)
    return TASKS[task] if task == "webshop" else f"{TASKS[task]} {SPLITS[split]}"


def to_markdown(table: Measured) -> str:
    """Measured beside published, then differences, rewards by task type, and what the cells rest on."""
    experiment = table.experiment
    parts = [
        f"# {experiment.title}",
        f"{UNITS_OF[experiment.measure].capitalize()}, measured with {table.backbone}; "
        f'"paper": published for {table.published_backbone} (arXiv 2405.14205). {_READING}',
        _main_table(table),
        *_footnotes(table),
        experiment.note,
    ]
    parts += [part for reference in table.references for part in _differences(table, reference)]
    parts += [part for column in table.measured_columns for part in _by_type(table, column)]
    return "\n\n".join(parts) + "\n"


def grid(head: list[str], lines: list[list]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def _main_table(table: Measured) -> str:
    head = ["method"]
    for column in table.experiment.columns:
        head += [column_title(column), "paper"]
    of_steps = table.experiment.measure in OF_STEPS
    return grid(head, [[line.label, *_numbers(table.line_cells(line), of_steps)] for line in table.lines])


def _numbers(cells: list[Cell], of_steps: bool) -> list[str]:
    shown = []
    for cell in cells:
        mark = " *" if cell.measured and cell.played.lacking else ""
        if of_steps and cell.measured and cell.played.cut_short:
            mark += f" ({cell.played.cut_short} cut short)"
        measured = "" if not cell.line.here and not cell.measured else _estimate(cell.measured) + mark
        shown += [measured or "missing", "-" if cell.published is None else f"{cell.published:.2f}"]
    return shown


def _estimate(estimate: Estimate | None) -> str:
    return "missing" if estimate is None else f"{estimate.mean:.2f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return "missing"
    one = gain.estimate
    counts = f"{gain.better} up, {gain.worse} down of {one.games}"
    return f"{one.mean:+.2f} [{one.low:+.1f}, {one.high:+.1f}] ({counts})"


def _footnotes(table: Measured) -> list[str]:
    """How many games and runs the cells rest on; every cell that is not whole by itself."""
    notes = []
    for column in table.experiment.columns:
        cells = [table.cells[line.label, column] for line in table.lines]
        whole = [cell for cell in cells if cell.measured]
        if not whole:
            notes.append(f"{column_title(column)}: nothing measured.")
            continue
        runs: dict[int, list[str]] = {}
        for cell in whole:
            runs.setdefault(cell.played.started, []).append(cell.line.label)
        counted = "; ".join(
            f"{n} run{'s' * (n > 1)}: {', '.join(labels)}" for n, labels in sorted(runs.items())
        )
        notes.append(f"{column_title(column)}: {len(whole[0].played.games)} games; {counted}.")
        notes += [_partial(cell) for cell in whole if cell.played.lacking]
        notes += _identical(column, whole)
    return notes + _cut_short(table) + _neighbours(table)


def _identical(column: str, cells: list[Cell]) -> list[str]:
    groups: dict[tuple, list[str]] = {}
    for cell in cells:
        groups.setdefault(cell.played.digests, []).append(cell.line.label)
    same = [", ".join(labels) for labels in groups.values() if len(labels) > 1]
    said = "the same conversations in every game and run, so one measurement"
    return [f"{column_title(column)}: {said}: {'; '.join(same)}."] if same else []


def _cut_short(table: Measured) -> list[str]:
    cells = [cell for cell in table.cells.values() if cell.measured and cell.played.cut_short]
    if not cells or table.experiment.measure not in OF_STEPS:
        return []
    counts = [
        f"{cell.line.label}, {column_title(cell.column)}: {cell.played.cut_short} of {cell.played.episodes}"
        for cell in cells
    ]
    return [f"{CUT_SHORT} {'; '.join(counts)}."]


def _neighbours(table: Measured) -> list[str]:
    published = table.experiment.n_neighbours
    tasks = dict.fromkeys(split_column(column)[0] for column in table.measured_columns)
    if published is None or not tasks:
        return []
    used = ", ".join(f"{table.neighbours[task]} in {TASKS[task]}" for task in tasks)
    own = any(line.row.n_neighbours for line in table.lines)
    return [
        f"N, the nearest triplets that give p_know: {used} (the paper: {published})"
        + ("; a row with an N in its name has that." if own else ".")
    ]


def _partial(cell: Cell) -> str:
    played, total = cell.played, len(cell.played.games)
    there = ", ".join(str(len(run)) for run in played.runs)
    cell_name = f"{cell.line.label}, {column_title(cell.column)}"
    return (
        f"\\* {cell_name}: {played.episodes} of {total * len(played.runs)} "
        f"episodes ({there} of {total} in each run); {played.unplayed} games without any are not counted."
    )


def _differences(table: Measured, reference: Line) -> list[str]:
    columns = [
        column
        for column in table.measured_columns
        if any(reference.label in table.cells[line.label, column].gains for line in table.lines)
    ]
    if not columns:
        return []
    lines = [
        [
            line.label,
            *(_gain(table.cells[line.label, column].gains.get(reference.label)) for column in columns),
        ]
        for line in table.lines
        if line != reference and line.here
    ]
    title = f"## Difference from {reference.label}"
    return [
        title,
        f"{_PAIRED} Games with a higher (up) and a lower (down) value.",
        grid(["method", *map(column_title, columns)], lines),
    ]


def _by_type(table: Measured, column: str) -> list[str]:
    cells = [table.cells[line.label, column] for line in table.lines]
    cells = [cell for cell in cells if cell.measured]
    kinds = sorted({kind for cell in cells for kind in cell.by_type})
    labels = [cell.line.label for cell in cells]
    title = (
        f"## {column_title(column)}: success rate by task type, %"
        if column.startswith("alfworld")
        else f"## {column_title(column)}: average reward x 100 by task type"
    )
    parts = [
        title,
        grid(
            ["task type", "games", *labels],
            [
                [kind, _games(cells, kind), *(_estimate(cell.by_type.get(kind)) for cell in cells)]
                for kind in kinds
            ],
        ),
    ]
    compared = [cell for cell in cells if cell.gains_by_type]
    if compared:
        parts += [
            f"Difference from {table.references[0].label} on the same games:",
            grid(
                ["task type", *(cell.line.label for cell in compared)],
                [[kind, *(_short_gain(cell.gains_by_type.get(kind)) for cell in compared)] for kind in kinds],
            ),
        ]
    return parts


def _games(cells: list[Cell], kind: str) -> str:
    counts = sorted({cell.by_type[kind].games for cell in cells if kind in cell.by_type})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _short_gain(gain: Gain | None) -> str:
    return (
        "missing"
        if gain is None
        else f"{gain.estimate.mean:+.1f} [{gain.estimate.low:+.1f}, {gain.estimate.high:+.1f}]"
    )


def to_csv(table: Measured) -> str:
    """One line a cell: all of its numbers, an empty field where there is none."""
    head = [
        "row",
        "method",
        "gamma",
        "n_neighbours",
        "task",
        "split",
        "measure",
        "mean",
        "low",
        "high",
        "games",
        "runs",
        "episodes",
        "missing_episodes",
        "cut_short",
        "published",
        "published_backbone",
    ]
    for reference in table.references:
        head += [
            f"difference_from_{_csv_name(reference.row)}{end}"
            for end in ("", "_low", "_high", "_games", "_up", "_down")
        ]

    def lines():
        for line in table.lines:
            for cell in table.line_cells(line):
                played, gains = cell.played, [cell.gains.get(one.label) for one in table.references]
                counts = [played.started, played.episodes, played.lacking, played.cut_short] if played else [None] * 4
                yield [
                    line.label,
                    line.row.method,
                    line.row.gamma,
                    line.row.n_neighbours,
                    *split_column(cell.column),
                    table.experiment.measure,
                    *_fields(cell.measured),
                    *counts,
                    cell.published,
                    line.backbone,
                    *(number for gain in gains for number in _gain_fields(gain)),
                ]

    return _csv(head, lines)


def to_csv_by_type(table: Measured) -> str:
    """Average reward x 100 (in ALFWorld the success rate in percent) of every line, column and task type."""
    head = [
        "row",
        "method",
        "task",
        "split",
        "task_type",
        "average_reward",
        "low",
        "high",
        "games",
        "difference",
        "difference_low",
        "difference_high",
        "difference_games",
        "up",
        "down",
        "difference_from",
    ]

    def lines():
        for line in table.lines:
            for cell in table.line_cells(line):
                for kind, estimate in cell.by_type.items():
                    gain = cell.gains_by_type.get(kind)
                    yield [
                        line.label,
                        line.row.method,
                        *split_column(cell.column),
                        kind,
                        *_fields(estimate),
                        *_gain_fields(gain),
                        _csv_name(table.references[0].row) if gain else None,
                    ]

    return _csv(head, lines)


def _csv_name(reference: Row) -> str:
    return reference.method if reference.gamma is None else f"{reference.method}_gamma{reference.gamma:g}"


def _fields(estimate: Estimate | None) -> list[float | None]:
    return [estimate.mean, estimate.low, estimate.high, estimate.games] if estimate else [None] * 4


def _gain_fields(gain: Gain | None) -> list[float | None]:
    return [*_fields(gain.estimate), gain.better, gain.worse] if gain else [None] * 6


def _csv(head: list[str], lines: Callable) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for line in lines():
        writer.writerow([round(value, 6) if isinstance(value, float) else value for value in line])
    return text.getvalue()
