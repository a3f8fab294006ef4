"""ScienceWorld's env in its child process: whatever ends, the Java server ends with it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from eval_agent.config import load_task_config
from eval_agent.envs import EnvLost, ProcessEnv, with_restarts
from eval_agent.envs.sciworld import SciWorldEnv
from eval_agent.errors import InputError
from eval_agent.tasks.sciworld import SciWorldTask

CONFIG = load_task_config("sciworld", "configs/task")
TASK = SciWorldTask.of("find-plant", 0)


@pytest.fixture(scope="module", autouse=True)
def simulator():
    try:
        SciWorldEnv.check_requirements()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture
def env():
    with ProcessEnv(CONFIG.env.env_class) as env:
        yield env
    assert not left(), "a Java server is left behind"


def left() -> list[psutil.Process]:
    """The simulator's servers that this test run has started and that still run."""
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    return [process for process in servers() if process.pid in mine or process.ppid() == 1]


def servers() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status", "uids"]):
        of_simulator = any("scienceworld.jar" in word for word in process.info["cmdline"] or [])
        if of_simulator and process.info["status"] != psutil.STATUS_ZOMBIE and process.info["uids"].real == os.getuid():
            found.append(process)
    return found


def java_of(pid: int) -> psutil.Process:
    (java,) = [child for child in psutil.Process(pid).children() if "java" in child.name()]
    return java


def gone(process: psutil.Process, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_server_is_a_lost_env_and_the_episode_starts_again(env):
    killed = []

    def episode() -> str:
        env.reset(TASK)
        if not killed:
            killed.append(java_of(env.pid))
            killed[0].kill()
        return env.step("look around").observation

    assert with_restarts(episode).startswith("This room is called")
    assert java_of(env.pid).pid != killed[0].pid


def test_a_hung_server_is_replaced(env):
    env.reset(TASK)
    java = java_of(env.pid)
    java.suspend()
    env._timeout_s = 0.5
    with pytest.raises(EnvLost, match="no answer to step in 0.5 s"):
        env.step("look around")
    assert gone(java)
    env._timeout_s = 60
    assert env.reset(TASK).startswith("Task Description:")


def test_closing_ends_a_server_that_hangs():
    with ProcessEnv(CONFIG.env.env_class) as env:
        env.reset(TASK)
        java = java_of(env.pid)
        java.suspend()
    assert gone(java)


def test_a_killed_child_takes_the_server_with_it(env):
    env.reset(TASK)
    java = java_of(env.pid)
    os.kill(env.pid, signal.SIGKILL)
    with pytest.raises(EnvLost, match="SIGKILL"):
        env.step("look around")
    assert gone(java)


@pytest.mark.parametrize("hangs", [False, True])
def test_the_server_goes_with_a_killed_parent(hangs):
    program = f"""
        import time
        from eval_agent.envs import ProcessEnv
        from eval_agent.tasks.sciworld import SciWorldTask
        env = ProcessEnv({CONFIG.env.env_class!r})
        env.reset({TASK!r})
        print(env.pid, flush=True)
        env.step("look around") if {hangs} and input() else time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        java = java_of(child)
        if hangs:
            java.suspend()
            parent.stdin.write("go\n")
            parent.stdin.flush()
            time.sleep(0.5)
        parent.kill()
    assert gone(java) and gone_pid(child)


def gone_pid(pid: int) -> bool:
    return not psutil.pid_exists(pid) or gone(psutil.Process(pid))


def _heed_ctrl_c() -> None:
    """A shell's background jobs ignore Ctrl-C, and hand that on to what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_run_over_many_tasks_and_all_its_servers(tmp_path):
    command = [sys.executable, "-m", "eval_agent.trajectories.collect_expert", "--exp_config", "sciworld", "--split", "unseen",
               "--num_workers", "2", "--output_path", str(tmp_path / "expert.json")]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, start_new_session=True,
                          preexec_fn=_heed_ctrl_c) as run:
        deadline = time.monotonic() + 60
        started = []
        while len(started) < 2 and time.monotonic() < deadline:
            family = psutil.Process(run.pid).children(recursive=True)
            started = [process for process in servers() if process in family]
            time.sleep(0.2)
        assert len(started) == 2
        time.sleep(1)
        os.killpg(run.pid, signal.SIGINT)  # what a terminal sends
        run.communicate(timeout=30)
    assert run.returncode != 0
    assert all(gone(java) for java in started)
