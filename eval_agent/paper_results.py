"""One table or figure of the paper: runs what is missing, then writes it, measured beside published.

    python -m eval_agent.paper_results table1 tiny --dry_run

EXPERIMENT is a file of configs/paper, MODEL one of configs/model. Results that exist are used, whatever made
them; a run that was stopped is continued. Markdown, CSV and, for figures, PNG go to outputs/paper/MODEL/. The
environment variable NUM_WORKERS (4) says how many episodes are played side by side. Exit code 1 where a run
failed (its cells are shown as missing, or with a note), 2 for bad input.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from eval_agent.errors import exit_on_input_error
from eval_agent.files import write_text
from eval_agent.paper_plan import PaperModel, Plan, describe
from eval_agent.paper_runs import play
from eval_agent.report.figures import plot
from eval_agent.report.measured import measure
from eval_agent.report.paper_table import to_csv, to_csv_by_type, to_markdown
from eval_agent.report.published import Experiment, names

OUTPUT = Path("outputs/paper")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m eval_agent.paper_results", description=__doc__, formatter_class=raw
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help=", ".join(names()))
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default="tiny", help="a name in configs/model (tiny)"
    )
    parser.add_argument("--dry_run", action="store_true", help="only print the runs and which of them exist")
    parser.add_argument(
        "--no_run", action="store_true", help="write the table from the results that are there"
    )
    parser.add_argument("--task", help="run what is missing of this task only, such as alfworld")
    return parser.parse_args(argv)


@exit_on_input_error
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    workers = int(os.environ.get("NUM_WORKERS", "4"))
    plan = Plan(Experiment.load(args.experiment), PaperModel.load(args.model), workers)
    print(describe(plan, args.task), flush=True)
    if args.dry_run:
        return 0
    failed = {} if args.no_run else play(plan.runs_of(args.task), plan.model)
    for name, why in failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    write_results(plan)
    return 1 if failed else 0


def write_results(plan: Plan) -> None:
    """Write what is measured by now, and say where."""
    experiment, settings = plan.experiment, plan.model.settings
    strong = plan.model.strong or {}
    table = measure(
        experiment,
        plan.played(),
        settings["backbone"],
        plan.model.published_backbone,
        strong.get("backbone", strong.get("agent_model_name")),
        plan.neighbours(),
    )
    folder = OUTPUT / plan.model.name
    markdown = to_markdown(table)
    write_text(folder / f"{experiment.name}.md", markdown)
    write_text(folder / f"{experiment.name}.csv", to_csv(table))
    write_text(folder / f"{experiment.name}_by_type.csv", to_csv_by_type(table))
    if experiment.plot:
        plot(table, plan.gammas(), folder / f"{experiment.name}.png")
    kinds = "md, csv, _by_type.csv" + (", png" if experiment.plot else "")
    print(f"\n{markdown}\nwrote {folder / experiment.name}.{{{kinds}}}")


def _end(*_) -> None:
    sys.exit(143)  # so that servers are stopped on the way out


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
