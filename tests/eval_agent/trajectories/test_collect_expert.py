"""Expert trajectories: form, thoughts, what is dropped, and going on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from eval_agent.config import TaskConfig, override
from eval_agent.envs.worker import env_class
from eval_agent.errors import InputError
from eval_agent.tasks import load_tasks
from eval_agent.tasks.sciworld import SciWorldTask
from eval_agent.trajectories import collect_expert
from eval_agent.trajectories.format import steps_of, task_turns

INSTRUCTION = Path("eval_agent/prompt/instructions/alfworld_agent.txt").read_text().strip()


@pytest.fixture(scope="module")
def config_file(demo_games, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("config") / "demo.json"
    path.write_text(demo_games.task_config.model_dump_json())
    return str(path)


@pytest.fixture
def collect(config_file, monkeypatch, capsys):
    """Run the entry; gives what it printed."""

    def run(output: Path, *flags: str) -> str:
        argv = ["collect_expert", "--exp_config", config_file, "--output_path", str(output), *flags]
        monkeypatch.setattr("sys.argv", argv)
        collect_expert.main()
        return capsys.readouterr().out

    return run


def bare(task_id: str, actions: list[str]) -> dict:
    """A trajectory as published sets have them: no instruction, no thoughts."""
    turns = [{"from": "human", "value": "Your task is to: something."}]
    for action in actions:
        turns += [{"from": "gpt", "value": action}, {"from": "human", "value": "whatever was seen"}]
    game_file = f"json_2.1.1/train/{task_id.replace('__', '/')}/game.tw-pddl"
    return {"game_file": game_file, "conversations": turns}


def test_the_expert_s_trajectories_are_in_eto_s_form_and_win(collect, demo_games, env, tmp_path):
    printed = collect(tmp_path / "expert.json")
    assert "expert.json: 2 trajectories of 2 games\n" in printed
    records = json.loads((tmp_path / "expert.json").read_text())
    for task, record in zip(load_tasks(demo_games.task_config, "train"), records, strict=True):
        assert (record["id"], record["reward"]) == (task.task_id, 1.0)
        turns = record["conversations"]
        assert [turn["value"] for turn in turns[:2]] == [INSTRUCTION, "OK"]
        assert turns[2]["value"] == env.reset(task)
        steps = steps_of(record, "record")
        assert [step.action for step in steps] == demo_games.expert_actions[task.task_id]
        assert all(step.reply == f"{step.reply.splitlines()[0]}\nAction: {step.action}" for step in steps)
        assert all(step.reply.startswith("Thought: ") for step in steps)
        assert all(turn["value"].startswith("Observation: ") for turn in turns[4::2])
        seen = [env.step(step.action) for step in steps]
        assert [result.observation for result in seen[:-1]] == [step.observation for step in steps[1:]]
        assert seen[-1].success and turns[-1]["from"] == "gpt"


def test_given_trajectories_are_replayed_and_those_that_do_not_win_are_dropped(collect, demo_games, tmp_path):
    (good, good_actions), (bad, bad_actions), _ = demo_games.expert_actions.items()
    given = [bare(good, good_actions), bare(bad, bad_actions[:-1]), bare("another__game", ["look"])]
    (tmp_path / "given.json").write_text(json.dumps(given))
    printed = collect(tmp_path / "out.json", "--trajectories", str(tmp_path / "given.json"))
    assert "1 trajectories of 2 games; dropped 1: its actions do not win" in printed
    (record,) = json.loads((tmp_path / "out.json").read_text())
    assert record["id"] == good
    assert [step.action for step in steps_of(record, "record")] == good_actions
    assert "whatever was seen" not in json.dumps(record)


def test_given_thoughts_are_kept(collect, demo_games, tmp_path):
    task_id, actions = next(iter(demo_games.expert_actions.items()))
    given = bare(task_id, [f"Thought: mine\nAction: {action}" for action in actions])
    (tmp_path / "given.jsonl").write_text(json.dumps(given) + "\n")
    collect(tmp_path / "out.json", "--trajectories", str(tmp_path / "given.jsonl"))
    (record,) = json.loads((tmp_path / "out.json").read_text())
    assert [turn["value"] for turn in task_turns(record, "record")[1::2]] == [
        f"Thought: mine\nAction: {action}" for action in actions
    ]


def test_nothing_kept_points_to_published_trajectories(demo_games, tmp_path):
    task = load_tasks(demo_games.task_config, "train")[0]
    config = override(demo_games.task_config, {"env.max_steps": 1}, "test")
    with pytest.raises(InputError, match="does not win in 1 steps: 1.*--trajectories.*eto-sft-trajectory"):
        collect_expert.collect([collect_expert.Job(task, None)], config, tmp_path / "out.json", 1)
    assert not (tmp_path / "out.json").exists()


def test_trajectories_of_other_games_are_refused(collect, tmp_path, capsys):
    (tmp_path / "given.json").write_text(json.dumps([bare("another__game", ["look"])]))
    with pytest.raises(SystemExit):
        collect(tmp_path / "out.json", "--trajectories", str(tmp_path / "given.json"))
    assert "given.json: no trajectory of a game in this split" in capsys.readouterr().err


def test_a_killed_run_goes_on_and_plays_no_game_twice(config_file, collect, tmp_path):
    output, journal = tmp_path / "expert.json", tmp_path / "expert.json.journal.jsonl"
    argv = [sys.executable, "-m", "eval_agent.trajectories.collect_expert", "--exp_config", config_file,
            "--num_workers", "1", "--output_path", str(output)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
    output.unlink(missing_ok=True)  # had the kill come too late
    first = journal.read_text().splitlines()[0]
    journal.write_text(first + '\n{"key": "half a li')
    assert "2 trajectories of 2 games" in collect(output)
    lines = journal.read_text().splitlines()
    assert lines[0] == first and len(lines) == 2
    assert len(json.loads(output.read_text())) == 2


@pytest.fixture
def played(tmp_path):
    """``played(config)``: how many of its two games are played now, not taken from the journal."""
    journal = tmp_path / "expert.json.journal.jsonl"

    def run(config: TaskConfig) -> int:
        before = len(journal.read_text().splitlines()) if journal.exists() else 0
        jobs = [collect_expert.Job(task, None) for task in load_tasks(config, "train")]
        collect_expert.collect(jobs, config, tmp_path / "expert.json", 1)
        return len(journal.read_text().splitlines()) - before

    return run


def test_the_same_games_are_not_played_again_wherever_they_lie(played, demo_games, tmp_path):
    config = demo_games.task_config
    assert (played(config), played(config)) == (2, 0)
    moved = shutil.copytree(demo_games.folder, tmp_path / "moved")
    assert played(override(config, {"task.data_path": str(moved)}, "test")) == 0


def test_another_step_limit_or_an_edited_game_is_played_anew(played, demo_games, tmp_path):
    config = demo_games.task_config
    assert played(config) == 2
    assert played(override(config, {"env.max_steps": config.env.max_steps - 1}, "test")) == 2
    folder = shutil.copytree(demo_games.folder, tmp_path / "edited")
    config = override(config, {"task.data_path": str(folder)}, "test")
    game = Path(load_tasks(config, "train")[0].game_file)
    game.write_text(game.read_text().replace("Welcome to TextWorld", "Hello"))
    assert (played(config), played(config)) == (1, 0)


def test_what_an_episode_depends_on_is_in_its_key(monkeypatch):
    def key(env="SciWorldEnv", max_steps=30, steps=None, **task) -> str:
        fields = {"task_type": "boil", "variation": 0, "simplification": "easy"} | task
        job = collect_expert.Job(SciWorldTask.of(**fields), steps)
        return collect_expert.key_of(job, max_steps, {"env_class": env})

    steps = steps_of(bare("0_0", ["look", "wait"]), "record")
    others = [key("OtherEnv"), key(max_steps=31), key(steps=steps), key(simplification=""), key(variation=1)]
    assert len({key(), *others}) == 6 and key() == key()


@pytest.mark.parametrize("name, package", [("SciWorldEnv", "scienceworld"), ("AlfWorldEnv", "textworld")])
def test_an_env_tells_its_packages_and_its_expert(name, package, monkeypatch, tmp_path):
    identity = env_class(name).identity()
    assert identity["env_class"] == name and identity["packages"][package] == version(package)
    expert = import_module(f"eval_agent.envs.{name.removesuffix('Env').lower()}")
    edited = tmp_path / "expert.py"
    edited.write_text(Path(expert.__file__).read_text() + "# an edit\n")
    monkeypatch.setattr(expert, "__file__", str(edited))
    assert env_class(name).identity() != identity
