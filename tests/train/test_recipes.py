"""Each model of the paper is one command of scripts/train.sh: its data, its recipe, its flags; and one of them runs."""

import json
import os
import re
import shutil
import subprocess

import pytest

from eval_agent.files import read_json, write_json
from eval_agent.trajectories.sft import MODES
from tests.conftest import ROOT
from train.arguments import parse_arguments

TABLE = (ROOT / "configs" / "train" / "README.md").read_text()
NAMES = [name for row in re.findall(r"^\| (`\w+`.*?) \|", TABLE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
MADE = ("expert.json", "pairs.json", "pairs_task.json", "pairs_state.json", "pairs_expert_only.json")


@pytest.fixture
def out(tmp_path):
    """A folder in which the numbered steps have made everything but the models."""
    for task in ("alfworld", "sciworld", "webshop"):
        (tmp_path / task / "sft").mkdir(parents=True)
        for name in MADE:
            (tmp_path / task / name).write_text("[]")
        (tmp_path / task / "peft" / "experienced_agent").mkdir(parents=True)
        (tmp_path / task / "peft" / "experienced_agent" / "train_results.json").write_text("{}")
    return tmp_path


def launched(out, task: str, name: str, recipe: str) -> tuple[list[str], list[str]]:
    """What scripts/train.sh hands to the data step and to the training script, with stand-ins for both."""
    stand_ins = out / "bin"
    stand_ins.mkdir(exist_ok=True)
    for program in ("python", "accelerate"):
        (stand_ins / program).write_text(f'#!/bin/bash\nprintf "%s\\t" {program} "$@" >> "{out}/calls"\necho >> "{out}/calls"\n')
        (stand_ins / program).chmod(0o755)
    shutil.copytree(ROOT / "scripts", out / "root" / "scripts", dirs_exist_ok=True)
    if not (out / "root" / "configs").exists():
        (out / "root" / "configs").symlink_to(ROOT / "configs")
    for other in ("sciworld", "webshop"):
        (out / other / "sft" / "world_model.json").write_text("[]")
    environment = {
        **os.environ, "PATH": f"{stand_ins}:{os.environ['PATH']}", "TASK": task, "EXP_CONFIG": task,
        "OUT": str(out / task), "RECIPE": recipe, "DEVICE": "cpu",
    }
    (out / "calls").write_text("")
    command = ["bash", "scripts/train.sh", name]
    subprocess.run(command, cwd=out / "root", env=environment, capture_output=True, text=True, check=True)
    calls = [line.split("\t")[:-1] for line in (out / "calls").read_text().splitlines()]
    modes = [call[call.index("--mode") + 1] for call in calls if "train_data_process.py" in call]
    *_, training = [call for call in calls if call[0] == "accelerate"]
    return modes, training[training.index("train/train_bash.py") + 1:]


def test_the_table_has_every_kind_of_model():
    assert len(NAMES) == 11
    assert {mode for mode in MODES if f"`{mode}`" in TABLE} == set(MODES)


@pytest.mark.parametrize("backbone", ["mistral", "gemma", "llama3"])
def test_each_command_has_the_paper_s_values_and_its_data(backbone, out, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in NAMES:
        (out / "alfworld" / "sft" / "world_model.json").write_text("[]")
        modes, words = launched(out, "alfworld", name, f"configs/train/{backbone}.json")
        model, data, args = parse_arguments(words)
        assert modes == {
            "unified_world_model": [], "merge": ["agent_model"], "world_model": [],  # the data of this one is there
        }.get(name, [name.removesuffix("_expert_only")])
        assert (model.lora_rank, model.lora_alpha, model.lora_dropout) == (8, 16, 0.05)
        assert args.output_dir.startswith(f"{out}/alfworld/peft/")
        assert 4 * args.per_device_train_batch_size * args.gradient_accumulation_steps == 32
        expected = (1e-6, 0.1, "dpo") if name == "eto" else (1e-4, 0.1, "sft")
        assert (args.learning_rate, args.pref_beta, args.stage) == expected
        assert (args.num_train_epochs, data.max_prompt_len, data.max_target_len) == (3, 512, 3072)
        if name == "eto":
            assert model.adapter_name_or_path == f"{out}/alfworld/peft/experienced_agent"


@pytest.mark.parametrize("tasks", ["", "alfworld sciworld"])
def test_the_unified_world_model_reads_the_data_of_all_tasks(tasks, out, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TASKS", tasks)
    (out / "alfworld" / "sft" / "world_model.json").write_text("[]")
    _, words = launched(out, "alfworld", "unified_world_model", "configs/train/mistral.json")
    _, data, args = parse_arguments(words)
    assert data.dataset.split(",") == [f"{out}/{task}/sft/world_model.json" for task in (tasks or "alfworld sciworld webshop").split()]
    assert os.path.realpath(args.output_dir) == f"{out}/unified_world_model"


def test_another_training_run_differs_by_its_seed_alone(out, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("experienced_agent", "agent_model", "world_model"):
        first, second = (launched(out, "alfworld", called, "configs/train/mistral.json")[1] for called in (name, f"{name}_seed2"))
        changed = [word.replace(f"/peft/{name}", f"/peft/{name}_seed2") for word in first]
        assert [word for word in second if word not in ("--seed", "2")] == changed
        assert (parse_arguments(first)[2].seed, parse_arguments(second)[2].seed) == (42, 2)


def test_every_data_set_that_llamafactory_could_train_on_is_registered():
    registered = read_json(ROOT / "data" / "dataset_info.json")
    for task in ("alfworld", "webshop", "sciworld"):
        assert {f"{task}_{role}" for role in ("expert", "agent_model", "world_model", "nat", "eto")} <= registered.keys()


def test_a_shipped_adapter_needs_no_data(tmp_path):
    """A run is played again from its adapter alone."""
    adapter = tmp_path / "peft" / "nat"
    adapter.mkdir(parents=True)
    (adapter / "train_results.json").write_text("{}")
    environment = {**os.environ, "OUT": str(tmp_path)}
    subprocess.run(["bash", str(ROOT / "scripts" / "train.sh"), "nat", "base"], env=environment, check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"peft", "logs"}


def test_shipped_adapters_are_taken_and_left_alone_also_where_others_are_trained_beside(tmp_path):
    write_json(tmp_path / "shipped" / "nat" / "train_results.json", {})
    (tmp_path / "out" / "sft").mkdir(parents=True)  # data of a training of our own
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "SHIPPED": str(tmp_path / "shipped")}
    for _ in range(2):
        subprocess.run(["bash", str(ROOT / "scripts" / "train.sh"), "nat"], env=environment, check=True)
    assert {path.name for path in (tmp_path / "out" / "peft" / "nat").iterdir()} == {"train_results.json", "shipped"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"peft", "logs", "sft"}


def test_the_unified_world_model_is_shipped_once_and_every_task_takes_a_copy(tmp_path):
    for task in ("alfworld", "sciworld", "webshop"):
        shipped = ROOT / "data" / "results" / "tiny_joint" / task / "peft"
        assert (shipped / "unified_world_model").is_symlink()
        environment = {**os.environ, "TASK": task, "OUT": str(tmp_path / task), "SHIPPED": str(shipped)}
        subprocess.run(["bash", str(ROOT / "scripts" / "train.sh"), "unified_world_model"], env=environment, check=True)
        adapter = tmp_path / task / "peft" / "unified_world_model"
        assert not adapter.is_symlink() and (adapter / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("name", ["state_base", "agent_model_expert_only", "world_model_expert_only"])
def test_what_comes_from_the_expert_alone_needs_no_exploration(name, tmp_path):
    write_json(tmp_path / "peft" / "world_model" / "train_results.json", {})
    write_json(tmp_path / "expert.json", [])
    (tmp_path / "bin").mkdir()
    for program in ("python", "accelerate"):
        (tmp_path / "bin" / program).write_text(f'#!/bin/bash\necho "$*" >> "{tmp_path}/calls"\n')
        (tmp_path / "bin" / program).chmod(0o755)
    shutil.copytree(ROOT / "scripts", tmp_path / "root" / "scripts")
    environment = {**os.environ, "OUT": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["bash", "scripts/train.sh", name], cwd=tmp_path / "root", env=environment, check=True)
    state_knowledge, *calls = (tmp_path / "calls").read_text().splitlines()
    assert f"--dataset_path {tmp_path}/expert.json --task alfworld --gen state_knowledge" in state_knowledge
    if name == "state_base":
        assert len(calls) == 1 and f"state_base_build.py --state_file_path {tmp_path}/expert_state.json" in calls[0]
        return
    task_knowledge, data, training = calls
    assert f"--dataset_path {tmp_path}/expert_state.json" in task_knowledge and "--expert_only" in task_knowledge
    assert f"--mode {name.removesuffix('_expert_only')} --output_path {tmp_path}/sft/{name}.json" in data
    assert f"--dataset {name}.json" in training


def test_an_unknown_adapter_is_named(out):
    environment = {**os.environ, "OUT": str(out / "alfworld")}
    for names, message in ((["agent"], 'unknown adapter "agent"'), ([], "usage: train.sh NAME...")):
        command = ["bash", str(ROOT / "scripts" / "train.sh"), *names]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr


def test_a_merged_role_model_trains_by_its_command(out, base_model):
    for role in ("agent_model", "world_model"):
        texts = ["Find a mug.", "OK", "Your task is to: cool a mug.", f"{role}: go"]
        turns = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
        (out / "alfworld" / "sft" / f"{role}.json").write_text(json.dumps([{"conversations": turns}] * 4))
    recipe = out / "one_step.json"
    shutil.copy(ROOT / "configs" / "train" / "mistral.json", out / "mistral.json")
    recipe.write_text(json.dumps({"extends": "mistral", "model_name_or_path": str(base_model), "max_steps": 1, "bf16": None}))
    environment = {**os.environ, "OUT": str(out / "alfworld"), "RECIPE": str(recipe)}
    command = ["bash", str(ROOT / "scripts" / "train.sh"), "merge"]
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert read_json(out / "alfworld" / "peft" / "merge" / "train_results.json")["conversations"] == 8
