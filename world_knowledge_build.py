"""Pairs of (chosen, rejected) trajectories -> the same pairs with task knowledge or state knowledge.

    python world_knowledge_build.py --dataset_path outputs/pairs.json --task alfworld \\
        --gen task_knowledge --model_name rules --output_path outputs/pairs_task.json
    python world_knowledge_build.py --dataset_path outputs/pairs_task.json --task alfworld \\
        --gen state_knowledge --model_name rules --output_path outputs/pairs_state.json

State knowledge, and task knowledge with --expert_only, can be made for trajectories alone, too. --model_name rules
reads the knowledge off the trajectories (offline, deterministic). Any other name is a model behind the
OpenAI-compatible endpoint --api_base (its key: $OPENAI_API_KEY, else EMPTY).

Every answer is kept at once in OUTPUT_PATH.journal.jsonl: a run that was killed goes on where it was, and one
that was finished asks for nothing again. With another model, endpoint, temperature or prompt, or with edited
rules, the same records are asked for anew. Records that stay without knowledge are left out of the output and
listed in OUTPUT_PATH.rejects.jsonl. Exit code 0 where every record has its knowledge, 1 where some were
rejected, 2 for bad input or an endpoint that cannot answer.
"""

import argparse
import json
import sys
from pathlib import Path

from eval_agent.command_line import Parser, positive
from eval_agent.errors import exit_on_input_error
from eval_agent.files import Journal, check_output, read_records, write_json, write_text
from eval_agent.knowledge.synthesis import (
    BY_RULE,
    GENS,
    Knowledge,
    Synthesizer,
    add_knowledge,
    check_pairs,
    load_synthesizer,
)


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--dataset_path", required=True, help="pairs, JSON or JSONL; for state knowledge and with --expert_only also trajectories")
    add("--task", required=True, help="whose prompts and rules")
    add("--gen", required=True, help=" or ".join(GENS))
    add("--model_name", required=True, help="rules, or a model that --api_base serves")
    add("--output_path", required=True, help="the pairs with knowledge, JSON")
    add("--expert_only", action="store_true", help='task knowledge without the rejected side ("w/o rejected")')
    add = parser.add_argument_group("of a language model").add_argument
    add("--api_base", default="http://localhost:8000/v1", help="its endpoint")
    add("--temperature", type=float, help="default: 0.5 for task knowledge (the paper), 0 for state")
    add("--concurrency", type=positive, default=16, help="records at once")
    add("--max_attempts", type=positive, default=4, help="answers until a well-formed one")
    add("--timeout", type=float, default=300, help="seconds for one answer")
    add("--give_up_after", type=positive, default=50, help="so many records in a row without a well-formed answer")
    return parser.parse_args()


@exit_on_input_error
def main() -> int:
    args = parse_arguments()
    pairs = read_records(args.dataset_path)
    check_pairs(pairs, args.gen, args.dataset_path, args.expert_only)
    check_output(args.output_path)
    synthesizer = load_synthesizer(
        args.task, args.model_name, args.api_base, args.temperature, args.max_attempts, args.timeout
    )
    journal = Journal(f"{args.output_path}.journal.jsonl")
    try:
        result = add_knowledge(
            pairs, args.gen, synthesizer, journal, args.dataset_path, args.concurrency, args.expert_only,
            args.give_up_after,
        )
    finally:
        journal.close()
    write_json(args.output_path, result.pairs)
    _write_rejects(result, Path(f"{args.output_path}.rejects.jsonl"))
    _report(args, len(pairs), result, synthesizer)
    return 1 if result.rejects else 0


def _write_rejects(result: Knowledge, path: Path) -> None:
    if result.rejects:
        write_text(path, "".join(json.dumps(reject, ensure_ascii=False) + "\n" for reject in result.rejects))
    else:
        path.unlink(missing_ok=True)


def _report(args: argparse.Namespace, total: int, result: Knowledge, synthesizer: Synthesizer) -> None:
    print(f"{args.gen} of {len(result.pairs)} of {total} pairs written to {args.output_path}: {result.made} "
          f"answers made now, {result.kept} from before")
    if synthesizer.malformed:
        answers = result.made + synthesizer.malformed + len(result.rejects)
        print(f"asked again because malformed: {synthesizer.malformed} of {answers} answers "
              f"({synthesizer.malformed / answers:.1%})")
    if result.rejects:
        again = "" if args.model_name == BY_RULE else "; the same command asks the model for these only"
        print(f"{len(result.rejects)} records stayed without, see {args.output_path}.rejects.jsonl{again}")


if __name__ == "__main__":
    sys.exit(main())
