"""Results of several runs as one table and one plot, from their episode files alone.

    python -m eval_agent.report.compare --run "SFT (no knowledge)=outputs/agent/alfworld_eval" \\
        --run "WKM=outputs/agent_model/alfworld_eval" --output_dir outputs --published Mistral-7B
"""

from pathlib import Path

import pandas as pd

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.report.episodes import read_run
from eval_agent.report.experiment import TASKS, TITLES, Experiment, Row, column_title, published_rows, splits_of
from eval_agent.report.plot import plot
from eval_agent.report.summary import Report, report
from eval_agent.report.table import write_tables

MEASURES = [name for name in TITLES if name != "step_wins"]


def compare(runs: dict[str, Path], task: str, backbone: str | None, note: str = "") -> Report:
    """The runs (label -> folder with the task's splits), each against the first one, and the published numbers of
    ``backbone``; ``note`` stands below. Raises InputError for a folder that is not there and a backbone without numbers."""
    for label, folder in runs.items():
        if not folder.is_dir():
            raise InputError(f'run "{label}": no folder {folder}')
    splits = splits_of(task)
    experiment = Experiment(
        name="table", title="Results", measures=MEASURES, columns=[f"{task}/{split}" for split in splits], note=note,
        rows=[Row(label=label, method=label) for label in runs], references=list(runs)[:1], plot="bars",
    )  # fmt: skip
    episodes = pd.concat([
        read_run(folder / split).assign(task=task, row=label, training=1, repetition=1)
        for label, folder in runs.items() for split in splits
    ])  # fmt: skip
    games = episodes.groupby("split")["task_id"].nunique()
    outline = pd.DataFrame([
        {"row": label, "column": column_title(task, split), "method": label, "task": task, "split": split,
         "all_games": games.get(split, 0), "planned": 1, "published": None}
        for label in runs for split in splits
    ])  # fmt: skip
    found = report(experiment, "", "", outline, episodes[episodes["finished"]])
    if backbone is None:
        return found
    published = published_rows(task, backbone).assign(planned=0)
    published["row"] += f" ({backbone}, paper)"
    return Report(experiment, "", backbone, pd.concat([found.cells, published], ignore_index=True), found.by_type)


def parse_runs(specifications: list[str]) -> dict[str, Path]:
    """Label -> folder of "LABEL=FOLDER". Raises InputError for another form and a label that comes twice."""
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
    parser = Parser(__doc__)
    parser.add_argument("--run", action="append", required=True, metavar="LABEL=FOLDER",
                        help="a run's folder, with the subfolders dev and test; give once for each row, the one that "
                             "the others are compared with first")
    parser.add_argument("--task", default="alfworld", choices=TASKS, help="what was played")
    parser.add_argument("--output_dir", type=Path, default="outputs", help="table.md, .csv, .png and .pdf")
    parser.add_argument("--note", default="", help="a sentence below the table")
    parser.add_argument("--published", metavar="BACKBONE", help="published numbers below, such as those of Mistral-7B")
    args = parser.parse_args()
    table = compare(parse_runs(args.run), args.task, args.published, args.note)
    markdown = write_tables(table, args.output_dir, "table")
    plot(table, args.output_dir / "table.png")
    print(f"{markdown}\nwrote table.md, table.csv, table_by_type.csv, table.png and table.pdf to {args.output_dir}")


if __name__ == "__main__":
    main()
