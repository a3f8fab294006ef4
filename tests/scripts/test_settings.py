"""scripts/settings.sh: what a run takes where nothing is set, and what quickstart.sh's --model changes of it."""

import os
import subprocess

import pytest

from eval_agent.config import load_task_config, read_config
from tests.conftest import ROOT

NAMES = ("RECIPE", "EXP_CONFIG", "OUT", "TRAIN_LIMIT", "EVAL_LIMIT")


@pytest.fixture
def settings(tmp_path):
    def read(**given) -> dict[str, str]:
        (tmp_path / "scripts").mkdir(exist_ok=True)
        for name in ("settings.sh", "help.sh"):
            (tmp_path / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
        shown = "; ".join(["source scripts/settings.sh", *(f'echo "${name}"' for name in NAMES)])
        environment = {name: value for name, value in os.environ.items() if name not in (*NAMES, "TASK", "MODEL")}
        done = subprocess.run(
            ["bash", "-c", shown], cwd=tmp_path, env={**environment, **given}, capture_output=True, text=True, check=True
        )
        return dict(zip(NAMES, done.stdout.split("\n")))

    return read


@pytest.mark.parametrize("task, folder", [("alfworld", "quickstart"), ("sciworld", "quickstart-sciworld")])
def test_without_a_model_the_tiny_one_plays_its_demo(settings, task, folder):
    found = settings(TASK=task)
    assert found["EXP_CONFIG"] == f"{task}_demo" and found["OUT"] == f"outputs/{folder}"
    assert found["TRAIN_LIMIT"] == found["EVAL_LIMIT"] == ""


def test_a_pretrained_model_plays_official_alfworld_games_at_small_scale(settings, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = settings(MODEL="smollm2-135m")
    assert (found["TRAIN_LIMIT"], found["EVAL_LIMIT"]) == ("60", "16")
    assert found["OUT"] == "outputs/quickstart-smollm2-135m/alfworld"
    assert load_task_config(found["EXP_CONFIG"], "configs/task").task.data_path.startswith("$ALFWORLD_DATA")
    recipe = read_config(ROOT / found["RECIPE"])
    assert recipe["model_name_or_path"] == "data/downloads/smollm2-135m" and recipe["template"] == "auto"
    assert (recipe["lora_rank"], recipe["lora_target"]) == (8, "q_proj,v_proj")


def test_it_plays_the_other_tasks_demos_and_every_setting_can_be_given(settings):
    found = settings(MODEL="smollm2-135m", TASK="sciworld")
    assert (found["EXP_CONFIG"], found["TRAIN_LIMIT"], found["EVAL_LIMIT"]) == ("sciworld_demo", "", "")
    assert found["RECIPE"] == "configs/train/smollm2-135m.json"
    given = settings(MODEL="smollm2-135m", TRAIN_LIMIT="12", EVAL_LIMIT="6", OUT="elsewhere")
    assert (given["TRAIN_LIMIT"], given["EVAL_LIMIT"], given["OUT"]) == ("12", "6", "elsewhere")
