"""Evaluate an agent model on a task: planning with a world model, alone where none is named, or by --method.

    python -m eval_agent.eto_multi_main_probs --agent_config fastchat --agent_model_name agent_model \\
        --world_model_name world_model --exp_config alfworld --exp_name eval --split test
    python -m eval_agent.eto_multi_main_probs --method knowagent --exp_config alfworld --split test

A method (configs/method/*.json) names the served models, what they read and how the agent plans; names
and settings given here count more. Without --method it is "wkm" where a world model is named, else "sft".

Episodes that have a result are kept, so a run that was stopped is continued by the same command. --part_num and
--part_idx split a run over machines; with the episodes of all parts in one folder, the same command without
them writes the summary of the whole (and plays what is missing). Exit code 0 where every task has a result, 1
where technical failures are left, 2 for bad input.
"""

import argparse
import sys
from pathlib import Path

from eval_agent.command_line import Parser, positive
from eval_agent.config import (
    Method,
    TaskConfig,
    find_config,
    load_method,
    load_model_config,
    load_task_config,
    override,
)
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.evaluation import Evaluation
from eval_agent.tasks import canonical_split

_AGENT_CONFIG = "fastchat"
_DEBUG_TASKS = 10
# flags that replace fields of the task config which only the planner reads
_PLANNER_FLAGS = {
    "gamma": "planner.gamma", "n_neighbours": "planner.n_neighbours", "state_base": "state_base.path",
}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument_group("who plays").add_argument
    add("--method", help="name in configs/method, or a .json file")
    add("--agent_config", help="name in --agent_path, or a .json file (default: fastchat)")
    add("--agent_model_name", help="served name of the agent model (default: the method's)")
    add("--world_model_name", help="the same of the world model; without both the agent is alone")
    add("--world_config", help="as --agent_config, for the world model (default: the same)")
    add("--agent_path", default="configs/model", help="folder of model configs")
    add = parser.add_argument_group("what is played").add_argument
    add("--exp_config", default="alfworld", help="its task and planner")
    add("--exp_path", default="configs/task", help="another folder for --exp_config")
    add("--split", default="dev", help="of its tasks")
    add("--limit", type=positive, help="so many tasks, evenly of each type")
    add("--debug", action="store_true", help="10 tasks only, as in the release, where --limit says nothing else")
    add("--part_num", type=positive, default=1, help="split the tasks over so many machines")
    add("--part_idx", type=int, default=0, help="this machine's part, from 0")
    add = parser.add_argument_group("in place of what the task config says").add_argument
    add("--gamma", type=float, help="planner.gamma, the weight of p_agent against p_know")
    add("--n_neighbours", type=int, help="planner.n_neighbours, N states that p_know is made of")
    add("--state_base", help="state_base.path, where it is used")
    add = parser.add_argument_group("how, and where the results go").add_argument
    add("--output_dir", default="outputs", help="results, in <agent model>/<exp_config>_<exp_name>/<split>")
    add("--exp_name", help="the last part of the results' folder (default: method or eval)")
    add("--override", action="store_true", help="play the tasks again that have a result")
    add("--share_gammas", action="store_true",
        help="take over each episode of a run beside this one in which its gamma decided as this one would")
    add("--seed", type=int, default=1, help="of sampled text (temperature above 0)")
    add("--num_workers", type=positive, default=1, help="episodes played side by side")
    add("--verbose", action="store_true", help="print the result of each episode (the release's flag)")
    return parser.parse_args(argv)


def find_method(args: argparse.Namespace) -> Method:
    """The method asked for. Raises InputError where the other arguments do not fit it."""
    method = load_method(args.method or ("sft" if args.world_model_name is None else "wkm"))
    if method.world_model is None and args.world_model_name is not None:
        raise InputError(f'method "{method.name}" has no world model: leave --world_model_name out')
    # where a base lies may be given to any method: the same command then runs them all
    given = [flag for flag in _PLANNER_FLAGS if getattr(args, flag) is not None]
    if not method.plans and given and not (args.method and given == ["state_base"]):
        way = "give --world_model_name or --method"
        if args.method:
            way = f'which method "{method.name}" does not do'
        raise InputError(f"--{' and --'.join(given)} is for planning with state knowledge: {way}")
    return method


def task_config_of(args: argparse.Namespace, method: Method) -> TaskConfig:
    """The task config as the method and then the flags override it. Raises InputError naming the field."""
    config = method.apply(load_task_config(args.exp_config, args.exp_path))
    for flag, field in _PLANNER_FLAGS.items():
        value = getattr(args, flag)
        if value is not None:
            config = override(config, {field: value}, f"--{flag}")
    return config


def make_evaluation(args: argparse.Namespace) -> Evaluation:
    """The run that the arguments describe. Raises InputError."""
    method = find_method(args)
    agent_config = args.agent_config or method.agent_config or _AGENT_CONFIG
    model_config = load_model_config(agent_config, args.agent_path)
    world_config = args.world_config or method.world_config or agent_config
    agent_model_name = args.agent_model_name or args.method and (
        method.agent_model or model_config.config.get("model_name")
    )
    if not agent_model_name:
        raise InputError("no agent model: give --agent_model_name, or a --method that names one")
    exp_name = args.exp_name or (method.name if args.method else "eval")
    experiment = f"{find_config(args.exp_config, args.exp_path).stem}_{exp_name}"
    return Evaluation(
        method=method,
        task_config=task_config_of(args, method),
        model_config=model_config,
        world_model_config=load_model_config(world_config, args.agent_path),
        agent_model_name=agent_model_name,
        world_model_name=args.world_model_name or method.world_model,
        split=args.split,
        folder=Path(args.output_dir) / agent_model_name / experiment / canonical_split(args.split),
        seed=args.seed,
    )


@exit_on_input_error
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if not 0 <= args.part_idx < args.part_num:
        raise InputError(f"--part_idx is {args.part_idx}, expected 0 to {args.part_num - 1} (--part_num - 1)")
    evaluation = make_evaluation(args)
    summary = evaluation.run(
        args.limit or (_DEBUG_TASKS if args.debug else None), args.num_workers, args.override,
        (args.part_idx, args.part_num), args.verbose, args.share_gammas,
    )
    missing = len(summary["failures"]) + len(summary["not_played"])
    if summary["games"]:
        print(f"{summary['games']} games: average reward {summary['average_reward']:.3f}, "
              f"average steps {summary['average_steps']:.1f}, "
              f"hallucination rate {summary['hallucination_rate']:.3f}")
    if summary["repaired_replies"]:
        print(f"{summary['repaired_replies']:.1%} of the agent's replies were not in the form asked for and were repaired")
    if missing:
        print(f"{missing} without a result for technical reasons: run the same command again")
    print(f"results in {evaluation.folder}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
