"""State knowledge -> (pre_action, state, action) triplets -> FAISS cache for retrieval at evaluation.

    python state_base_build.py --state_file_path outputs/pairs_state.json \\
        --state_action_pair_path data/state_base/alfworld/state_action_pair.json \\
        --vector_cache_path data/state_base/alfworld --encoder_model lora/world_model

--explored_path adds triplets of explored trajectories that won (ours, see eval_agent/trajectories/explored.py).
Without --state_file_path the cache is built from an existing triplets file, such as a published one.
"""

import argparse
from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.config import load_task_config
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import Lock, check_output, check_output_folder, read_records, write_json
from eval_agent.knowledge.encoders import DEFAULT_CONTROLLER, load_encoder
from eval_agent.knowledge.state_base import build_cache, explored_triplets, make_triplets, read_triplets
from eval_agent.trajectories.format import RECORD_FIELDS, TURN_FIELDS, warn_of_unused

EMBEDDED_BASE = "data/tiny-mistral"
CONFIGS = Path(__file__).resolve().parent / "configs" / "task"


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--state_file_path", help="pairs or trajectories with state_knowledge, JSON or JSONL")
    add("--explored_path", help="explored trajectories with state_knowledge; beside --state_file_path")
    add("--state_action_pair_path", required=True, help="triplets, JSON: written, or read as they are")
    add("--vector_cache_path", required=True, help="folder of the FAISS cache, written")
    add("--exp_config", default="alfworld", help="its state_base names the encoder")
    add = parser.add_argument_group("in place of what the task config says").add_argument
    add("--encoder", help="wkm-embedding, wkm-hidden or a sentence-transformers model")
    add("--encoder_model", help="wkm-embedding: the world model's folder (base or LoRA adapter); "
                                "wkm-hidden: the name it is served under")
    add("--controller_address", default=DEFAULT_CONTROLLER, help="for wkm-hidden")
    return parser.parse_args()


@exit_on_input_error
def main() -> None:
    args = parse_arguments()
    section = load_task_config(args.exp_config, CONFIGS).state_base
    name, model = args.encoder or section.encoder, args.encoder_model or section.encoder_model
    if name == "wkm-embedding" and model is None:
        model = EMBEDDED_BASE
        print(f"encoder: input embeddings of {model} (--encoder_model names your world model instead)")
    pair_path, cache = Path(args.state_action_pair_path), Path(args.vector_cache_path)
    triplets = None
    if args.state_file_path:
        records = read_records(args.state_file_path)
        triplets = make_triplets(records, args.state_file_path)
        warn_of_unused(records, args.state_file_path, RECORD_FIELDS, TURN_FIELDS)
        if args.explored_path:
            triplets += explored_triplets(read_records(args.explored_path), args.explored_path)
        check_output(pair_path)
    elif args.explored_path:
        raise InputError("--explored_path adds to what --state_file_path names: give it too")
    elif not pair_path.is_file():
        raise InputError(f"{pair_path}: no such file; give --state_file_path to make it")
    else:
        read_triplets(pair_path)
    check_output_folder(cache)
    with Lock(cache), Lock(pair_path):
        encoder = load_encoder(name, model, args.controller_address)
        if triplets is not None:
            write_json(pair_path, triplets)
            print(f"{len(triplets)} triplets written to {pair_path}")
        meta = build_cache(pair_path, cache, encoder, model)
    rows = ", ".join(f"{verb} {group['rows']}" for verb, group in meta["groups"].items())
    print(
        f"state base of {sum(group['rows'] for group in meta['groups'].values())} states, dimension "
        f"{meta['dimension']}, encoder {meta['encoder']}, written to {args.vector_cache_path}"
    )
    print(f"by pre-action verb: {rows}")


if __name__ == "__main__":
    main()
