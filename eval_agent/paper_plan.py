"""Which runs a table or figure of the paper needs, and which of them have results.

Knows the configs (configs/paper, configs/model, configs/method, configs/task) and where results lie; starts
nothing. A run's folder is <out>/<task>/<agent_model_name>/<exp_config>_<exp_name>/<split>, its exp_name
<method>[_gamma<g>][_n<N>][_run<k>].
"""

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from eval_agent.config import Method, apply_overrides, load_method, load_paper_config, load_task_config
from eval_agent.errors import InputError
from eval_agent.report.published import Experiment, Row, split_column
from eval_agent.report.repeated import Played
from eval_agent.results import episode_names, read_episodes
from eval_agent.tasks import load_tasks

TASKS, MODELS = "configs/task", "configs/model"
PLAIN_BASE = "base"  # served without an adapter
UNIFIED = "unified_world_model"  # one adapter for every task


@dataclass(frozen=True)
class Run:
    """One call of the evaluation: a method, or a variant of one, on a split of a task, for the k-th time."""

    task: str
    split: str
    method: str
    exp_name: str
    folder: Path
    games: tuple[str, ...] = field(repr=False)  # task ids of the whole split
    served: tuple[str, ...]  # names that have to be served for it
    plans: bool  # whether it queries a state base
    encoder: str | None  # of a state base of its own, where the method has one
    arguments: tuple[str, ...] = field(repr=False)  # of eval_agent.eto_multi_main_probs

    @property
    def name(self) -> str:
        return f"{self.task}/{self.split} {self.exp_name}"

    def results(self) -> dict[str, dict]:
        """ "meta" of every finished episode of the split, by task id."""
        metas = (episode["meta"] for episode in read_episodes(self.folder))
        wanted = set(self.games)
        return {meta["task_id"]: meta for meta in metas if meta["finished"] and meta["task_id"] in wanted}


@dataclass(frozen=True)
class PaperModel:
    """A model config of configs/model with the object "paper": what its tables are made with."""

    name: str
    recipe: str  # that its adapters are trained with
    settings: dict  # "paper"

    @classmethod
    def load(cls, name: str) -> "PaperModel":
        config = load_paper_config(name, MODELS)
        model = cls(name, config["recipe"], config["paper"])
        for task in model.tasks:
            model.exp_config(task)
        return model

    @property
    def tasks(self) -> list[str]:
        return list(self.settings["tasks"])

    @property
    def published_backbone(self) -> str:
        """Whose published numbers stand beside: its own, or another backbone's that the config names."""
        return self.settings.get("published_backbone", self.settings["backbone"])

    @property
    def strong(self) -> dict | None:
        """The stronger agent of Table 4: ``agent_model_name``, if need be ``agent_config`` (configs/model, in
        place of the method's) and ``backbone`` (what the paper calls it)."""
        return self.settings.get("strong")

    def out(self, task: str) -> Path:
        return Path(self.settings["out"]) / task

    def exp_config(self, task: str) -> str:
        entry = self.settings["tasks"][task]
        name = entry.get("exp_config") if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            raise InputError(
                f'configs/model/{self.name}.json: field "paper.tasks.{task}" is {entry!r}, '
                'expected the name of a task config, or {"exp_config": ..., "base_model": ...}'
            )
        return name

    def base_model(self, task: str) -> str:
        entry = self.settings["tasks"][task]
        own = entry.get("base_model") if isinstance(entry, dict) else None
        return own or self.settings["base_model"]

    @property
    def shares_base(self) -> bool:
        """Whether all tasks have one base model, as a unified world model needs."""
        return len({self.base_model(task) for task in self.tasks}) == 1


@dataclass(frozen=True)
class Plan:
    """The runs of an experiment for a model: a list of repetitions for each cell of its table."""

    experiment: Experiment
    model: PaperModel
    workers: int = 1  # episodes side by side

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Each column's task ids; empty where it has no results and none can be made here."""
        return {column: self._games(column) for column in self.experiment.columns}

    @cached_property
    def unavailable(self) -> dict[str, str]:
        """Why nothing can be played of a column, in words, for the columns of which that is so."""
        return {column: why for column in self.experiment.columns if (why := self._why_not(column))}

    @cached_property
    def cells(self) -> dict[tuple[str, str], list[Run]]:
        """(row key, column) -> its repetitions; an empty list where nothing can be run."""
        return {
            (row.key, column): self._repetitions(row, column)
            for row in self.experiment.rows
            for column in self.experiment.columns
        }

    def runs_of(self, task: str | None) -> list[Run]:
        """The runs that can be played, or those of one task; first repetitions first.

        Raises InputError where the model has no such task.
        """
        if task is not None and task not in self.model.tasks:
            raise InputError(f'--task "{task}": {self.model.name} has {", ".join(self.model.tasks)}')
        repetitions = max((len(runs) for runs in self.cells.values()), default=0)
        ordered = [runs[k] for k in range(repetitions) for runs in self.cells.values() if k < len(runs)]
        wanted = [
            run
            for run in dict.fromkeys(ordered)
            if task in (None, run.task) and f"{run.task}/{run.split}" not in self.unavailable
        ]
        return sorted(wanted, key=lambda run: self.model.tasks.index(run.task))

    def played(self) -> dict[tuple[str, str], Played]:
        """What there is of each cell that can be measured."""
        return {
            (key, column): Played(self.columns[column], [run.results() for run in runs])
            for (key, column), runs in self.cells.items()
            if runs
        }

    def gammas(self) -> dict[str, float]:
        """Each task's own gamma."""
        return {task: self._task_config(task)["planner"]["gamma"] for task in self.model.tasks}

    def _why_not(self, column: str) -> str | None:
        task, split = split_column(column)
        if task == "webshop":
            return "there is no WebShop here"
        if task not in self.model.tasks:
            return f"{self.model.name} has no task {task}"
        if split not in self.model.settings["splits"]:
            return f'"{split}" is not among the splits of {self.model.name}'
        try:
            load_tasks(self._task_config(task), split)
        except InputError as error:
            return str(error)
        return None

    def _games(self, column: str) -> tuple[str, ...]:
        """The split's games; where they are not at hand, those that any run has played."""
        task, split = split_column(column)
        if column not in self.unavailable:
            return tuple(one.task_id for one in load_tasks(self._task_config(task), split))
        if task not in self.model.tasks:
            return ()
        runs = self.model.out(task).glob(f"*/{self.model.exp_config(task)}_*/{split}")
        return tuple(sorted({name for run in runs for name in episode_names(run)}))

    def _task_config(self, task: str) -> dict:
        return load_task_config(self.model.exp_config(task), TASKS)

    def _repetitions(self, row: Row, column: str) -> list[Run]:
        games = self.columns[column]
        if not games or self.why_not(row):
            return []
        task, split = split_column(column)
        method = load_method(row.method)
        config = apply_overrides(method, self._task_config(task))
        times = self.model.settings["repetitions"] if method.agent_temperature(config) > 0 else 1
        return [self._run(row, task, split, method, config, games, k) for k in range(1, times + 1)]

    def why_not(self, row: Row) -> str | None:
        """What the model lacks for a row, in words."""
        if row.strong and not self.model.strong:
            return f'{self.model.name} names no "strong" agent'
        if load_method(row.method).world_model == UNIFIED and not self.model.shares_base:
            return f"the tasks of {self.model.name} have different base models"
        return None

    def _run(
        self, row: Row, task: str, split: str, method: Method, config: dict, games: tuple[str, ...], k: int
    ) -> Run:
        variant, variant_flags = _variant(row, config["planner"])
        exp_name = row.method + variant + (f"_run{k}" if k > 1 else "")
        out, exp_config = self.model.out(task), self.model.exp_config(task)
        agent, world = method.agent_model, method.world_model
        encoder = method.overrides.get("state_base.encoder")
        flags = {
            "--method": row.method, "--exp_config": exp_config, "--exp_name": exp_name, "--split": split,
            "--output_dir": out, "--num_workers": self.workers, "--seed": k, "--agent_config": self.model.name,
            **variant_flags,
        }  # fmt: skip
        if row.strong:
            agent = self.model.strong["agent_model_name"]
            flags["--agent_config"] = self.model.strong.get("agent_config") or method.agent_config
            flags["--agent_model_name"] = agent
            flags |= {"--world_config": self.model.name} if world else {}
        if method.plans:
            flags["--state_base"] = state_base(out, encoder)
        folder = out / agent / f"{exp_config}_{exp_name}" / split
        served = tuple(dict.fromkeys(name for name in (None if row.strong else agent, world) if name))
        arguments = tuple(str(part) for flag in flags.items() for part in flag)
        return Run(task, split, row.method, exp_name, folder, games, served, method.plans, encoder, arguments)


def state_base(out: Path, encoder: str | None) -> Path:
    """The state base of a task; a method with another encoder needs one of its own."""
    return out / (f"state_base_{encoder}" if encoder else "state_base")


def describe(plan: Plan, task: str | None = None) -> str:
    """The runs, how many episodes each has and how many of them exist; then what cannot be played and why."""
    lines = [f"{plan.experiment.title}: {plan.model.name}, results in {plan.model.settings['out']}"]
    to_play, runs = 0, plan.runs_of(task)
    for run in runs:
        there, games = len(run.results()), len(run.games)
        state = "finished" if there == games else f"partly: {there} of {games}" if there else "missing"
        to_play += games - there
        lines.append(f"  {run.task}/{run.split:5} {run.exp_name:28} {games:4} episodes  {state}")
    episodes = sum(len(run.games) for run in runs)
    lines.append(f"{len(runs)} runs, {episodes} episodes, {to_play} of them to be played")
    lines += [f"cannot be played: {column}: {why}" for column, why in plan.unavailable.items()]
    reasons = {row.key: plan.why_not(row) for row in plan.experiment.rows}
    lines += [f"cannot be played: {key}: {why}" for key, why in reasons.items() if why]
    return "\n".join(lines)


def command_of(run: Run) -> list[str]:
    return [sys.executable, "-m", "eval_agent.eto_multi_main_probs", *run.arguments]


def _variant(row: Row, planner: dict) -> tuple[str, dict[str, str]]:
    """(end of exp_name, flags) of a row's gamma and N; nothing for the task's own: that run is shared."""
    name, flags = "", {}
    if row.gamma is not None and row.gamma != planner["gamma"]:
        name, flags["--gamma"] = f"_gamma{row.gamma:g}", f"{row.gamma:g}"
    if row.n_neighbours is not None and row.n_neighbours != planner["n_neighbours"]:
        name, flags["--n_neighbours"] = f"{name}_n{row.n_neighbours}", str(row.n_neighbours)
    return name, flags
