"""Holds games of ALFWorld's train split out, so that something can be chosen on games that no adapter was trained on.

    python -m scripts.hold_out --games 300 --output_dir outputs/held_out_games

Writes links: dev/ has so many games, as many of each task type as there are, train/ all others. The task config
alfworld_held_out reads them.
"""

from pathlib import Path

from eval_agent.command_line import Parser, positive
from eval_agent.config import load_task_config
from eval_agent.errors import exit_on_input_error
from eval_agent.files import check_output_folder
from eval_agent.tasks import choose_evenly, load_tasks


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--games", type=positive, default=300, help="how many are held out")
    parser.add_argument("--output_dir", type=Path, default="outputs/held_out_games", help="folder of the links")
    args = parser.parse_args()
    check_output_folder(args.output_dir)
    games = load_tasks(load_task_config("alfworld", "configs/task"), "train")
    held_out = {game.task_id for game in choose_evenly(games, args.games)}
    for game in games:
        trial = Path(game.game_file).resolve().parent
        link = args.output_dir / ("dev" if game.task_id in held_out else "train") / trial.parent.name / trial.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(trial)
    print(f"{len(held_out)} games held out, {len(games) - len(held_out)} left to train on: {args.output_dir}")


if __name__ == "__main__":
    main()
