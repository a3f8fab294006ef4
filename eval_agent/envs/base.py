"""What an env does: it turns text actions into observations, reward and an end."""

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import ClassVar

from eval_agent.files import file_digest
from eval_agent.tasks import Task


class EnvError(Exception):
    """The env failed for a technical reason (never because of what the agent did)."""


class EnvLost(EnvError):
    """The env's process died or hung, and the episode with it; the next reset starts another process."""


class ExpertFailed(EnvError):
    """The benchmark's expert does not solve the task; the env itself is well."""


@dataclass(frozen=True)
class StepResult:
    """What one action brought."""

    observation: str  # without the "Observation: " prefix
    reward: float  # reward of the episode so far, in [0, 1]
    done: bool
    success: bool
    valid: bool  # False for an action that was not possible (a hallucinated one)
    asks_back: bool = False  # the observation is a question ("Ambiguous request"): only this agent can answer
    reward_parts: dict | None = None  # what the reward at the end is made of, where a benchmark tells


class BaseEnv(ABC):
    """One env plays one task at a time, and any number of tasks one after the other.

    It knows no step limit: ``max_steps`` is for the loop around it.
    """

    # what its texts and its expert's actions come from: packages as pip names them, modules of this project
    packages: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[ModuleType, ...]] = ()

    @classmethod
    def identity(cls) -> dict:
        """What its episodes depend on beside task and actions, as JSON, for the keys of what is kept."""
        modules = (sys.modules[cls.__module__], *cls.modules)
        return {
            "env_class": cls.__name__,
            "packages": {name: version(name) for name in cls.packages},
            "source": {module.__name__: file_digest(module.__file__) for module in modules},
        }

    @classmethod
    def check_requirements(cls) -> None:
        """Raises InputError, with what to do, where this machine lacks something that the benchmark needs."""

    @abstractmethod
    def reset(self, task: Task) -> str:
        """Start ``task`` afresh; returns the task text that opens the dialogue."""

    @abstractmethod
    def step(self, action: str) -> StepResult:
        """Take one action. Whatever the text, this does not raise: an impossible action is not valid."""

    def expert(self, task: Task, max_steps: int) -> list[str]:
        """Actions of the benchmark's own expert on ``task``, which is left in the state they lead to.

        Raises ExpertFailed with the reason where it does not solve the task in ``max_steps``.
        """
        raise ExpertFailed(f"{type(self).__name__} has no expert")

    @abstractmethod
    def close(self) -> None:
        """Free what the env holds; it cannot be used afterwards."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
