"""Episodes as data: of a model's results their summaries, as one compressed CSV from which its tables can be made; of a
run everything for a notebook, episodes.csv with a row for each episode and decisions.parquet with one for each step.

    python -m eval_agent.report.export outputs/tiny --output_path data/results/tiny/episodes.csv.xz
    bash scripts/table1.sh tiny --episodes data/results/tiny/episodes.csv.xz
    python -m eval_agent.report.export outputs/quickstart/agent_model/alfworld_demo_eval --output_dir outputs/wkm
"""

from io import BytesIO
from pathlib import Path

from pyarrow import parquet

from eval_agent.command_line import Parser
from eval_agent.errors import exit_on_input_error
from eval_agent.files import write_bytes, write_text
from eval_agent.report.episodes import RUN, read_out, write_csv
from eval_agent.report.run_data import columns, run_tables


def export_run(run: Path, folder: Path) -> str:
    """Write a run's two files; gives what there is to say. Raises InputError for a folder without episodes."""
    episodes, decisions = run_tables(run)
    write_text(folder / "episodes.csv", episodes.to_csv(index=False))
    content = BytesIO()
    parquet.write_table(decisions, content)
    write_bytes(folder / "decisions.parquet", content.getvalue())
    return f"wrote episodes.csv ({len(episodes)} rows) and decisions.parquet ({decisions.num_rows} rows) to {folder}"


def export_results(out: Path, path: Path) -> str:
    """Write the summaries of all runs of a model's results. Raises InputError where there are none."""
    episodes = read_out(out)
    write_csv(episodes, path)
    return f"wrote {len(episodes)} episodes of {len(episodes[RUN].drop_duplicates())} runs to {path}"


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__, epilog=columns())
    parser.add_argument("folder", metavar="FOLDER", type=Path,
                        help="a model's results, such as outputs/tiny; with --output_dir a run's folder")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--output_path", "--output", type=Path, help="a model's results as one CSV (.csv.xz)")
    target.add_argument("--output_dir", type=Path, help="the two files of a run")
    args = parser.parse_args()
    print(export_run(args.folder, args.output_dir) if args.output_dir else export_results(args.folder, args.output_path))


if __name__ == "__main__":
    main()
