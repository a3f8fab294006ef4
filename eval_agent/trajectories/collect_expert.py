"""Expert trajectories for a split, each with thoughts and replayed to victory before it is kept.

    python -m eval_agent.trajectories.collect_expert --exp_config alfworld_demo --split train --output_path expert.json

The actions come from the benchmark's own expert, or with --trajectories from a file of existing trajectories
(bare ones too). Finished games are kept in a journal beside the output, so a killed run goes on where it was.
A game is played anew where its files, its actions, its step limit or the benchmark have changed.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from eval_agent.command_line import Parser, positive
from eval_agent.config import TaskConfig, load_task_config, read_instruction
from eval_agent.envs import BaseEnv, ExpertFailed, ProcessEnv, with_restarts
from eval_agent.envs.worker import env_class, run_in_envs
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import Journal, cache_key, check_output, read_records, write_json
from eval_agent.progress import tqdm
from eval_agent.rules import BENCHMARKS
from eval_agent.tasks import Task, choose_evenly, load_tasks
from eval_agent.trajectories.format import (
    OBSERVATION,
    RECORD_FIELDS,
    TURN_FIELDS,
    Step,
    record_key,
    steps_of,
    warn_of_unused,
)
from eval_agent.trajectories.reply import ACTION, action_of

CONFIGS = Path("configs/task")
_TRIES = 3  # of a replay: in ScienceWorld some things happen by chance
_PUBLISHED = "for example data/alfworld_sft.json of the Hugging Face dataset agent-eto/eto-sft-trajectory"


@dataclass(frozen=True)
class Job:
    """One task to get an expert trajectory for; ``steps`` are a given trajectory's, None asks the expert."""

    task: Task
    steps: list[Step] | None


def key_of(job: Job, max_steps: int, env: dict) -> str:
    """The key of what :func:`replay` returns; ``env`` is the identity of the env's class."""
    actions = None if job.steps is None else [step.action for step in job.steps]
    return cache_key(task=job.task.identity(), actions=actions, max_steps=max_steps, env=env)


def replay(env: BaseEnv, job: Job, max_steps: int) -> dict:
    """Replay the job's actions in a fresh episode.

    Returns {"task": its text, "steps": [[action, observation], ...]} for a victory in at most ``max_steps``
    steps, else {"dropped": the reason}.
    """
    try:
        given = job.steps is not None
        actions = [step.action for step in job.steps] if given else env.expert(job.task, max_steps)
    except ExpertFailed as error:
        return {"dropped": str(error)}
    for _ in range(_TRIES):
        text, steps = env.reset(job.task), []
        for action in actions[:max_steps]:
            result = env.step(action)
            steps.append([action, result.observation])
            if result.done:
                break
        if steps and result.success:
            return {"task": text, "steps": steps}
    too_long = len(actions) > max_steps
    return {"dropped": f"longer than {max_steps} steps" if too_long else "its actions do not win"}


def trajectory(job: Job, episode: dict, instruction: str) -> dict:
    """An episode in ETO's form: instruction, "OK", task, then thought and action against observation.

    A given trajectory's own thoughts are kept; where there are none they are written by rule.
    """
    turns = [("human", instruction), ("gpt", "OK"), ("human", episode["task"])]
    for number, (action, observation) in enumerate(episode["steps"]):
        reply = job.steps[number].reply if job.steps else ""
        if action_of(reply) is None:
            history = [tuple(step) for step in episode["steps"][:number]]
            thought = BENCHMARKS[job.task.benchmark].thought
            reply = f"Thought: {thought(episode['task'], history, action)}\n{ACTION} {action}"
        turns += [("gpt", reply), ("human", OBSERVATION + observation)]
    return {
        "id": job.task.task_id,
        "reward": 1.0,
        # nothing answers the last observation
        "conversations": [{"from": speaker, "value": value} for speaker, value in turns[:-1]],
    }


def given_jobs(path: Path, tasks: list[Task], limit: int | None, seed: int) -> list[Job]:
    """Jobs for those tasks that the file has a trajectory of. Raises InputError where there is none."""
    where = {}
    records = read_records(path)
    for index, record in enumerate(records):
        name = f"{path}, record {index}"
        where[record_key(record, name).replace("/", "__")] = (record, name)
    chosen = choose_evenly([task for task in tasks if task.task_id in where], limit, seed)
    if not chosen:
        raise InputError(f"{path}: no trajectory of a game in this split, such as {tasks[0].task_id}")
    jobs = [Job(task, steps_of(*where[task.task_id])) for task in chosen]
    warn_of_unused(records, str(path), RECORD_FIELDS, TURN_FIELDS)
    return jobs


def collect(jobs: list[Job], config: TaskConfig, output_path: Path, num_workers: int) -> Counter:
    """Play all jobs, write the trajectories of the won ones; returns the reasons why others were dropped.

    Raises InputError where nothing is kept.
    """
    instruction = read_instruction(config.agent.instruction)
    ProcessEnv(config.env.env_class).check()
    env_identity = env_class(config.env.env_class).identity()
    limits = [config.env.step_limit(job.task) for job in jobs]
    keys = [key_of(job, limit, env_identity) for job, limit in zip(jobs, limits)]
    journal = Journal(output_path.with_name(output_path.name + ".journal.jsonl"))
    missing = [row for row in zip(keys, jobs, limits) if journal.get(row[0]) is None]

    def work(env: BaseEnv, row: tuple[str, Job, int]) -> dict:
        _, job, limit = row
        return with_restarts(lambda: replay(env, job, limit))

    games = run_in_envs(config.env.env_class, work, missing, num_workers)
    progress = tqdm(games, total=len(jobs), initial=len(jobs) - len(missing), desc="expert", unit="game")
    for (key, _, _), episode in progress:
        journal.add(key, episode)
    journal.close()
    episodes = [(job, journal.get(key)) for key, job in zip(keys, jobs)]
    dropped = Counter(episode["dropped"] for _, episode in episodes if "dropped" in episode)
    kept = [trajectory(job, episode, instruction) for job, episode in episodes if "steps" in episode]
    if not kept:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in dropped.items())
        raise InputError(f"no trajectory wins ({reasons}); use --trajectories, {_PUBLISHED}")
    write_json(output_path, kept)
    return dropped


def build_parser() -> Parser:
    parser = Parser(__doc__)
    parser.add_argument("--exp_config", required=True, help="whose games")
    parser.add_argument("--split", default="train", help="of its games")
    parser.add_argument("--output_path", type=Path, required=True, help="the trajectories, JSON")
    parser.add_argument("--trajectories", type=Path, help=f"instead of the expert, {_PUBLISHED}")
    parser.add_argument("--limit", type=positive, help="at most this many games, evenly over the task types")
    parser.add_argument("--seed", type=int, default=0, help="which games --limit takes")
    parser.add_argument("--num_workers", type=positive, default=2, help="games played at once")
    return parser


@exit_on_input_error
def main() -> None:
    arguments = build_parser().parse_args()
    config = load_task_config(arguments.exp_config, CONFIGS)
    check_output(arguments.output_path)
    tasks = load_tasks(config, arguments.split)
    if arguments.trajectories:
        jobs = given_jobs(arguments.trajectories, tasks, arguments.limit, arguments.seed)
    else:
        jobs = [Job(task, None) for task in choose_evenly(tasks, arguments.limit, arguments.seed)]
    dropped = collect(jobs, config, arguments.output_path, arguments.num_workers)
    kept = len(jobs) - dropped.total()
    reasons = "".join(f"; dropped {count}: {reason}" for reason, count in dropped.most_common())
    print(f"{arguments.output_path}: {kept} trajectories of {len(jobs)} games{reasons}")


if __name__ == "__main__":
    main()
