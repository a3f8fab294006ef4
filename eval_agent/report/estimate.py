"""Time and disk that a model's reproduction of the paper will take, stage by stage, and what is there already.

    python -m eval_agent.report.estimate mistral-7b [--task alfworld] [--retrain]

Reckons with the counts of configs/estimate.json, the epochs of the recipe and the rates of the model config
("paper.rates"), which says where they come from. Starts nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.config import Rates
from eval_agent.errors import exit_on_input_error
from eval_agent.files import read_json
from eval_agent.report.experiment import Experiment, names
from eval_agent.report.paper_model import PaperModel
from eval_agent.report.runs import SEED, UNIFIED, Plan, Run

COUNTS = Path("configs/estimate.json")


@dataclass(frozen=True)
class Stage:
    """One line of the estimate; nothing is left of it where it is ``finished``."""

    name: str
    seconds: float
    gigabytes: float
    finished: bool


def stages(model: PaperModel, task: str | None = None) -> list[Stage]:
    """What the whole paper takes, or one task of it, in the order in which scripts/paper.sh does it.

    Raises InputError where the model has no such task.
    """
    counts, rates = read_json(COUNTS), model.settings.rates
    base = str(model.recipe_value(model.tasks[0], "model_name_or_path"))
    found = [Stage("backbone (download)", 0.0, rates.base_gigabytes, Path(base).is_dir())]
    plans = [Plan(Experiment.load(name), model) for name in names()]
    runs = {run: plan for plan in plans for run in plan.runs_of(task)}  # those that several tables share once
    for name in [task] if task else model.tasks:
        own = {run: plan for run, plan in runs.items() if run.task == name}
        training = _training(model, name, counts, own)
        found += _preparation(model, name, counts, rates, all(stage.finished for stage in training))
        found += training
        found.append(_evaluation(name, own, counts, rates))
    return found


def _preparation(model: PaperModel, task: str, counts: dict, rates: Rates, trained: bool) -> list[Stage]:
    """Expert trajectories, exploration and knowledge; where all is ``trained``, only the state base's part of it."""
    of_task, out = counts[task], model.out(task)
    games = model.train_limit(task) or of_task["train_games"]
    replay = games * of_task["expert_steps"] * counts["replay_seconds_per_step"]
    explore = games * of_task["steps_per_episode"] / rates.steps_per_second
    answers = games * (1 + of_task["expert_steps"]) / rates.knowledge_answers_per_second
    disk = games * of_task["kilobytes_per_episode"] / 1e6
    return [
        Stage(f"{task}: expert trajectories of {games} games", replay, disk / 10, (out / "expert.json").exists()),
        Stage(f"{task}: exploration", explore, disk, trained or (out / "pairs.json").exists()),
        Stage(f"{task}: task and state knowledge", answers, disk / 5,
              any((out / name).exists() for name in ("pairs_state.json", "state_base/meta.json"))),
    ]


def _training(model: PaperModel, task: str, counts: dict, runs: Iterable[Run]) -> list[Stage]:
    """Every adapter, those of other training runs too; of the unified world model the part that is this task's data."""
    of_task, rates, per_game = counts[task], model.settings.rates, counts["conversations_per_game"]
    games = model.train_limit(task) or of_task["train_games"]
    epochs = model.recipe_value(task, "num_train_epochs")
    seeded = sorted({name for run in runs for name in run.served if run.training > 1})
    found = []
    for name in [*per_game, *seeded]:
        if name == UNIFIED and not model.shares_base:
            continue
        tokens = games * per_game[name.partition(SEED)[0]] * of_task["tokens_per_conversation"] * epochs
        seconds = tokens / rates.train_tokens_per_second
        finished = model.has_adapter(task, name)
        found.append(Stage(f"{task}: training of {name}", seconds, rates.adapter_gigabytes, finished))
    return found


def _evaluation(task: str, runs: dict[Run, Plan], counts: dict, rates: Rates) -> Stage:
    """All runs of all tables and figures, each with a plan that has it."""
    if not runs:
        return Stage(f"{task}: evaluation, not counted: its games are not here yet", 0.0, 0.0, False)
    episodes = sum(len(plan.games_of(run)) for run, plan in runs.items())
    left = sum(plan.missing(run) for run, plan in runs.items())
    seconds = left * counts[task]["steps_per_episode"] / rates.steps_per_second
    name = f"{task}: evaluation, {len(runs)} runs, {left} of {episodes} episodes left"
    return Stage(name, seconds, left * counts[task]["kilobytes_per_episode"] / 1e6, left == 0)


def to_text(found: list[Stage], rates: Rates) -> str:
    """The stages with hours and gigabytes, and their sum over what is left."""
    lines = [f"{'hours':>8} {'GB':>8}  stage"]
    for stage in found:
        left = f"{'there':>17}" if stage.finished else f"{stage.seconds / 3600:8.2f} {stage.gigabytes:8.2f}"
        lines.append(f"{left}  {stage.name}")
    open_ = [stage for stage in found if not stage.finished]
    hours, gigabytes = sum(stage.seconds for stage in open_) / 3600, sum(stage.gigabytes for stage in open_)
    lines.append(f"{hours:8.2f} {gigabytes:8.2f}  in all, of what is left")
    lines.append(f"rates: {rates.source}")
    return "\n".join(lines)


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("model", metavar="MODEL", nargs="?", default="tiny", help="a name in configs/model")
    parser.add_argument("--task", help="of this one only")
    parser.add_argument("--retrain", action="store_true", help="as if nothing were shipped")
    args = parser.parse_args()
    model = PaperModel.load(args.model, args.retrain)
    print(to_text(stages(model, args.task), model.settings.rates))


if __name__ == "__main__":
    main()
