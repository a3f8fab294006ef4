"""Write the summaries of all episodes of a model's results as one compressed CSV, from which its tables can be made.

    python -m eval_agent.report.export outputs/tiny --output data/results/tiny/episodes.csv.xz
    bash scripts/table1.sh tiny --episodes data/results/tiny/episodes.csv.xz
"""

from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.errors import exit_on_input_error
from eval_agent.report.episodes import RUN, read_out, write_csv


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="a model's results, such as outputs/tiny")
    parser.add_argument("--output", type=Path, required=True, help="where the CSV goes (.csv.xz)")
    args = parser.parse_args()
    episodes = read_out(args.out)
    write_csv(episodes, args.output)
    print(f"wrote {len(episodes)} episodes of {len(episodes[RUN].drop_duplicates())} runs to {args.output}")


if __name__ == "__main__":
    main()
