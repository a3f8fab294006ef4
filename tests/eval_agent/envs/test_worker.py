"""Envs in child processes: what happens when a child dies, hangs, or loses its parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from eval_agent.envs import EnvError, ProcessEnv
from eval_agent.envs.worker import run_in_envs
from eval_agent.errors import InputError
from eval_agent.tasks import load_tasks


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)


@pytest.fixture(scope="module")
def task(demo_games):
    return load_tasks(demo_games.task_config, "train")[0]


def test_a_killed_child_is_an_env_error_and_the_next_reset_has_a_new_one(demo_games, task):
    with ProcessEnv(demo_games.task_config.env.env_class) as env:
        text = env.reset(task)
        first = env.pid
        os.kill(first, signal.SIGKILL)
        with pytest.raises(EnvError, match="ended during step.*SIGKILL"):
            env.step("look")
        with pytest.raises(EnvError, match="call reset first"):
            env.step("look")
        assert env.reset(task) == text
        assert env.pid != first
        second = env.pid
    assert env.pid is None
    assert not is_running(second)


def test_a_hung_child_is_ended(demo_games, task):
    with ProcessEnv(demo_games.task_config.env.env_class, timeout_s=20) as env:
        env.reset(task)
        env._timeout_s = 0.3
        pid = env.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(EnvError, match="no answer to step in 0.3 s"):
            env.step("look")
        assert not is_running(pid)


def test_a_child_that_cannot_start_tells_why(demo_games, task, monkeypatch, tmp_path):
    (tmp_path / "textworld.py").write_text("raise ImportError('textworld is not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ProcessEnv(demo_games.task_config.env.env_class) as env:
        with pytest.raises(EnvError, match="ended during reset.*textworld is not installed"):
            env.reset(task)


def test_the_child_goes_with_a_killed_parent(demo_games, task):
    program = f"""
        from eval_agent.envs import ProcessEnv
        from eval_agent.tasks.alfworld import AlfWorldTask
        import time
        env = ProcessEnv({demo_games.task_config.env.env_class!r})
        env.reset({task!r})
        print(env.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    assert wait_until_gone(child)


def test_an_unknown_env_class_is_told_before_anything_starts():
    with pytest.raises(InputError, match='unknown env class "CookingEnv"'):
        ProcessEnv("CookingEnv")


def test_the_pool_shares_items_among_its_envs_and_closes_them(demo_games, task):
    seen = []

    def work(env, number):
        env.reset(task)
        seen.append(env.pid)
        return number * number

    results = dict(run_in_envs(demo_games.task_config.env.env_class, work, range(5), num_workers=2))
    assert results == {n: n * n for n in range(5)}
    assert len(set(seen)) == 2
    assert not any(is_running(pid) for pid in seen)


def test_an_error_ends_the_pool_and_its_envs(demo_games, task):
    seen = []

    def work(env, number):
        env.reset(task)
        seen.append(env.pid)
        raise InputError("stop")

    with pytest.raises(InputError, match="stop"):
        list(run_in_envs(demo_games.task_config.env.env_class, work, range(50), num_workers=1))
    assert len(seen) < 50
    assert not any(is_running(pid) for pid in seen)
