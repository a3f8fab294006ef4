"""One table or figure of the paper, measured beside published, from the results that are there.

    python -m eval_agent.report.paper table1 tiny --dry_run

EXPERIMENT is a file of configs/paper, MODEL one of configs/model. Markdown, CSV and, for figures, PNG go to
outputs/paper/MODEL/. scripts/paper.sh plays what is missing before. Exit code 2 for bad input.

--plan prints, for a script, TAB between fields: for each task "task", its name and KEY=VALUE for each setting of
scripts/settings.sh; after it for each run that is not whole its task, its name, the names to be served with commas
between, the state base of its own (its encoder, "explored", "-" for none), and each argument of
eval_agent.eto_multi_main_probs.
"""

import argparse
import sys
from pathlib import Path

from eval_agent.command_line import Parser, positive_variable
from eval_agent.errors import exit_on_input_error
from eval_agent.report.episodes import csv_reader, read_run
from eval_agent.report.experiment import Experiment, names
from eval_agent.report.paper_model import PaperModel
from eval_agent.report.plot import plot
from eval_agent.report.runs import Plan
from eval_agent.report.summary import report
from eval_agent.report.table import write_tables

OUTPUT = Path("outputs/paper")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("experiment", metavar="EXPERIMENT", help=f"one of {', '.join(names())}")
    parser.add_argument("model", metavar="MODEL", nargs="?", default="tiny", help="a name in configs/model")
    parser.add_argument("--dry_run", action="store_true", help="only print the runs and which of them exist")
    parser.add_argument("--plan", action="store_true", help="only print what is missing, for a script")
    parser.add_argument("--task", help="of this one only, what is missing")
    parser.add_argument("--retrain", action="store_true", help="nothing shipped: results in folders of their own")
    parser.add_argument("--episodes", type=Path, help="a CSV of eval_agent.report.export in place of results folders")
    return parser.parse_args(argv)


@exit_on_input_error
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    plan = make_plan(args)
    if args.plan:
        print("\n".join(to_lines(plan, args.task)))
        return 0
    print(describe(plan, args.task), flush=True)
    if args.dry_run:
        return 0
    write_results(plan)
    return 0


def make_plan(args: argparse.Namespace) -> Plan:
    read = csv_reader(args.episodes) if args.episodes else read_run
    workers = positive_variable("NUM_WORKERS", 4)
    return Plan(Experiment.load(args.experiment), PaperModel.load(args.model, args.retrain), read, workers)


def describe(plan: Plan, task: str | None = None) -> str:
    """The runs, how many episodes each has and how many of them exist; then what cannot be played and why."""
    lines = [f"{plan.experiment.title}: {plan.model.name}, results in {plan.model.results}"]
    runs = plan.runs_of(task)
    games, missing = [len(plan.games_of(run)) for run in runs], [plan.missing(run) for run in runs]
    for run, total, left in zip(runs, games, missing):
        state = "finished" if not left else "missing" if left == total else f"partly: {total - left} of {total}"
        lines.append(f"  {run.task}/{run.split:5} {run.exp_name:28} {total:4} episodes  {state}")
    lines.append(f"{len(runs)} runs, {sum(games)} episodes, {sum(missing)} of them to be played")
    lines += [f"cannot be played: {column}: {why}" for column, why in plan.unavailable.items()]
    reasons = {row.label: plan.why_not(row) for row in plan.experiment.rows}
    lines += [f"cannot be played: {label}: {why}" for label, why in reasons.items() if why]
    return "\n".join(lines)


def to_lines(plan: Plan, task: str | None = None) -> list[str]:
    """The plan for a script, as --plan prints it."""
    lines, pending = [], [run for run in plan.runs_of(task) if plan.missing(run)]
    for name in plan.model.tasks:
        settings = [f"{key}={value}" for key, value in plan.model.environment(name).items()]
        lines.append("\t".join(["task", name, *settings]))
        for run in pending:
            if run.task == name:
                fields = [run.task, run.name, ",".join(run.served) or "-", run.own_base or "-"]
                lines.append("\t".join([*fields, *run.arguments]))
    return lines


def write_results(plan: Plan) -> None:
    """Write what is measured by now, and say where."""
    experiment, model = plan.experiment, plan.model
    table = report(experiment, model.settings.backbone, model.published_backbone, plan.outline(), plan.played())
    folder = OUTPUT / (model.name + "_retrained" * model.retrained)
    markdown = write_tables(table, folder, experiment.name)
    if experiment.plot:
        plot(table, folder / f"{experiment.name}.png")
    ends = ".md,.csv,_by_type.csv" + (",.png,.pdf" if experiment.plot else "")
    print(f"\n{markdown}\nwrote {folder / experiment.name}{{{ends}}}")


if __name__ == "__main__":
    sys.exit(main())
