"""Training runs on a small random model: the seed's command, death and resumption, refused folders."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import ROOT
from tests.train.test_arguments import seed_flags
from train.chat_templates import get_template
from train.encoding import IGNORE, encode_conversations
from train.sft_data import read_conversations
from train.train_bash import main

TURNS = [
    "You are an agent.",
    "OK",
    "Your task is to: cool a mug.",
    "Thought: I look.\nAction: go to cabinet 3",
]


@pytest.fixture
def data_dir(tmp_path) -> Path:
    """A data folder with 32 registered conversations of four to eight turns."""
    folder = tmp_path / "data"
    folder.mkdir()
    records = []
    for i in range(32):
        turns = TURNS + ["Observation: a mug 1.", "Action: take mug 1"] * (i % 3)
        records.append(
            {
                "conversations": [
                    {"from": ("human", "gpt")[k % 2], "value": turn} for k, turn in enumerate(turns)
                ]
            }
        )
    (folder / "mugs.json").write_text(json.dumps(records))
    registry = {"train_data_for_agent": {"file_name": "mugs.json", "formatting": "sharegpt"}}
    (folder / "dataset_info.json").write_text(json.dumps(registry))
    return folder


def flags(base_model, data_dir, output, **changes) -> list[str]:
    values = dict(
        stage="sft", do_train=True, model_name_or_path=base_model, dataset_dir=data_dir, template="mistral",
        dataset="train_data_for_agent", output_dir=output, logging_steps=1, save_steps=4, num_train_epochs=6,
        learning_rate=1e-3, per_device_train_batch_size=2,
    )  # fmt: skip
    return [word for name, value in {**values, **changes}.items() for word in (f"--{name}", str(value))]


def train(monkeypatch, argv: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["train/train_bash.py", *argv])
    main()


def refused(monkeypatch, capsys, argv: list[str]) -> str:
    with pytest.raises(SystemExit) as exit_info:
        train(monkeypatch, argv)
    assert exit_info.value.code == 2
    return capsys.readouterr().err


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]
    assert len({line["current_steps"] for line in lines}) == len(lines)
    return {line["current_steps"]: line["loss"] for line in lines}


def test_the_seeds_command_trains_an_adapter_that_peft_loads(base_model, data_dir, tmp_path):
    for name in ("train", "configs", "eval_agent"):  # the repository root, with a data folder of its own
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(base_model, tmp_path / "base")
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", "configs/accelerate/single_config.yaml", "train/train_bash.py"]
    command += seed_flags("base", "lora/peft_agent")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    adapter = tmp_path / "lora" / "peft_agent"
    assert f"adapter and logs in {Path('lora/peft_agent')}" in done.stdout

    config = PeftConfig.from_pretrained(adapter)
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 16, 0.05)
    assert set(config.target_modules) == {"q_proj", "v_proj"}
    assert config.base_model_name_or_path == str(tmp_path / "base")  # served from any working directory
    base = AutoModelForCausalLM.from_pretrained(config.base_model_name_or_path)
    conversations = read_conversations([data_dir / "mugs.json"], None)
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    examples, _ = encode_conversations(conversations, tokenizer, get_template("mistral"), 2048)
    ids, labels = (
        pad_sequence([torch.tensor(e[name]).long() for e in examples], batch_first=True, padding_value=IGNORE)
        for name in ("input_ids", "labels")
    )
    with torch.no_grad():
        before = base(input_ids=ids.clamp(min=0), labels=labels).loss
        assert PeftModel.from_pretrained(base, adapter)(input_ids=ids.clamp(min=0), labels=labels).loss < before - 1e-3

    assert list(losses(adapter)) == list(range(1, 13))  # 32 conversations in batches of 4 x 2, three times
    assert (adapter / "training_loss.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((adapter / "train_results.json").read_text())["conversations"] == 32


def test_a_killed_run_goes_on_where_it_was(base_model, data_dir, tmp_path, monkeypatch, capsys):
    train(monkeypatch, flags(base_model, data_dir, tmp_path / "whole"))
    whole = losses(tmp_path / "whole")

    killed = tmp_path / "killed"
    argv = flags(base_model, data_dir, killed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train" / "train_bash.py"), *argv],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not (killed / "checkpoint-12" / "trainer_state.json").exists() and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "train_results.json").exists()
    (killed / "checkpoint-40").mkdir()  # died while writing this one
    (killed / "checkpoint-40" / "adapter_config.json").write_text("{")

    train(monkeypatch, argv)
    resumed = losses(killed)
    assert list(resumed) == list(whole) == list(range(1, 49))
    assert [resumed[step] for step in resumed] == pytest.approx([whole[step] for step in whole], abs=1e-3)

    stamp = (killed / "adapter_model.safetensors").stat().st_mtime_ns
    train(monkeypatch, argv)  # finished: left alone
    assert "nothing to do" in capsys.readouterr().out
    assert (killed / "adapter_model.safetensors").stat().st_mtime_ns == stamp
    assert "learning_rate was 0.001, now 0.5" in refused(
        monkeypatch, capsys, argv + ["--learning_rate", "0.5"]
    )

    train(monkeypatch, argv + ["--max_steps", "2", "--overwrite_output_dir"])
    assert list(losses(killed)) == [1, 2]
    assert [path.name for path in killed.glob("checkpoint-*")] == ["checkpoint-2"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dataset": "cups"}, 'no data set "cups"'),
        ({"dataset_dir": "nowhere"}, "nowhere/dataset_info.json: no such file"),
        ({"template": "vicuna"}, 'unknown template "vicuna"'),
        ({}, '--model_name_or_path "/no/base"'),
    ],
)
def test_bad_input_ends_before_a_model_is_loaded(data_dir, tmp_path, monkeypatch, capsys, changes, message):
    assert message in refused(monkeypatch, capsys, flags("/no/base", data_dir, tmp_path / "out", **changes))


def test_a_mended_command_may_use_the_folder_of_one_that_failed(
    base_model, data_dir, tmp_path, monkeypatch, capsys
):
    argv = flags(base_model, data_dir, tmp_path / "out", max_steps=1)
    refusal = refused(monkeypatch, capsys, [*argv, "--lora_target", "query_key_value"])
    assert '--lora_target "query_key_value"' in refusal
    train(monkeypatch, argv)
    assert "Trained 1 steps" in capsys.readouterr().out


def test_a_folder_with_other_files_is_left_alone(base_model, data_dir, tmp_path, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    message = refused(monkeypatch, capsys, flags(base_model, data_dir, tmp_path / "out"))
    assert "out: not empty, no run of this script" in message
