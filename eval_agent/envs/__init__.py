"""Envs: benchmarks behind one interface, each in a child process of its own.

``"env_class": "AlfWorldEnv"`` in configs/task/*.json is the class ``AlfWorldEnv`` of ``envs/alfworld.py``.
Usage::

    with ProcessEnv(task_config.env.env_class) as env:
        text = env.reset(task)
        result = env.step("go to desk 1")
"""

from eval_agent.envs.base import BaseEnv, EnvError, EnvLost, ExpertFailed, StepResult
from eval_agent.envs.worker import ProcessEnv, with_restarts

__all__ = ["BaseEnv", "EnvError", "EnvLost", "ExpertFailed", "ProcessEnv", "StepResult", "with_restarts"]
