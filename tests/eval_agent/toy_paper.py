"""A small copy of the project's layout for tests of the paper's tables: configs, scripts/paper.sh, and stand-ins that take notes.

Two tasks: "sciworld" with four variations seen, two unseen, and "alfworld" whose games are not at hand. The
evaluation is a stand-in that writes episode files; each call of it and of the scripts is a line of calls.txt.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from eval_agent.config import load_task_config, override
from eval_agent.tasks import load_tasks

ROOT = Path(__file__).resolve().parent.parent.parent
SPLITS = {"dev": {"boil": [0, 1], "melt": [0, 1]}, "test": {"boil": [8, 9]}}
SETTINGS = "TASK=$TASK OUT=$OUT RECIPE=$RECIPE EXP_CONFIG=$EXP_CONFIG"
NOTE = f'echo "$(basename $0) $* {SETTINGS}" >> calls.txt\n'
EVALUATION = """
import json, os, sys
from pathlib import Path
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with open("calls.txt", "a") as calls:
    print("evaluate", flags["--exp_name"], flags["--split"], file=calls)
if flags["--method"] in os.environ.get("BROKEN", "").split():
    sys.exit(1)
def load(name):
    method = json.load(open(f"configs/method/{name}.json"))
    return {**load(method["extends"]), **method} if "extends" in method else method
method = load(flags["--method"])
agent = flags.get("--agent_model_name", method["agent_model"])
games = json.load(open("games.json"))[flags["--split"]]
experiment = f"{flags['--exp_config']}_{flags['--exp_name']}"
folder = Path(flags["--output_dir"]) / agent / experiment / flags["--split"]
folder.mkdir(parents=True, exist_ok=True)
for number, (game, kind) in enumerate(games.items()):
    meta = {"task_id": game, "task_type": kind, "steps": 10 + number, "reward": 0.5,
            "finished": True, "success": False, "invalid_actions": number % 2}
    (folder / f"{game}.json").write_text(json.dumps({"meta": meta}))
"""
# the project's own Python, but for the evaluation and the building of a state base
PYTHON = f"""#!/bin/bash
case "$*" in
    *eval_agent.eto_multi_main_probs*) exec {sys.executable} evaluation.py "${{@:3}}" ;;
    *state_base_build.py*) echo "build ${{*:2}}" >> calls.txt ;;
    *) PYTHONPATH={ROOT} exec {sys.executable} "$@" ;;
esac
"""


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(NOTE + text)


@pytest.fixture
def toy_paper(tmp_path, monkeypatch) -> Path:
    """The folder, which is also the working directory."""
    for name in ("paper", "method"):
        shutil.copytree(ROOT / "configs" / name, tmp_path / "configs" / name)
    for name in ("sciworld", "alfworld"):
        changed = {"task.data_path": "nowhere"} | ({"task.splits": SPLITS} if name == "sciworld" else {})
        config = override(load_task_config(name, ROOT / "configs" / "task"), changed, "test")
        write_json(tmp_path / "configs" / "task" / f"{name}_toy.json", config.model_dump())
    for name in ("toy", "other"):
        recipe = {"model_name_or_path": f"{name}-base", "num_train_epochs": 3, "template": "mistral"}
        write_json(tmp_path / f"{name}.json", recipe)
    paper = {
        "backbone": "Toy",
        "published_backbone": "Mistral-7B",
        "out": "out",
        "tasks": {
            "alfworld": {"exp_config": "alfworld_toy"},
            "sciworld": {"exp_config": "sciworld_toy", "recipe": str(tmp_path / "other.json")},
        },
        "splits": ["dev", "test"],
        "repetitions": 2,
        "rates": {
            "source": "made up",
            "base_gigabytes": 1,
            "adapter_gigabytes": 0.5,
            "train_tokens_per_second": 100,
            "steps_per_second": 2,
            "knowledge_answers_per_second": 10,
        },
    }
    model = {"agent_class": "FastChatAgent", "config": {}, "recipe": str(tmp_path / "toy.json"), "paper": paper}
    write_json(tmp_path / "configs" / "model" / "toy.json", model)
    config = load_task_config("sciworld_toy", tmp_path / "configs" / "task")
    games = {split: {one.task_id: one.task_type for one in load_tasks(config, split)} for split in SPLITS}
    write_json(tmp_path / "games.json", games)
    script(tmp_path / "scripts" / "train.sh", '[ "$1" != "${UNTRAINABLE:-}" ]\n')
    script(tmp_path / "scripts" / "serve.sh", '[ "$1" != "${SERVE_FAILS_TO:-served}" ]\n')
    for name in ("paper.sh", "settings.sh", "help.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    (tmp_path / "evaluation.py").write_text(EVALUATION)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(PYTHON)
    (tmp_path / "bin" / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def calls(folder: Path) -> list[str]:
    path = folder / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def episode(
    task_id: str,
    task_type: str = "boil",
    reward: float = 0.0,
    steps: int = 40,
    invalid: int = 0,
    finished: bool = True,
    reason: str = "max_steps",
    conversation: str = "",
) -> dict:
    meta = {
        "task_id": task_id,
        "task_type": task_type,
        "steps": steps,
        "reward": reward,
        "finished": finished,
        "success": reward == 1,
        "terminate_reason": reason,
        "invalid_actions": invalid,
    }
    return {"meta": meta, "conversations": [{"from": "human", "value": conversation or f"{task_id}, {steps} steps"}]}


def write_run(run, episodes: list[dict]) -> None:
    """The episode files of a planned run."""
    for one in episodes:
        write_json(run.folder / f"{one['meta']['task_id']}.json", one)


def change_model(folder, **values):
    path = folder / "configs" / "model" / "toy.json"
    config = json.loads(path.read_text())
    config["paper"] |= values
    path.write_text(json.dumps(config))


def of_sciworld(path: Path) -> None:
    """An experiment's columns become the task whose games are at hand."""
    experiment = json.loads(path.read_text())
    experiment["columns"] = [column.replace("alfworld", "sciworld") for column in experiment["columns"]]
    path.write_text(json.dumps(experiment))
