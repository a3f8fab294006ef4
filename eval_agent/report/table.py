"""Results of several runs as one table (Markdown and CSV) and one plot, from their episode files alone.

    python -m eval_agent.report.table --run "SFT (no knowledge)=outputs/agent/alfworld_eval" \\
        --run "WKM=outputs/agent_model/alfworld_eval" --output_dir outputs --paper alfworld
"""

import argparse
import csv
import io
from pathlib import Path

from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import write_text
from eval_agent.report.paired import differences, sentence
from eval_agent.report.paper_table import CUT_SHORT
from eval_agent.report.plot import plot_measures
from eval_agent.report.rows import SPLITS, TITLES, Row, measure_run, paper_rows
from eval_agent.report.summary import MEASURES
from eval_agent.results import read_episodes


def to_markdown(rows: list[Row]) -> str:
    """The table, and under it how to read its brackets."""
    titles = ["method", "split", *(TITLES[name] for name in MEASURES), "games"]
    lines = ["| " + " | ".join(titles) + " |", "|---|---" + "|---:" * (len(titles) - 2) + "|"]
    for row in rows:
        cells = [row.method, row.split, *(_cell(row, name) for name in MEASURES), _games(row)]
        lines.append("| " + " | ".join(cells) + " |")
    notes = "\n\nIn brackets: 95% bootstrap interval over games.\n"
    if short := [f"{row.method}, {row.split}: {row.cut_short} of {row.games}" for row in rows if row.cut_short]:
        notes += f"\n{CUT_SHORT} {'; '.join(short)}.\n"
    return "\n".join(lines) + notes


def _cell(row: Row, name: str) -> str:
    measure = row.measures.get(name)
    if measure is None:
        return "missing" if row.games == 0 else "-"
    interval = "" if measure.low is None else f" [{measure.low:.1f}, {measure.high:.1f}]"
    short = f" ({row.cut_short} cut short)" if name == "average_steps" and row.cut_short else ""
    return f"{measure.mean:.2f}{interval}{short}"


def _games(row: Row) -> str:
    if row.games is None:
        return "-"
    return f"{row.games} (+ {row.failures} failed)" if row.failures else str(row.games)


def to_csv(rows: list[Row]) -> str:
    """As the Markdown table, a column for every mean and each end of its interval."""
    ends = ("mean", "low", "high")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [name if end == "mean" else f"{name}_{end}" for name in MEASURES for end in ends]
    writer.writerow(["method", "split", *columns, "games", "failures", "cut_short"])
    for row in rows:
        measures = [row.measures.get(name) for name in MEASURES]
        numbers = [getattr(measure, end, None) for measure in measures for end in ends]
        writer.writerow([row.method, row.split, *numbers, row.games, row.failures, row.cut_short])
    return text.getvalue()


def different_games(runs: dict[str, Path]) -> list[str]:
    """A sentence for each split on which the runs did not play the same games."""
    notes = []
    for split, name in SPLITS.items():
        played = {
            label: {episode["meta"]["task_id"] for episode in read_episodes(folder / split)}
            for label, folder in runs.items()
        }
        sets = [games for games in played.values() if games]
        if any(games != sets[0] for games in sets):
            notes.append(f"Note: on {name} the methods played different games.")
    return notes


def _parse_runs(specifications: list[str]) -> dict[str, Path]:
    runs = {}
    for text in specifications:
        label, found, folder = text.rpartition("=")  # labels such as "gamma=1"
        if not found or not label or not folder:
            raise InputError(f'--run "{text}": expected "LABEL=FOLDER" (no "=" in the folder)')
        if label in runs:
            raise InputError(f'--run: label "{label}" is given twice')
        runs[label] = Path(folder)
    return runs


@exit_on_input_error
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--run", action="append", required=True, metavar="LABEL=FOLDER",
                        help="a run's folder, with the subfolders dev and test; give once for each row, the one that "
                             "the others are compared with first")
    parser.add_argument("--output_dir", default="outputs", help="where table.md, table.csv and table.png go")
    parser.add_argument("--paper", metavar="TASK", help="alfworld or sciworld: published numbers below")
    parser.add_argument("--backbone", default="Mistral-7B", help="whose published numbers (%(default)s)")
    args = parser.parse_args()

    runs = _parse_runs(args.run)
    rows = [row for label, folder in runs.items() for row in measure_run(label, folder)]
    published = paper_rows(args.paper, args.backbone) if args.paper else []
    notes = "".join(f"\n{note}\n" for note in different_games(runs))
    output_dir = Path(args.output_dir)
    compared = "".join(f"\n{sentence(difference)}\n" for difference in differences(runs))
    markdown = to_markdown(rows + published) + compared + notes
    write_text(output_dir / "table.md", markdown)
    write_text(output_dir / "table.csv", to_csv(rows + published))
    plot_measures(rows, output_dir / "table.png")
    print(markdown)
    print(f"wrote table.md, table.csv and table.png to {output_dir}")


if __name__ == "__main__":
    main()
