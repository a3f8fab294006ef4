"""Training runs in a base's own chat format: bases without a pad token, with tied embeddings, with sliding windows."""

import json

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, MistralConfig, Qwen2Config

from eval_agent.agents.chat_format import format_of_run
from eval_agent.agents.own_template import own_template, template_of_base
from eval_agent.files import read_json
from tests.train.backbones import TEMPLATES, make_backbone
from tests.train.test_train_bash import flags, refused, train

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 512}
BASES = {  # none of these tokenizers but Qwen's has a pad token
    "Llama-3.1": (LlamaConfig, {"tie_word_embeddings": True}),
    "Qwen2.5": (Qwen2Config, {"tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": 64}),
    "Mistral-v0.3": (MistralConfig, {"sliding_window": 256}),
}
TURNS = ["Find a mug.", "OK", "A mug?", "Thought: I need it.\nAction: go to cabinet 3", "Observation: a mug 1", "Action: take mug 1"]


@pytest.fixture
def data_dir(tmp_path):
    turns = [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(TURNS)]
    (tmp_path / "mugs.json").write_text(json.dumps([{"conversations": turns}] * 4))
    pair = {"conversations": turns[:3], "chosen": turns[3:], "rejected": turns[3:4]}
    (tmp_path / "pairs.json").write_text(json.dumps([{**pair, "id": str(n)} for n in range(4)]))
    return tmp_path


@pytest.fixture(params=sorted(BASES))
def base(request, tmp_path):
    return make_base(request.param, tmp_path)


def make_base(name, tmp_path):
    tokenizer, (config, settings) = make_backbone(name), BASES[name]
    torch.manual_seed(0)
    settings = {**SHAPE, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **settings}
    config = config(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **settings)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / name)
    return tmp_path / name


def auto_flags(base, data_dir, out, **changes) -> list[str]:
    settings = {"template": "auto", "dataset": "mugs.json", "max_steps": 2, "cutoff_len": 200, "learning_rate": 0.01, **changes}
    return flags(base, data_dir, out, **settings)


def test_an_adapter_is_trained_and_says_in_which_chat_template(base, data_dir, tmp_path, monkeypatch, capsys):
    argv = auto_flags(base, data_dir, tmp_path / "out")
    train(monkeypatch, argv)
    told, own = format_of_run(tmp_path / "out"), template_of_base(str(base))
    assert (told.template, told.sha256) == ("auto", own.sha256)
    assert own_template(AutoTokenizer.from_pretrained(tmp_path / "out"), "out") == own  # the text lies beside the adapter
    tokenizer = AutoTokenizer.from_pretrained(base)
    messages = [{"role": ("user", "assistant")[k % 2], "content": text} for k, text in enumerate(TURNS)]
    ids = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    assert read_json(tmp_path / "out" / "train_results.json")["tokens"] == 4 * len(ids)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "out")
    assert np.isfinite(model(torch.tensor([ids])).logits.detach().numpy()).all()
    capsys.readouterr()
    train(monkeypatch, argv)
    assert "already trained like this" in capsys.readouterr().out


def test_eto_trains_without_a_pad_token(data_dir, tmp_path, monkeypatch):
    base = make_base("Llama-3.1", tmp_path)
    train(monkeypatch, auto_flags(base, data_dir, tmp_path / "sft", max_steps=1))
    train(monkeypatch, auto_flags(
        base, data_dir, tmp_path / "eto", stage="dpo", dataset="pairs.json", adapter_name_or_path=tmp_path / "sft",
        max_steps=1, max_prompt_len=128, max_target_len=128,
    ))
    assert format_of_run(tmp_path / "eto").sha256 == template_of_base(str(base)).sha256


def test_a_merged_model_keeps_its_chat_template(data_dir, tmp_path, monkeypatch):
    base = make_base("Llama-3.1", tmp_path)
    train(monkeypatch, [*auto_flags(base, data_dir, tmp_path / "out", max_steps=1), "--export_dir", str(tmp_path / "merged")])
    assert template_of_base(str(tmp_path / "merged")) == template_of_base(str(base))
    assert format_of_run(tmp_path / "merged").sha256 == template_of_base(str(base)).sha256


def test_a_run_goes_on_with_its_own_chat_template_only(data_dir, tmp_path, monkeypatch, capsys):
    base = make_base("Llama-3.1", tmp_path)
    argv = auto_flags(base, data_dir, tmp_path / "out", max_steps=1)
    train(monkeypatch, argv)
    (base / "chat_template.jinja").write_text(TEMPLATES["Llama-3.1"].replace("December", "May"))
    assert "holds a run with other settings (chat_template_sha256 was" in refused(monkeypatch, capsys, argv)


@pytest.mark.parametrize("template, told", [
    ("{% for m in messages %}{{ m.content }}{% endfor %}", "puts no mark at the end of an assistant turn"),
    (None, "its tokenizer has no chat template"),
])
def test_a_template_that_cannot_be_used_ends_the_run_before_anything_is_written(
    template, told, data_dir, tmp_path, monkeypatch, capsys
):
    base = make_base("Llama-3.1", tmp_path)
    (base / "chat_template.jinja").write_text(template) if template else (base / "chat_template.jinja").unlink()
    error = refused(monkeypatch, capsys, auto_flags(base, data_dir, tmp_path / "out"))
    assert told in error and str(base) in error and 'such as "template": "chatml"' in error
    assert [path.name for path in (tmp_path / "out").iterdir()] in ([], [".lock"])


@pytest.mark.parametrize("template, warns", [("mistral_v02", True), ("auto", False), ("chatml", True)])
def test_a_format_that_is_not_the_model_s_own_is_said(template, warns, data_dir, tmp_path, monkeypatch, capsys):
    base = make_base("Qwen2.5", tmp_path)
    train(monkeypatch, auto_flags(base, data_dir, tmp_path / "out", template=template, max_steps=1))
    said = f"--template {template} writes another text than the chat template of {base}"
    assert (said in capsys.readouterr().err) == warns
