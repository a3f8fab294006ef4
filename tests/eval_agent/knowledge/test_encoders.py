"""Encoders on real (small, random) models; the worker's endpoint on stock FastChat processes."""

import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import requests
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.errors import InputError
from eval_agent.knowledge.encoders import load_encoder

TEXTS = ["State Knowledge: The task is to put a clean mug in cabinet.", "State Knowledge: I hold nothing."]


def mean_of_rows(rows: torch.Tensor) -> np.ndarray:
    mean = rows.detach().float().mean(dim=0)
    return (mean / mean.norm()).numpy()


def test_wkm_embedding_is_the_mean_of_the_input_embedding(base_model):
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base_model),
        AutoTokenizer.from_pretrained(base_model),
    )
    vectors = load_encoder("wkm-embedding", str(base_model)).encode(TEXTS)
    assert vectors.dtype == np.float32 and vectors.shape == (2, 64)
    for text, vector in zip(TEXTS, vectors):
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"][0]
        assert vector == pytest.approx(mean_of_rows(model.get_input_embeddings()(ids)), abs=1e-6)


def test_wkm_embedding_of_nothing_is_no_direction(base_model):
    encoder = load_encoder("wkm-embedding", str(base_model))
    assert encoder.encode([""]).tolist() == [[0.0] * 64]
    assert encoder.encode([]).shape == (0, 64)


def test_adapters_and_their_base_are_one_encoder(base_model, adapters):
    base = load_encoder("wkm-embedding", str(base_model))
    adapter = load_encoder("wkm-embedding", str(adapters["world_model"]))
    assert adapter.identity == base.identity
    assert (adapter.encode(TEXTS) == base.encode(TEXTS)).all()


@pytest.mark.parametrize("form", ["bfloat16 shards", "pytorch_model.bin"])
def test_weights_in_other_forms(base_model, tmp_path, form):
    model = AutoModelForCausalLM.from_pretrained(base_model)
    AutoTokenizer.from_pretrained(base_model).save_pretrained(tmp_path)
    original = load_encoder("wkm-embedding", str(base_model))
    if form == "bfloat16 shards":
        model.to(torch.bfloat16).save_pretrained(tmp_path, max_shard_size="100KB")
        assert (tmp_path / "model.safetensors.index.json").is_file()
    else:
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    other = load_encoder("wkm-embedding", str(tmp_path))
    assert other.encode(TEXTS) == pytest.approx(original.encode(TEXTS), abs=5e-3)
    assert (other.identity == original.identity) == (form == "pytorch_model.bin")


def test_sentence_transformers_model(base_model, tmp_path):
    from sentence_transformers import SentenceTransformer, models

    words = models.Transformer(str(base_model))
    words.tokenizer.pad_token = words.tokenizer.eos_token
    reference = SentenceTransformer(modules=[words, models.Pooling(64)], device="cpu")
    reference.save(str(tmp_path / "encoder"))
    vectors = load_encoder(str(tmp_path / "encoder"), None).encode([*TEXTS, TEXTS[0]])
    expected = reference.encode([*TEXTS, TEXTS[0]], normalize_embeddings=True)
    assert vectors == pytest.approx(expected, abs=1e-5)


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="wkm-embedding needs encoder_model"):
        load_encoder("wkm-embedding", None)
    with pytest.raises(InputError, match="no such model folder"):
        load_encoder("wkm-embedding", str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no weights there"):
        load_encoder("wkm-embedding", str(tmp_path))
    with pytest.raises(InputError, match="neither wkm-embedding, wkm-hidden nor"):
        load_encoder(str(tmp_path / "nowhere"), None)
    with pytest.raises(InputError, match="are the controller and the worker running"):
        load_encoder("wkm-hidden", "world_model", "http://127.0.0.1:9")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def controller(base_model, tmp_path_factory):
    """Address of a stock FastChat controller with one stock worker that serves ``base_model``."""
    if transformers.__version__.startswith("5"):
        pytest.skip("the stock FastChat worker does not run under transformers 5")
    folder, ports = tmp_path_factory.mktemp("fastchat"), (free_port(), free_port())
    address, worker = (f"http://127.0.0.1:{port}" for port in ports)
    commands = [
        ["controller", "--host", "127.0.0.1", "--port", ports[0]],
        [
            "model_worker",
            "--host",
            "127.0.0.1",
            "--port",
            ports[1],
            "--worker-address",
            worker,
            "--device",
            "cpu",
            "--controller-address",
            address,
            "--model-path",
            base_model,
            "--model-names",
            "world_model",
        ],
    ]
    processes = []
    try:
        for command, ready in zip(commands, (lambda served: True, bool)):
            log = folder / f"{command[0]}.txt"
            full = [sys.executable, "-m", f"fastchat.serve.{command[0]}", *map(str, command[1:])]
            with log.open("w") as output:
                processes.append(subprocess.Popen(full, cwd=folder, stdout=output, stderr=output))
            wait_until_serving(address, ready, processes[-1], log)
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_until_serving(address: str, ready, process: subprocess.Popen, log) -> None:
    """Until the controller's list of models is ``ready``; fails with the log if the process ends before."""
    for _ in range(480):
        time.sleep(0.25)
        assert process.poll() is None, log.read_text()
        try:
            if ready(requests.post(f"{address}/list_models").json()["models"]):
                return
        except requests.ConnectionError:
            continue
    pytest.fail(f"not ready after two minutes: {log.read_text()}")


def test_wkm_hidden_is_the_mean_hidden_state_of_the_served_model(controller, base_model):
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base_model),
        AutoTokenizer.from_pretrained(base_model),
    )
    encoder = load_encoder("wkm-hidden", "world_model", controller)
    vectors = encoder.encode([*TEXTS, TEXTS[0]])
    assert encoder.identity == "wkm-hidden:world_model"
    assert (vectors[0] == vectors[2]).all()
    for text, vector in zip(TEXTS, vectors):
        hidden = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[-1][0]
        assert vector == pytest.approx(mean_of_rows(hidden), abs=2e-3)


def test_wkm_hidden_names_what_is_served(controller):
    with pytest.raises(InputError, match='no worker serves "wolrd_model" at .*; served: world_model'):
        load_encoder("wkm-hidden", "wolrd_model", controller)
