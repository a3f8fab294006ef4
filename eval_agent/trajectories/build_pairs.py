"""Pair each expert trajectory (chosen) with what the experienced agent did on the same task (rejected).

    python -m eval_agent.trajectories.build_pairs --expert_path data/expert.json \\
        --explored_dir outputs/experienced_agent/alfworld_explore/train --output_path data/pairs.json

A pair is kept even where both earn the same reward: experts are shorter.
"""

from collections import Counter
from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import check_output, read_records, write_json
from eval_agent.trajectories.episodes import read_episodes
from eval_agent.trajectories.format import record_key, steps_of


def build_pairs(expert_path: str, explored_dir: str) -> tuple[list[dict], Counter]:
    """Pairs in the expert file's order, and counts of win (the expert has more reward), tie, lose, missing.

    An expert trajectory without "reward" has reward 1: experts are kept when they solve the task. Missing are
    tasks without a finished exploration, or with one that ended before the first answer. Raises InputError
    for malformed records, and where nothing at all could be paired.
    """
    explored = {episode["meta"]["task_id"]: episode for episode in read_episodes(Path(explored_dir))}
    pairs, counts = [], Counter(win=0, tie=0, lose=0, missing=0)
    for index, expert in enumerate(read_records(expert_path)):
        where = f"{expert_path}, record {index}"
        steps_of(expert, where)
        episode = explored.get(record_key(expert, where).replace("/", "__"))
        if episode is None or not episode["meta"]["finished"] or not _answered(episode):
            counts["missing"] += 1
            continue
        chosen = {**expert, "reward": expert.get("reward", 1.0)}
        pair = {"chosen": chosen, "rejected": _rejected(expert, episode)}
        counts[_outcome(pair)] += 1
        pairs.append(pair)
    if not pairs:
        raise InputError(f"{explored_dir}: no finished episode of any task in {expert_path}")
    return pairs, counts


def _answered(episode: dict) -> list[dict]:
    """The conversation up to its last answer, without answers that are empty and what was said to them.

    Empty where nothing was answered to the task.
    """
    opening, rest = episode["conversations"][:3], episode["conversations"][3:]
    exchanges = [rest[start:start + 2] for start in range(0, len(rest), 2)]
    # the steps after this one take an empty answer for a fault of the data set
    kept = [turn for exchange in exchanges if exchange[0]["value"].strip() for turn in exchange]
    if kept and kept[-1]["from"] == "human":
        kept.pop()
    return opening + kept if kept else []


def _rejected(expert: dict, episode: dict) -> dict:
    name = "game_file" if "game_file" in expert else "id"
    return {name: expert[name], "reward": episode["meta"]["reward"], "conversations": _answered(episode)}


def _outcome(pair: dict) -> str:
    difference = pair["chosen"]["reward"] - pair["rejected"]["reward"]
    return "tie" if difference == 0 else "win" if difference > 0 else "lose"


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--expert_path", required=True, help="expert trajectories (JSON or JSONL)")
    parser.add_argument("--explored_dir", required=True, help="the experienced agent's results on train")
    parser.add_argument("--output_path", required=True, help="the pairs, JSON")
    args = parser.parse_args()
    check_output(args.output_path)
    pairs, counts = build_pairs(args.expert_path, args.explored_dir)
    write_json(args.output_path, pairs)
    print(f"wrote {len(pairs)} pairs to {args.output_path}: expert better {counts['win']}, "
          f"equal {counts['tie']}, worse {counts['lose']}; "
          f"{counts['missing']} expert trajectories without an explored one")


if __name__ == "__main__":
    main()
