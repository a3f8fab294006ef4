"""Evaluate an agent model on a task: planning with a world model, or alone where none is named.

    python -m eval_agent.eto_multi_main_probs --agent_config fastchat --agent_model_name agent_model \\
        --world_model_name world_model --exp_config alfworld --exp_name eval --split test

Episodes that have a result are kept, so a run that was stopped is continued by the same command. --part_num and
--part_idx split a run over machines; with the episodes of all parts in one folder, the same command without
them writes the summary of the whole (and plays what is missing). Exit code 0 where every task has a result, 1
where technical failures are left, 2 for bad input.
"""

import argparse
import sys
from pathlib import Path

from eval_agent.config import find_config, load_model_config, load_task_config
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.evaluation import Evaluation
from eval_agent.flags import positive
from eval_agent.tasks import canonical_split


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--agent_config", default="fastchat", help="name in --agent_path, or a .json file")
    parser.add_argument("--agent_model_name", required=True, help="served name of the agent model")
    parser.add_argument("--world_model_name", help="its served name; without it the agent is alone")
    parser.add_argument("--world_config", help="as --agent_config, for the world model (default: the same)")
    parser.add_argument("--exp_config", default="alfworld", help="name in --exp_path, or a .json file")
    parser.add_argument("--exp_name", default="eval", help="results go to <exp_config>_<exp_name>")
    parser.add_argument("--split", default="dev", help="train, dev (= seen) or test (= unseen)")
    parser.add_argument("--exp_path", default="configs/task", help="folder of task configs")
    parser.add_argument("--agent_path", default="configs/model", help="folder of model configs")
    parser.add_argument("--output_dir", default="outputs")
    parser.add_argument("--override", action="store_true", help="play the tasks again that have a result")
    parser.add_argument("--limit", type=positive, help="so many tasks, evenly of each type")
    parser.add_argument("--num_workers", type=positive, default=1, help="episodes played side by side")
    parser.add_argument("--part_num", type=positive, default=1, help="split the tasks over so many machines")
    parser.add_argument("--part_idx", type=int, default=0, help="this machine's part, from 0")
    parser.add_argument("--gamma", type=float, help="in place of the config's planner.gamma")
    parser.add_argument("--state_base", help="in place of the config's state_base.path")
    return parser.parse_args(argv)


@exit_on_input_error
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.world_model_name is None and (args.gamma is not None or args.state_base is not None):
        raise InputError("--gamma and --state_base need a world model: give --world_model_name")
    if not 0 <= args.part_idx < args.part_num:
        raise InputError(f"--part_idx is {args.part_idx}, expected 0 to {args.part_num - 1} (--part_num - 1)")
    experiment = f"{find_config(args.exp_config, args.exp_path).stem}_{args.exp_name}"
    folder = Path(args.output_dir) / args.agent_model_name / experiment / canonical_split(args.split)
    evaluation = Evaluation(
        task_config=load_task_config(args.exp_config, args.exp_path, args.gamma, args.state_base),
        model_config=load_model_config(args.agent_config, args.agent_path),
        world_model_config=load_model_config(args.world_config or args.agent_config, args.agent_path),
        agent_model_name=args.agent_model_name,
        world_model_name=args.world_model_name,
        split=args.split,
        folder=folder,
    )
    summary = evaluation.run(
        args.limit, args.num_workers, args.override, (args.part_idx, args.part_num)
    )
    missing = len(summary["failures"]) + len(summary["not_played"])
    if summary["games"]:
        print(f"{summary['games']} games: average reward {summary['average_reward']:.3f}, "
              f"average steps {summary['average_steps']:.1f}, "
              f"hallucination rate {summary['hallucination_rate']:.3f}")
    if missing:
        print(f"{missing} without a result for technical reasons: run the same command again")
    print(f"results in {folder}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
