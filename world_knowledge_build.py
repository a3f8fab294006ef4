"""Pairs of (chosen, rejected) trajectories -> the same pairs with task knowledge or state knowledge.

    python world_knowledge_build.py --dataset_path outputs/pairs.json --task alfworld \
        --gen task_knowledge --model_name rules --output_path outputs/pairs_task.json
    python world_knowledge_build.py --dataset_path outputs/pairs_task.json --task alfworld \
        --gen state_knowledge --model_name rules --output_path outputs/pairs_state.json

--model_name rules reads the knowledge off the trajectories (ALFWorld only, offline, deterministic). Any other
name is a model behind the OpenAI-compatible endpoint --api_base (its key: $OPENAI_API_KEY, else EMPTY). A
killed run goes on where it was: finished answers stay in OUTPUT_PATH.journal.jsonl until the output is whole.
"""

import argparse

from eval_agent.errors import exit_on_input_error
from eval_agent.files import read_records, write_json
from eval_agent.knowledge.journal import Journal
from eval_agent.knowledge.synthesis import GENS, TASKS, add_knowledge, check_pairs, load_synthesizer


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset_path", required=True, help="pairs, JSON or JSONL")
    parser.add_argument("--task", required=True, help=" | ".join(TASKS))
    parser.add_argument("--gen", required=True, help=" | ".join(GENS))
    parser.add_argument("--model_name", required=True, help="rules, or a model that --api_base serves")
    parser.add_argument("--output_path", required=True, help="the pairs with knowledge, JSON")
    parser.add_argument("--api_base", default="http://localhost:8000/v1", help="endpoint (%(default)s)")
    parser.add_argument(
        "--temperature", type=float, help="default: 0.5 for task knowledge (the paper), 0 for state"
    )
    return parser.parse_args()


@exit_on_input_error
def main() -> None:
    args = parse_arguments()
    pairs = read_records(args.dataset_path)
    check_pairs(pairs, args.gen, args.dataset_path)
    synthesizer = load_synthesizer(args.task, args.model_name, args.api_base, args.temperature)
    made_by = {"task": args.task, "model_name": args.model_name, "temperature": args.temperature}
    journal = Journal(f"{args.output_path}.journal.jsonl")
    try:
        pairs, made = add_knowledge(pairs, args.gen, synthesizer, made_by, journal, args.dataset_path)
    finally:
        journal.close()
    write_json(args.output_path, pairs)
    journal.remove()
    print(f"{args.gen} of {len(pairs)} pairs ({made} answers made now) written to {args.output_path}")


if __name__ == "__main__":
    main()
