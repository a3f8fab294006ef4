"""The explored trajectories that won, for state knowledge and triplets.

    python -m eval_agent.trajectories.explored --explored_dir outputs/experienced_agent/alfworld_explore/train \\
        --output_path data/explored.json
    python world_knowledge_build.py --dataset_path data/explored.json --task alfworld --gen state_knowledge \\
        --model_name rules --output_path data/explored_state.json

Not the paper's: experts never fail, so an expert's triplets say nothing of what to do after a refused action; the agent's
own exploration does, and where it won, what it did then led on. "invalid_steps" tells which actions were refused.
"""

from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import check_output, write_json
from eval_agent.trajectories.episodes import read_episodes


def won_trajectories(folder: str) -> list[dict]:
    """Won episodes as trajectories, by task id; one with an empty answer is left out, as its steps cannot be told by
    their turns. Raises InputError where there is none."""
    won = [
        {"id": episode["meta"]["task_id"], "reward": episode["meta"]["reward"],
         "conversations": episode["conversations"], "invalid_steps": episode["invalid_steps"]}
        for episode in read_episodes(Path(folder))
        if episode["meta"]["success"] and all(turn["value"].strip() for turn in episode["conversations"])
    ]  # fmt: skip
    if not won:
        raise InputError(f"{folder}: no won episode; scripts/03_explore.sh plays the train games")
    return won


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--explored_dir", required=True, help="the experienced agent's results on train")
    parser.add_argument("--output_path", required=True, help="where the trajectories go (JSON)")
    args = parser.parse_args()
    check_output(args.output_path)
    won = won_trajectories(args.explored_dir)
    write_json(args.output_path, won)
    refused = sum(len(trajectory["invalid_steps"]) for trajectory in won)
    print(f"wrote {len(won)} won trajectories with {refused} refused actions to {args.output_path}")


if __name__ == "__main__":
    main()
