"""Training runs on a small random model: the seed's command, death and resumption, refused folders."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.agents.chat_format import format_of_run
from eval_agent.agents.chat_templates import get_template
from tests.conftest import ROOT
from tests.train.test_arguments import seed_flags
from train.data import DataSet, read_conversations
from train.encoding import IGNORE
from train.token_cache import encode_conversations
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
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    stdout, stderr = done.stdout.decode(), done.stderr.decode()  # text=True would hide carriage returns
    assert done.returncode == 0, stderr
    adapter = tmp_path / "lora" / "peft_agent"
    assert f"adapter and logs in {Path('lora/peft_agent')}" in stdout
    *_, bar = [line for line in stderr.splitlines() if "tokens/s" in line]  # no terminal: a line, not a bar
    assert "100%" in bar and "loss=" in bar and "\r" not in stderr

    config = PeftConfig.from_pretrained(adapter)
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 16, 0.05)
    assert set(config.target_modules) == {"q_proj", "v_proj"}
    assert config.base_model_name_or_path == str(tmp_path / "base")  # served from any working directory
    base = AutoModelForCausalLM.from_pretrained(config.base_model_name_or_path)
    conversations = read_conversations([DataSet(data_dir / "mugs.json")], None)
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    examples, _ = encode_conversations(conversations, tokenizer, get_template("mistral"), 2048)
    ids, labels = (
        pad_sequence([torch.tensor(e[name]).long() for e in examples], batch_first=True, padding_value=IGNORE)
        for name in ("input_ids", "labels")
    )
    with torch.no_grad():
        before = base(input_ids=ids.clamp(min=0), labels=labels).loss
        assert (
            PeftModel.from_pretrained(base, adapter)(input_ids=ids.clamp(min=0), labels=labels).loss
            < before - 1e-3
        )

    assert list(losses(adapter)) == list(range(1, 13))  # 32 conversations in batches of 4 x 2, three times
    assert (adapter / "training_loss.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((adapter / "train_results.json").read_text())
    assert results["conversations"] == 32 and results["tokens_per_second"] > 0
    card = (adapter / "README.md").read_text()
    digest = hashlib.sha256((data_dir / "mugs.json").read_bytes()).hexdigest()
    for fact in (
        "base_model: base",
        digest,
        "| learning_rate | 0.0001 |",
        "| lr_scheduler_type | cosine |",
        "train/train_bash.py --ddp_timeout",
    ):
        assert fact in card


def kill_once(argv: list[str], there: Path) -> None:
    """Start the training in a process of its own and kill it when ``there`` exists."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train" / "train_bash.py"), *argv],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not there.exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def same_weights(one: Path, other: Path) -> bool:
    one, other = load_file(one / "adapter_model.safetensors"), load_file(other / "adapter_model.safetensors")
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_killed_run_goes_on_where_it_was(base_model, data_dir, tmp_path, monkeypatch, capsys):
    torch.set_num_threads(1)  # as in the processes that are killed
    train(monkeypatch, flags(base_model, data_dir, tmp_path / "whole"))
    whole = losses(tmp_path / "whole")

    killed = tmp_path / "killed"
    argv = flags(base_model, data_dir, killed)
    kill_once(argv, killed / "trainer_log.jsonl")  # before there is any checkpoint
    kill_once(argv, killed / "checkpoint-12" / "files.json")
    assert not (killed / "train_results.json").exists()
    cut_off = killed / "checkpoint-44"  # died while writing this one
    shutil.copytree(tmp_path / "whole" / cut_off.name, cut_off)
    os.truncate(cut_off / "optimizer.pt", 100)

    train(monkeypatch, argv)
    resumed = losses(killed)
    assert list(resumed) == list(whole) == list(range(1, 49))
    assert resumed == whole
    assert same_weights(killed, tmp_path / "whole")

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


def test_two_processes_train_what_one_trains(base_model, data_dir, tmp_path, monkeypatch):
    # 30 conversations in steps of 8: the last step of an epoch is a short one
    settings = dict(lora_dropout=0, num_train_epochs=2, max_samples=30, save_steps=100)
    one = flags(base_model, data_dir, tmp_path / "one", **settings, gradient_accumulation_steps=4)
    two = flags(base_model, data_dir, tmp_path / "two", **settings, gradient_accumulation_steps=2)
    train(monkeypatch, one)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(ROOT / "train" / "train_bash.py"), *two, "--use_cpu", "--ddp_backend", "gloo"]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)
    assert len(losses(tmp_path / "two")) == 8
    ours, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-4)


def test_recomputing_activations_changes_nothing(base_model, data_dir, tmp_path, monkeypatch):
    for name, checkpointing in (("plain", False), ("recomputed", True)):
        argv = flags(base_model, data_dir, tmp_path / name, max_steps=2, gradient_checkpointing=checkpointing)
        train(monkeypatch, argv)
    assert losses(tmp_path / "plain") == losses(tmp_path / "recomputed")
    assert same_weights(tmp_path / "plain", tmp_path / "recomputed")


def test_bfloat16_trains_float32_adapters(base_model, data_dir, tmp_path, monkeypatch):
    train(monkeypatch, flags(base_model, data_dir, tmp_path / "half", max_steps=2, bf16=True))
    train(monkeypatch, flags(base_model, data_dir, tmp_path / "single", max_steps=2))
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "single"), rel=0.01)
    weights = load_file(tmp_path / "half" / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


def test_a_loss_that_is_no_number_stops_with_step_and_records(
    base_model, data_dir, tmp_path, monkeypatch, capsys
):
    path = data_dir / "mugs.json"
    records = json.loads(path.read_text())
    records[20]["id"] = "the bad one"
    records[20]["conversations"][2]["value"] += " §"  # no other record has its tokens
    path.write_text(json.dumps(records))
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base_model),
        AutoTokenizer.from_pretrained(base_model),
    )
    with torch.no_grad():
        model.model.embed_tokens.weight[tokenizer("§")["input_ids"][-1]] = float("nan")
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    argv = flags(tmp_path / "base", data_dir, tmp_path / "out", per_device_train_batch_size=1)
    error = refused(monkeypatch, capsys, argv)
    assert re.search(
        r"the loss is nan in step \d+, on these records: .*mugs.json: record 20 \(the bad one\)\n", error
    )
    assert not (tmp_path / "out" / "train_results.json").exists()


def test_a_merged_model_answers_like_the_base_with_its_adapter(
    base_model, data_dir, tmp_path, monkeypatch, capsys
):
    argv = flags(base_model, data_dir, tmp_path / "out", max_steps=3, learning_rate=0.1)
    train(monkeypatch, [*argv, "--export_dir", str(tmp_path / "merged")])
    alone = ["--adapter_name_or_path", str(tmp_path / "out"), "--export_dir", str(tmp_path / "alone")]
    train(monkeypatch, alone)
    assert "a model of its own" in capsys.readouterr().out
    ids = torch.arange(5, 60)[None]
    base = AutoModelForCausalLM.from_pretrained(base_model)
    with torch.no_grad():
        before = base(ids).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "out")(ids).logits
        assert (adapted - before).abs().max() > 0.01
        for folder in ("merged", "alone"):
            merged = AutoModelForCausalLM.from_pretrained(tmp_path / folder)
            torch.testing.assert_close(merged(ids).logits, adapted, rtol=1e-4, atol=1e-4)
            assert AutoTokenizer.from_pretrained(tmp_path / folder)("Go.").input_ids
            assert format_of_run(tmp_path / folder).template == format_of_run(tmp_path / "out").template == "mistral"
    assert "no adapter_config.json" in refused(
        monkeypatch, capsys, ["--adapter_name_or_path", str(data_dir), "--export_dir", str(tmp_path / "x")]
    )
    assert "--adapter_name_or_path is missing" in refused(
        monkeypatch, capsys, ["--export_dir", str(tmp_path / "x")]
    )


def test_a_malformed_conversation_is_named_before_the_base_model_is_looked_for(
    data_dir, tmp_path, monkeypatch, capsys
):
    records = json.loads((data_dir / "mugs.json").read_text())
    records[7]["conversations"][3]["from"] = "robot"
    (data_dir / "mugs.json").write_text(json.dumps(records))
    message = refused(monkeypatch, capsys, flags("/no/base", data_dir, tmp_path / "out"))
    assert 'mugs.json: record 7: conversations[3].from is not "gpt"' in message


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


# ---- one run a folder, full disks, resuming, files that are no models

def test_a_second_trainer_is_refused_with_the_first_ones_pid_and_touches_nothing(
    base_model, data_dir, tmp_path, monkeypatch, capsys
):
    argv = flags(base_model, data_dir, tmp_path / "out", num_train_epochs=500)
    command = [sys.executable, str(ROOT / "train" / "train_bash.py"), *argv]
    first = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    while not (tmp_path / "out" / "checkpoint-4" / "files.json").exists() and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    for more in ([], ["--overwrite_output_dir"], ["--learning_rate", "0.5"]):
        message = refused(monkeypatch, capsys, [*argv, *more])
        assert f"out: process {first.pid} on " in message and "choose another --output_dir" in message
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *command[1:]]
    done = subprocess.run([*two, "--use_cpu", "--ddp_backend", "gloo"], env={**os.environ, "OMP_NUM_THREADS": "1"},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode and done.stderr.count(f"process {first.pid} on ") == 2  # each process says so
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    first.kill()
    first.wait()
    train(monkeypatch, [*argv, "--max_steps", "5", "--overwrite_output_dir"])
    assert not (tmp_path / "out" / ".lock").exists()


def test_a_full_disk_ends_a_run_with_the_folder_and_no_half_checkpoint(base_model, data_dir, tmp_path):
    command = [sys.executable, str(ROOT / "train" / "train_bash.py")]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))  # noqa: E731
    for name, more in (("checkpoint", {"save_steps": 1}), ("end", {"save_strategy": "no", "max_steps": 1})):
        argv = flags(base_model, data_dir, tmp_path / name, lora_rank=64, **more)
        done = subprocess.run([*command, *argv], capture_output=True, text=True, preexec_fn=limit)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert re.search(rf"\nerror: {tmp_path}/{name}(/checkpoint-1)?: cannot be written \(.*\)\n$", done.stderr), done.stderr
        assert not list((tmp_path / name).glob("checkpoint-*")) and not (tmp_path / name / ".lock").exists()


def test_resume_true_means_the_last_checkpoint_and_a_path_is_one(base_model, data_dir, tmp_path, monkeypatch, capsys):
    torch.set_num_threads(1)
    argv = flags(base_model, data_dir, tmp_path / "out", num_train_epochs=1, save_steps=2, logging_steps=1)
    for flag, message in (("True", "has no whole checkpoint-N"), (str(data_dir), "no checkpoint of a training run (no trainer_state")):
        refusal = refused(monkeypatch, capsys, [*argv, "--resume_from_checkpoint", flag])
        assert f"--resume_from_checkpoint {flag}: " in refusal and message in refusal
    train(monkeypatch, argv)
    whole = shutil.copytree(tmp_path / "out", tmp_path / "whole")
    last = max(int(path.name.split("-")[1]) for path in whole.glob("checkpoint-*"))
    for flag in ("True", str(tmp_path / "out" / "checkpoint-2")):
        (tmp_path / "out" / "train_results.json").unlink()
        train(monkeypatch, [*argv, "--resume_from_checkpoint", flag])
        assert same_weights(tmp_path / "out", whole) and list(losses(tmp_path / "out")) == list(range(1, last + 1))
    elsewhere = flags(base_model, data_dir, tmp_path / "other", num_train_epochs=1, save_steps=2, logging_steps=1)
    train(monkeypatch, [*elsewhere, "--resume_from_checkpoint", str(whole / "checkpoint-2")])
    assert same_weights(tmp_path / "other", whole)
    assert "resume_sha256 was" in refused(monkeypatch, capsys, elsewhere)


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["base", "adapter", "own code"])
def test_nothing_that_a_model_brings_along_is_run(kind, base_model, data_dir, tmp_path, monkeypatch, capsys, adapters):
    base, adapter = shutil.copytree(base_model, tmp_path / "base"), shutil.copytree(adapters["agent_model"], tmp_path / "adapter")
    exploded = tmp_path / "exploded"
    if kind == "own code":
        config = json.loads((base / "config.json").read_text())
        config.update(auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}, model_type="own")
        (base / "config.json").write_text(json.dumps(config))
        (base / "own.py").write_text(f"from pathlib import Path\nPath({str(exploded)!r}).touch()")
    else:
        folder, name = (base, "pytorch_model.bin") if kind == "base" else (adapter, "adapter_model.bin")
        next(folder.glob("*.safetensors")).unlink()
        torch.save({"weight": Bomb(exploded)}, folder / name)
    argv = flags(base, data_dir, tmp_path / "out", adapter_name_or_path=adapter)
    message = refused(monkeypatch, capsys, argv)
    assert ("--adapter_name_or_path" if kind == "adapter" else "--model_name_or_path") in message
    assert "Traceback" not in message and not exploded.exists()
    if kind == "own code":
        assert "it brings code of its own along, which is never run here" in message


@pytest.mark.parametrize("file, content, message", [
    ("tokenizer.json", "{bad", "base/tokenizer.json: malformed JSON"),
    ("config.json", "{bad", "config.json"),
    ("config.json", "[]", "base/config.json: expected an object"),
    ("config.json", '{"model_type": "nosuch"}', "model type `nosuch`"),
    ("model.safetensors", "cut off", "header"),
])
def test_a_broken_base_model_is_a_sentence(file, content, message, base_model, data_dir, tmp_path, monkeypatch, capsys):
    base = shutil.copytree(base_model, tmp_path / "base")
    (base / file).write_text(content)
    assert message in refused(monkeypatch, capsys, flags(base, data_dir, tmp_path / "out")).strip().split("\n")[-1]


@pytest.mark.parametrize("content, message", [
    ("{bad", "adapter_config.json: malformed JSON"),
    ("[]", "adapter_config.json: expected an object"),
    ('{"base_model_name_or_path": "x", "peft_type": "LORA"}', "no adapter_model.safetensors there"),
])
def test_a_broken_adapter_is_a_sentence(content, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(content)
    if content == "[]":
        (tmp_path / "adapter" / "adapter_model.safetensors").touch()
    argv = ["--adapter_name_or_path", str(tmp_path / "adapter"), "--export_dir", str(tmp_path / "merged")]
    assert message in refused(monkeypatch, capsys, argv)
