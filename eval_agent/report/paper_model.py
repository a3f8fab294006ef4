"""A model that the paper's tables are made with: configs/model/*.json with the object "paper"."""

from dataclasses import dataclass
from pathlib import Path

from eval_agent.config import load_paper_settings, load_task_config
from eval_agent.errors import InputError

TASKS, MODELS = "configs/task", "configs/model"


@dataclass(frozen=True)
class PaperModel:
    """Backbone, tasks, splits and repetitions of a model config, and where its results lie."""

    name: str
    settings: dict

    @classmethod
    def load(cls, name: str) -> "PaperModel":
        model = cls(name, load_paper_settings(name, MODELS))
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
    def strong(self) -> dict:
        """The stronger agent of Table 4: ``agent_model_name``, if need be ``agent_config`` (configs/model, in
        place of the method's) and ``backbone`` (what the paper calls it); empty where there is none."""
        return self.settings.get("strong") or {}

    @property
    def strong_backbone(self) -> str | None:
        return self.strong.get("backbone", self.strong.get("agent_model_name"))

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

    def task_config(self, task: str) -> dict:
        return load_task_config(self.exp_config(task), TASKS)

    def base_model(self, task: str) -> str:
        entry = self.settings["tasks"][task]
        own = entry.get("base_model") if isinstance(entry, dict) else None
        return own or self.settings["base_model"]

    @property
    def shares_base(self) -> bool:
        """Whether all tasks have one base model, as a unified world model needs."""
        return len({self.base_model(task) for task in self.tasks}) == 1

    def environment(self, task: str) -> dict[str, str]:
        """What scripts/settings.sh reads, for one task."""
        return {
            "TASK": task,
            "OUT": str(self.out(task)),
            "EXP_CONFIG": self.exp_config(task),
            "BASE_MODEL": self.base_model(task),
            "RECIPE": self.settings["recipe"],
            "AGENT_CONFIG": self.name,
        }
