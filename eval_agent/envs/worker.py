"""Envs in child processes: one may crash or hang without harm, and several work side by side on many tasks.

The child is ``python -m eval_agent.envs.worker``: started anew, so that it imports the benchmark and nothing
of its parent (no torch). Both sides exchange JSON over a socket pair. The child leads a process group of its
own, with whatever the benchmark starts (a Java server) in it. When the parent goes, killed or not, its end of
the pair closes and the group ends itself; when the parent gives a child up, it kills the group.
"""

import gc
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from eval_agent.envs.base import BaseEnv, EnvError, EnvLost, ExpertFailed, StepResult
from eval_agent.errors import InputError
from eval_agent.tasks import Task, task_class

_ROOT = Path(__file__).resolve().parents[2]
_ERRORS = {error.__name__: error for error in (InputError, EnvError, EnvLost, ExpertFailed)}
_STARTS = 3  # of one episode
_SECONDS_TO_LEAVE = 2.0
# garbage is looked for less often: translating a game makes a million objects, and 14 to 27% of its time went there
_COLLECT = (100_000, 20, 100)
Result = TypeVar("Result")


def env_class(name: str) -> type[BaseEnv]:
    """The class that a config names in ``env.env_class``. Raises InputError where there is none."""
    found = getattr(import_module(_module_of(name)), name, None)
    if found is None:
        raise InputError(f'unknown env class "{name}" (env.env_class in the task config)')
    return found


def _module_of(name: str) -> str:
    module = f"eval_agent.envs.{name.removesuffix('Env').lower()}"
    if not name.isidentifier() or find_spec(module) is None:
        raise InputError(f'unknown env class "{name}" (env.env_class in the task config)')
    return module


def with_restarts(run: Callable[[], Result]) -> Result:
    """``run()``, once more from its start where its env was lost; the third EnvLost is raised."""
    for _ in range(_STARTS - 1):
        try:
            return run()
        except EnvLost:
            continue
    return run()


class ProcessEnv(BaseEnv):
    """The env of a config, run in a child process that is started at the first reset and used for every task.

    ``env_class_name`` is a task config's env.env_class. A child that dies, or takes more than ``timeout_s``
    seconds for one call, raises EnvLost with the reason and is gone; the next reset starts another one.
    """

    def __init__(self, env_class_name: str, timeout_s: float = 300.0):
        self._name = env_class_name
        _module_of(self._name)  # a wrong name shows here rather than at the first reset
        self._timeout_s = timeout_s
        self._stopped = False
        self._child: subprocess.Popen | None = None
        self._pipe: Connection | None = None
        self._stderr = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._child.pid if self._child else None

    def check(self) -> None:
        """Raises InputError where this machine lacks what the benchmark needs; starts nothing."""
        env_class(self._name).check_requirements()

    def reset(self, task: Task) -> str:
        return self._call("reset", _task_fields(task))

    def step(self, action: str) -> StepResult:
        if self._child is None:
            raise EnvError("no episode is running: call reset first")
        return StepResult(**self._call("step", action))

    def expert(self, task: Task, max_steps: int) -> list[str]:
        return self._call("expert", _task_fields(task), max_steps)

    def stop(self) -> None:
        """Kill the child from another thread; the call that waits for it, and all later ones, raise EnvError."""
        self._stopped = True
        if self._child is not None:
            self._kill_group()

    def close(self) -> None:
        if self._child is None:
            return
        self._pipe.close()  # the child reads the end of its input and leaves
        try:
            self._child.wait(timeout=_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            pass
        self._kill_group()
        self._child.wait()
        self._stderr.close()
        self._child = None

    def _kill_group(self) -> None:
        """The child and all that it has started, also where the child itself is gone already."""
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _start(self) -> None:
        self._pipe, child_end = Pipe()
        self._stderr = tempfile.TemporaryFile()
        paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        with child_end:
            self._child = subprocess.Popen(
                [sys.executable, "-m", __name__, self._name, str(child_end.fileno())],
                pass_fds=[child_end.fileno()], start_new_session=True,  # Ctrl-C is for this process alone
                stdin=subprocess.DEVNULL, stdout=self._stderr, stderr=self._stderr,
                # a fixed hash seed: the same task gives the same text in every process
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONHASHSEED": "0"},
            )

    def _call(self, method: str, *arguments):
        if self._stopped:
            raise EnvError("the env was stopped")
        if self._child is None:
            self._start()
        try:
            self._pipe.send_bytes(json.dumps([method, *arguments]).encode())
            if not self._pipe.poll(self._timeout_s):
                self._kill_group()
                raise self._gone(f"no answer to {method} in {self._timeout_s:g} s")
            answer = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._child.wait()
            raise self._gone(f"the env's process ended during {method}") from None
        if "error" in answer:
            if answer["error"] == EnvLost.__name__:  # the child lives, but what it serves is gone
                self.close()
            raise _ERRORS[answer["error"]](answer["message"])
        return answer["value"]

    def _gone(self, reason: str) -> EnvError:
        """Clean up after a lost child and tell why it was lost."""
        code = self._child.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._stderr.seek(0)
        output = self._stderr.read().decode(errors="replace").strip().splitlines()
        self.close()
        error = EnvError if self._stopped else EnvLost
        return error(": ".join([f"{reason} ({how})", *output[-1:]]))


def _task_fields(task: Task) -> list:
    return [type(task).__name__, asdict(task)]


def _answer(env: BaseEnv, method: str, arguments: list):
    """One call in the child: plain JSON values in and out."""
    if method == "step":
        return asdict(env.step(*arguments))
    (class_name, fields), *rest = arguments
    return getattr(env, method)(task_class(class_name)(**fields), *rest)


def _end_with_parent(pipe: Connection) -> None:
    """Kill the process group, this process with it, some time after the parent's end of the pair has closed.

    The loop below leaves at once by itself, unless the benchmark hangs.
    """
    hangup = select.poll()
    hangup.register(pipe.fileno(), 0)
    hangup.poll()
    time.sleep(_SECONDS_TO_LEAVE)
    os.killpg(0, signal.SIGKILL)


def serve(name: str, pipe: Connection) -> None:
    """The child's loop: answer calls until the parent is gone."""
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    gc.set_threshold(*_COLLECT)
    with env_class(name)() as env:
        gc.freeze()  # what was imported stays
        _answer_calls(env, pipe)


def _answer_calls(env: BaseEnv, pipe: Connection) -> None:
    while True:
        try:
            method, *arguments = json.loads(pipe.recv_bytes())
        except (EOFError, ConnectionError):
            return
        try:
            answer = {"value": _answer(env, method, arguments)}
        except (InputError, EnvError) as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # a fault inside the benchmark: it ends the episode, not the run
            answer = {"error": "EnvError", "message": f"{type(error).__name__}: {error}"}
        try:
            pipe.send_bytes(json.dumps(answer).encode())
        except ConnectionError:
            return

Item = TypeVar("Item")


def run_in_envs(
    env_class_name: str, work: Callable[[ProcessEnv, Item], Result], items: Iterable[Item], num_workers: int
) -> Iterator[tuple[Item, Result]]:
    """``(item, work(env, item))`` as they finish, with ``num_workers`` envs.

    The first exception of ``work`` ends it: what has not begun is dropped, the envs are closed. On Ctrl-C, or
    when the caller wants no more, what runs is broken off too. Raises InputError for fewer than one worker.
    """
    if num_workers < 1:
        raise InputError(f"num_workers is {num_workers}, expected at least 1")
    envs: queue.SimpleQueue[ProcessEnv] = queue.SimpleQueue()
    all_envs = [ProcessEnv(env_class_name) for _ in range(num_workers)]
    for env in all_envs:
        envs.put(env)

    def in_free_env(item: Item) -> Result:
        env = envs.get()
        try:
            return work(env, item)
        finally:
            envs.put(env)

    pool = ThreadPoolExecutor(num_workers)
    try:
        futures = {pool.submit(in_free_env, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except (KeyboardInterrupt, GeneratorExit):
        for env in all_envs:
            env.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for env in all_envs:
            env.close()


if __name__ == "__main__":
    serve(sys.argv[1], Connection(int(sys.argv[2])))
