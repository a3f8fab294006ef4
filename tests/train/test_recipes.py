"""Each model of the paper is one command: its recipes parse, its data is registered, and one of them runs."""

import json
import os
import re
import shutil
import subprocess

import pytest

from eval_agent.files import read_json
from eval_agent.trajectories.sft import MODES
from tests.conftest import ROOT
from train.arguments import parse_arguments

TABLE = (ROOT / "configs" / "train" / "README.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \|.*`bash scripts/train.sh (mistral) (\w+)` \|$", TABLE, re.MULTILINE)


def launched(tmp_path, backbone: str, name: str) -> list[str]:
    """What scripts/train.sh hands to the training script, with a stand-in for ``accelerate``."""
    root = tmp_path / name
    (root / "bin").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", root / "scripts")
    (root / "configs").symlink_to(ROOT / "configs")
    (root / "bin" / "accelerate").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (root / "bin" / "accelerate").chmod(0o755)
    environment = {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", "scripts/train.sh", backbone, name, "--seed", "7"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert (ROOT / words[words.index("--config_file") + 1]).is_file()
    return words[words.index("train/train_bash.py") + 1 :]


def test_the_table_has_every_kind_of_model():
    assert len(ROWS) == 10
    for pattern, _, name in ROWS:
        assert name == pattern.replace("TASK", "alfworld")
    assert {mode for mode in MODES if f"`{mode}`" in TABLE} == set(MODES)


@pytest.mark.parametrize("backbone", ["mistral", "gemma", "llama3"])
def test_each_command_has_the_papers_values_and_registered_data(backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    registered = read_json(ROOT / "data" / "dataset_info.json")
    for pattern, _, _ in ROWS:
        for task in ("alfworld", "webshop", "sciworld"):
            name = pattern.replace("TASK", task)
            if (tmp_path / name).exists():
                continue
            model, data, args = parse_arguments(launched(tmp_path, backbone, name))
            assert set(data.dataset.split(",")) <= set(registered) and args.seed == 7
            assert (model.lora_rank, model.lora_alpha, model.lora_dropout) == (8, 16, 0.05)
            assert args.output_dir == f"outputs/{backbone}/peft/{name}"
            assert 4 * args.per_device_train_batch_size * args.gradient_accumulation_steps == 32
            expected = {"eto": (1e-6, 0.1, "dpo"), "eto2": (5e-7, 0.5, "dpo")}.get(
                name.split("_")[1], (1e-4, 0.1, "sft")
            )
            assert (args.learning_rate, args.pref_beta, args.stage) == expected
            assert (args.num_train_epochs, data.max_prompt_len, data.max_target_len) == (3, 512, 3072)
    eto2 = launched(tmp_path / "again", backbone, "sciworld_eto2")
    assert eto2[eto2.index("--adapter_name_or_path") + 1] == f"outputs/{backbone}/peft/sciworld_eto"


def test_a_merged_role_model_trains_by_its_command(tmp_path, base_model):
    for role in ("agent_model", "world_model"):
        texts = ["Find a mug.", "OK", "Your task is to: cool a mug.", f"{role}: go"]
        turns = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
        (tmp_path / f"alfworld_{role}.json").write_text(json.dumps([{"conversations": turns}] * 4))
    shutil.copy(ROOT / "data" / "dataset_info.json", tmp_path)
    out = tmp_path / "out"
    command = ["bash", str(ROOT / "scripts" / "train.sh"), "tiny_lora_sft", "alfworld_merge", "--dataset_dir"]
    command += [str(tmp_path), "--model_name_or_path", str(base_model), "--max_steps", "1"]
    environment = {**os.environ, "OUT": str(out), "ACCELERATE": "configs/accelerate/single_config.yaml"}
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert read_json(out / "peft" / "alfworld_merge" / "train_results.json")["conversations"] == 8
