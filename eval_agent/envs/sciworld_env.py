"""ScienceWorld's simulator (scienceworld 1.2) as an env: a Java server on free ports, beside this process.

Each step asks the server only for the answer and the score; the package's own ``step`` also lists every valid
action, which takes most of its time and which nobody reads here.
"""

import os
import subprocess
from contextlib import contextmanager
from importlib.util import find_spec

from eval_agent.envs import sciworld_expert
from eval_agent.envs.base import BaseEnv, EnvLost, StepResult
from eval_agent.envs.java import find_java
from eval_agent.envs.sciworld_expert import expert_actions
from eval_agent.errors import InputError
from eval_agent.knowledge import laboratory
from eval_agent.knowledge.laboratory import impossible
from eval_agent.tasks.sciworld import SciWorldTask

# many servers share a machine: no collector threads for each core
_JAVA_OPTIONS = "-XX:+UseSerialGC"
_SECONDS_TO_END = 1.0


class SciWorldEnv(BaseEnv):
    """The reward is the best score so far, as in the release.

    An episode ends with the full score, or with a wrong focus (score -1), which takes nothing away from the
    reward. An episode whose first step is the wrong focus has 0 (the release would average a -1 there).
    Ambiguous commands are answered with a numbered list; the next action has to be one of its numbers.
    """

    packages = ("scienceworld",)
    modules = (sciworld_expert, laboratory)

    @classmethod
    def check_requirements(cls) -> None:
        if find_spec("scienceworld") is None:
            raise InputError("ScienceWorld's simulator is not installed: pip install -r requirements.txt")
        find_java()

    def __init__(self):
        os.environ["PATH"] = os.pathsep.join([os.path.dirname(find_java()), os.environ["PATH"]])
        os.environ["JDK_JAVA_OPTIONS"] = f"{_JAVA_OPTIONS} {os.environ.get('JDK_JAVA_OPTIONS', '')}".strip()
        from scienceworld import ScienceWorldEnv  # a second of imports that only the env's process needs

        self._client = ScienceWorldEnv()
        self._java = self._client._gateway.java_process
        self._reward = 0.0

    def reset(self, task: SciWorldTask) -> str:
        self._load(task, with_gold_path=False)
        return self._client.server.freeActionTaskDesc().strip()

    def step(self, action: str) -> StepResult:
        observation, score, completed = self._take(action)
        self._reward = max(self._reward, score)
        return StepResult(
            observation, self._reward, done=completed or score < 0, success=score >= 1.0,
            valid=not impossible(observation),
        )

    def expert(self, task: SciWorldTask, max_steps: int) -> list[str]:
        self._load(task, with_gold_path=True)
        gold = list(self._client.server.getGoldActionSequence())
        return expert_actions(lambda actions: self._replay(task, actions), gold, max_steps)

    def close(self) -> None:
        try:
            self._client.close()
            self._java.wait(_SECONDS_TO_END)
        finally:
            self._java.kill()

    def _replay(self, task: SciWorldTask, actions: list[str]) -> tuple[list[tuple[str, str]], float]:
        """What was done and seen until the end of the episode, and its reward."""
        self._load(task, with_gold_path=False)
        rows = []
        for action in actions:
            result = self.step(action)
            rows.append((action, result.observation))
            if result.done:
                break
        return rows, self._reward

    def _load(self, task: SciWorldTask, with_gold_path: bool) -> None:
        with self._server_at_work() as server:
            error = server.load(task.task_type, task.variation, task.simplification, with_gold_path)
            if error:
                raise InputError(f"{task.task_id}: {error}")
            server.reset()
        self._reward = 0.0
        self._take("look around")  # as the package does: the score counts from here

    def _take(self, action: str) -> tuple[str, float, bool]:
        """(observation, score, completed); the score is at most 1, and -1 after a wrong focus."""
        with self._server_at_work() as server:
            observation = server.step(action).strip()
            return observation, round(server.getScore(), 2), server.getCompleted()

    @contextmanager
    def _server_at_work(self):
        """The server's interface; raises EnvLost where the server is gone."""
        try:
            yield self._client.server
        except InputError:
            raise
        except Exception as error:
            try:
                self._java.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                raise error from None
            raise EnvLost(f"the simulator's Java server has ended (exit code {self._java.returncode})") from None
