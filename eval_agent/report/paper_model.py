"""A model that the paper's tables are made with: configs/model/*.json with the object "paper"."""

import os
from dataclasses import dataclass
from pathlib import Path

from eval_agent.agents.chat_format import recipe_file
from eval_agent.command_line import positive_variable
from eval_agent.config import ModelConfig, PaperSection, TaskConfig, load_model_config, load_task_config, read_config
from eval_agent.errors import InputError

TASKS, MODELS = "configs/task", "configs/model"


@dataclass(frozen=True)
class PaperModel:
    """Backbone, tasks, splits and repetitions of a model config, and where its results lie.

    ``retrained``: all of it anew, without shipped adapters, in folders of its own.
    """

    name: str
    config: ModelConfig
    retrained: bool = False

    @classmethod
    def load(cls, name: str, retrained: bool = False) -> "PaperModel":
        """Raises InputError where the model config has no "paper" or no recipe."""
        config = load_model_config(name, MODELS)
        for field in ("paper", "recipe"):
            if getattr(config, field) is None:
                raise InputError(f'{MODELS}/{name}.json: field "{field}" is missing, which the tables need')
        return cls(name, config, retrained)

    @property
    def settings(self) -> PaperSection:
        return self.config.paper

    @property
    def served_by(self) -> str:
        """The model config that runs are played with: its own, or the one of another server ($AGENT_CONFIG)."""
        return os.environ.get("AGENT_CONFIG") or self.name

    @property
    def tasks(self) -> list[str]:
        return list(self.settings.tasks)

    @property
    def published_backbone(self) -> str:
        """Whose published numbers stand beside: its own, or another backbone's that the config names."""
        return self.settings.published_backbone or self.settings.backbone

    @property
    def strong_backbone(self) -> str | None:
        """What the paper calls the stronger agent of Table 4; None where there is none."""
        strong = self.settings.strong
        return strong and (strong.backbone or strong.agent_model_name)

    @property
    def results(self) -> str:
        """Folder of all that is made."""
        return self.settings.out + "_retrained" * self.retrained

    def out(self, task: str) -> Path:
        return Path(self.results) / task

    def shipped(self, task: str) -> str:
        """Folder of adapters that need not be trained; "" where there is none."""
        return "" if self.retrained else self.settings.tasks[task].shipped or ""

    def has_adapter(self, task: str, name: str) -> bool:
        folders = [self.out(task) / "peft", *([Path(self.shipped(task))] if self.shipped(task) else [])]
        return any((folder / name / "train_results.json").exists() for folder in folders)

    def exp_config(self, task: str) -> str:
        return self.settings.tasks[task].exp_config

    def games(self, task: str) -> str | None:
        """What they are, where they are not the paper's."""
        return self.settings.tasks[task].games if task in self.tasks else None

    def train_limit(self, task: str) -> int | None:
        """How many train games make the training data; None: all of them. $TRAIN_LIMIT goes before the config."""
        return positive_variable("TRAIN_LIMIT", self.settings.tasks[task].train_games)

    def task_config(self, task: str) -> TaskConfig:
        return load_task_config(self.exp_config(task), TASKS)

    def recipe(self, task: str) -> str:
        return self.settings.tasks[task].recipe or self.config.recipe

    def recipe_value(self, task: str, name: str) -> object:
        """One field of a task's recipe. Raises InputError where the recipe is not there or lacks it."""
        path = recipe_file(self.recipe(task))
        recipe = read_config(path)
        if name not in recipe:
            raise InputError(f'{path}: field "{name}" is missing')
        return recipe[name]

    @property
    def shares_base(self) -> bool:
        """Whether all tasks have one base model, as a unified world model needs."""
        return len({self.recipe_value(task, "model_name_or_path") for task in self.tasks}) == 1

    def environment(self, task: str) -> dict[str, str]:
        """What scripts/settings.sh reads, for one task."""
        limit = self.train_limit(task)
        return {
            "TASK": task,
            "TASKS": " ".join(self.tasks),
            "OUT": str(self.out(task)),
            "EXP_CONFIG": self.exp_config(task),
            "RECIPE": self.recipe(task),
            "AGENT_CONFIG": self.served_by,
            "SHIPPED": self.shipped(task),
            "TRAIN_LIMIT": "" if limit is None else str(limit),
        }
