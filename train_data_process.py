"""Pairs or trajectories with knowledge -> SFT conversations (sharegpt) for one of the models.

    python train_data_process.py --task alfworld --file_path outputs/pairs_state.json \\
        --mode agent_model --output_path data/alfworld_agent_model.json

Modes: agent_model (task knowledge in the first turn), world_model (learns task and state knowledge),
experienced_agent (expert trajectories alone, no knowledge), explicit_state (state knowledge in the agent's
context); of the baselines nat (expert and failed trajectories under instructions of their own), knowagent
(action knowledge and path), eto (pairs for --stage dpo).
"""

import argparse

from eval_agent.command_line import Parser
from eval_agent.errors import exit_on_input_error
from eval_agent.files import read_records, write_json
from eval_agent.trajectories.sft import MODES, make_conversations


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--task", required=True, help="whose instructions")
    parser.add_argument("--file_path", required=True, help="pairs or trajectories, JSON or JSONL")
    parser.add_argument("--mode", required=True, help=f"one of {', '.join(MODES)}")
    parser.add_argument("--output_path", required=True, help="the conversations, JSON")
    return parser.parse_args()


@exit_on_input_error
def main() -> None:
    args = parse_arguments()
    conversations = make_conversations(read_records(args.file_path), args.task, args.mode, args.file_path)
    write_json(args.output_path, conversations)
    if args.mode == "eto":
        print(f"eto: {len(conversations)} pairs written to {args.output_path}")
        return
    replies = sum(len(record["conversations"]) // 2 - 1 for record in conversations)  # without the "OK"
    print(
        f"{args.mode}: {len(conversations)} conversations with {replies} replies "
        f"written to {args.output_path}"
    )


if __name__ == "__main__":
    main()
