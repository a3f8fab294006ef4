"""Which runs a table or figure of the paper needs, and which of their episodes exist.

Starts nothing. A run's folder is <out>/<task>/<agent_model_name>/<exp_config>_<exp_name>/<split>, its exp_name
<method>[_gamma<g>][_n<N>][_train<t>][_run<k>]. From the second training run on an adapter is served as NAME_seed<t>.
"""

from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import pandas as pd

from eval_agent.config import Method, PlannerSection, load_method
from eval_agent.errors import InputError
from eval_agent.report.episodes import NONE, Reader, read_run
from eval_agent.report.experiment import Experiment, Row, column_title, split_column
from eval_agent.report.paper_model import PaperModel
from eval_agent.tasks import load_tasks

PLAIN_BASE = "base"  # served without an adapter
SEED = "_seed"  # between an adapter's name and its training run, from the second on
EXPLORED = "explored"  # the state base with triplets of won explored trajectories
UNIFIED = "unified_world_model"  # one adapter for every task


@dataclass(frozen=True)
class Run:
    """One call of the evaluation: a method, or a variant of one, on a split of a task, with one training run's adapters,
    for the k-th time."""

    task: str
    split: str
    training: int
    repetition: int
    exp_name: str
    folder: Path
    served: tuple[str, ...]  # names that have to be served for it
    plans: bool  # whether it queries a state base
    own_base: str | None  # what a state base of its own is called, where the method has one: its encoder, or EXPLORED
    arguments: tuple[str, ...] = field(repr=False)  # of eval_agent.eto_multi_main_probs

    @property
    def column(self) -> str:
        return f"{self.task}/{self.split}"

    @property
    def name(self) -> str:
        return f"{self.column} {self.exp_name}"


class Plan:
    """The runs of an experiment for a model, their games and the episodes that there are.

    A cell is (a row's label, a column); ``games`` has each column's task ids, where they are not at hand those that
    were played; ``unavailable`` why nothing can be played of a column, for the columns of which that is so.
    """

    def __init__(self, experiment: Experiment, model: PaperModel, read: Reader = read_run, workers: int = 1):
        """``read`` gives a run's episodes by its folder; ``workers``: episodes side by side."""
        self.experiment = experiment.of_model(model.published_backbone, model.strong_backbone)
        self.model, self.workers = model, workers
        self._read = cache(read)

    @cached_property
    def cells(self) -> dict[tuple[str, str], list[Run]]:
        """The runs of each cell; an empty list where nothing can be run."""
        return {(row.label, column): self._runs(row, *split_column(column)) for row, column in self._places()}

    @cached_property
    def games(self) -> dict[str, list[str]]:
        return {column: games for column, (games, _) in self._columns.items()}

    @property
    def unavailable(self) -> dict[str, str]:
        return {column: why for column, (_, why) in self._columns.items() if why}

    def runs_of(self, task: str | None) -> list[Run]:
        """The runs that can be played, or those of one task; first repetitions first.

        Raises InputError where the model has no such task.
        """
        if task is not None and task not in self.model.tasks:
            raise InputError(f'--task "{task}": {self.model.name} has {", ".join(self.model.tasks)}')
        runs = max(map(len, self.cells.values()), default=0)
        ordered = [runs_of[k] for k in range(runs) for runs_of in self.cells.values() if k < len(runs_of)]
        there = [run for run in dict.fromkeys(ordered) if run.column not in self.unavailable]
        tasks = [task] if task else self.model.tasks
        return [run for name in tasks for run in there if run.task == name]

    def games_of(self, run: Run) -> list[str]:
        return self.games[run.column]

    def finished(self, run: Run) -> pd.DataFrame:
        """The finished episodes of a run's split."""
        episodes = self._read(run.folder)
        return episodes[episodes["finished"] & episodes["task_id"].isin(self.games_of(run))]

    def missing(self, run: Run) -> int:
        """How many episodes of a run are still to be played."""
        return len(self.games_of(run)) - len(self.finished(run))

    def played(self) -> pd.DataFrame:
        """What there is of all cells: finished episodes, with row, training and repetition."""
        found = [self.finished(run).assign(row=label, training=run.training, repetition=run.repetition)
                 for (label, _), runs in self.cells.items() for run in runs]
        return pd.concat(found or [NONE.assign(row="", training=0, repetition=0)], ignore_index=True)

    def outline(self) -> pd.DataFrame:
        """A line for each cell: what is measured there, by how many runs of how many games, and what the paper has."""
        return pd.DataFrame([self._outline(row, column) for row, column in self._places()])

    def why_not(self, row: Row) -> str | None:
        """What the model lacks for a row, in words."""
        if row.strong and not self.model.settings.strong:
            return f'{self.model.name} names no "strong" agent'
        if load_method(row.method).world_model == UNIFIED and not self.model.shares_base:
            return f"the tasks of {self.model.name} have different base models"
        return None

    def _places(self) -> list[tuple[Row, str]]:
        return [(row, column) for row in self.experiment.rows for column in self.experiment.columns]

    @cached_property
    def _columns(self) -> dict[str, tuple[list[str], str | None]]:
        return {column: self._at_hand(column) for column in self.experiment.columns}

    def _at_hand(self, column: str) -> tuple[list[str], str | None]:
        """A column's games and, where nothing can be played of it, why."""
        task, split = split_column(column)
        if task not in self.model.tasks:
            return [], f"{self.model.name} has no task {task}"
        try:
            if split not in self.model.settings.splits:
                raise InputError(f'"{split}" is not among the splits of {self.model.name}')
            return [one.task_id for one in load_tasks(self.model.task_config(task), split)], None
        except InputError as error:
            runs = [run for runs in self.cells.values() for run in runs if run.column == column]
            return sorted({game for run in runs for game in self._read(run.folder)["task_id"]}), str(error)

    def _outline(self, row: Row, column: str) -> dict:
        (task, split), method = split_column(column), load_method(row.method)
        plans = method.plans and task in self.model.tasks
        planner = method.apply(self.model.task_config(task)).planner if plans else row  # a row has both fields too
        return {
            "row": row.label,
            "column": column_title(task, split, self.model.games(task)),
            "method": row.method,
            "gamma": planner.gamma if row.gamma is None else row.gamma,
            "n_neighbours": planner.n_neighbours if row.n_neighbours is None else row.n_neighbours,
            "task": task,
            "split": split,
            "all_games": len(self.games[column]),
            "planned": len(self.cells[row.label, column]),
            "published": self.experiment.published(row, column),
            "published_backbone": row.backbone,
        }

    def _runs(self, row: Row, task: str, split: str) -> list[Run]:
        if task not in self.model.tasks or not row.measured or self.why_not(row):
            return []
        method = load_method(row.method)
        config = method.apply(self.model.task_config(task))
        times = self.model.settings.repetitions if method.agent_temperature(config) > 0 else 1
        return [self._run(row, task, split, method, config.planner, training, k)
                for k in range(1, times + 1) for training in range(1, self.experiment.training_runs + 1)]

    def _run(self, row: Row, task: str, split: str, method: Method, planner: PlannerSection, training: int,
             k: int) -> Run:
        variant, variant_flags = _variant(row, planner)
        exp_name = row.method + variant + (f"_train{training}" if training > 1 else "") + (f"_run{k}" if k > 1 else "")
        model, out, exp_config = self.model, self.model.out(task), self.model.exp_config(task)
        agent, world = trained(method.agent_model, training), trained(method.world_model, training)
        own_base = method.overrides.get("state_base.encoder")
        if method.overrides.get("state_base.explored"):
            own_base = EXPLORED
        flags = {
            "--method": row.method, "--exp_config": exp_config, "--exp_name": exp_name, "--split": split,
            "--output_dir": out, "--num_workers": self.workers, "--seed": k, "--agent_config": model.served_by,
            **variant_flags,
        }  # fmt: skip
        if row.strong:
            agent = model.settings.strong.agent_model_name
            flags["--agent_config"] = model.settings.strong.agent_config or method.agent_config
            flags["--agent_model_name"] = agent
            flags |= {"--world_config": model.served_by} if world else {}
        elif training > 1:
            flags |= {"--agent_model_name": agent} | ({"--world_model_name": world} if world else {})
        if method.plans:
            flags["--state_base"] = state_base(out, own_base)
        folder = out / agent / f"{exp_config}_{exp_name}" / split
        served = tuple(dict.fromkeys(name for name in (None if row.strong else agent, world) if name))
        arguments = tuple(str(part) for flag in flags.items() for part in flag)
        if "--gamma" in flags:
            arguments += ("--share_gammas",)
        return Run(task, split, training, k, exp_name, folder, served, method.plans, own_base, arguments)


def state_base(out: Path, own_base: str | None) -> Path:
    """The state base of a task; a method with another encoder or more triplets needs one of its own."""
    return out / (f"state_base_{Path(own_base).name}" if own_base else "state_base")


def trained(adapter: str | None, training: int) -> str | None:
    """The served name of an adapter's t-th training run; the plain base is never trained."""
    return adapter if training == 1 or adapter in (None, PLAIN_BASE) else f"{adapter}{SEED}{training}"


def _variant(row: Row, planner: PlannerSection) -> tuple[str, dict[str, str]]:
    """(end of exp_name, flags) of a row's gamma and N; nothing for the task's own: that run is shared."""
    name, flags = "", {}
    if row.gamma is not None and row.gamma != planner.gamma:
        name, flags["--gamma"] = f"_gamma{row.gamma:g}", f"{row.gamma:g}"
    if row.n_neighbours is not None and row.n_neighbours != planner.n_neighbours:
        name, flags["--n_neighbours"] = f"{name}_n{row.n_neighbours}", str(row.n_neighbours)
    return name, flags
