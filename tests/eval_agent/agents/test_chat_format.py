"""Who says which chat format a model has, and what happens where they differ or nobody knows."""

import re

import pytest
from fastchat.model.model_adapter import get_conversation_template

from eval_agent.agents.chat_format import (
    ChatFormat,
    agree,
    format_of_conversation,
    format_of_recipe,
    format_of_run,
)
from eval_agent.errors import InputError
from eval_agent.files import write_json
from tests.eval_agent.serving import ROOT

GEMMA, MISTRAL, UNKNOWN = ChatFormat("gemma", "run A"), ChatFormat("mistral_v02", "recipe B"), ChatFormat(None, "C")


@pytest.mark.parametrize("recipe, template", [("mistral", "mistral_v02"), ("gemma", "gemma"), ("llama3", "llama3")])
def test_a_recipe_is_found_from_any_folder(recipe, template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert format_of_recipe(f"configs/train/{recipe}.json").template == template


def test_a_recipe_without_a_known_format_is_named_with_its_field(tmp_path):
    for name, content in {"none": {}, "new": {"template": "vicuna"}}.items():
        write_json(tmp_path / f"{name}.json", content)
        with pytest.raises(InputError, match=f'{name}.json: field "template" is .*, expected one of mistral_v02, '):
            format_of_recipe(str(tmp_path / f"{name}.json"))
    with pytest.raises(InputError, match="nowhere.json: no such file"):
        format_of_recipe("configs/train/nowhere.json")


def test_a_training_run_tells_for_its_adapter_and_for_its_checkpoints(tmp_path):
    write_json(tmp_path / "out" / "run_settings.json", {"template": "llama3", "seed": 42})
    for folder in ("checkpoint-20", "tokenizer"):
        (tmp_path / "out" / folder).mkdir()
    for folder in ("out", "out/checkpoint-20"):
        told = format_of_run(tmp_path / folder)
        assert told.template == "llama3" and str(tmp_path / "out" / "run_settings.json") in told.source
    assert format_of_run(tmp_path / "out" / "tokenizer") is None
    assert format_of_run("google/gemma-1.1-7b-it") is None  # a hub name


@pytest.mark.parametrize("peft, recipe", [
    ("tiny/peft", "tiny_official"),
    ("tiny/webshop/peft", "tiny_official_webshop"),
    ("smollm2-135m/peft", "smollm2-135m_official"),
])
def test_the_shipped_adapters_were_trained_in_the_format_of_their_recipe(peft, recipe):
    folders = list((ROOT / "data/results" / peft).iterdir())
    assert folders
    assert {format_of_run(folder).template for folder in folders} == {
        format_of_recipe(f"configs/train/{recipe}.json").template
    }


@pytest.mark.parametrize("base, template", [
    ("mistralai/Mistral-7B-Instruct-v0.2", "mistral_v02"),
    ("data/tiny-mistral-sciworld", "mistral_v02"),
    ("lmsys/vicuna-7b-v1.5", None),
])
def test_fastchat_s_conversation_template_gives_the_format(base, template):
    assert format_of_conversation(get_conversation_template(base).name).template == template


def test_names_that_later_versions_of_fastchat_have():
    assert format_of_conversation("gemma").template == "gemma"
    assert format_of_conversation("llama-3").template == "llama3"


def test_what_is_told_and_what_is_expected_have_to_agree():
    assert agree("m", GEMMA, None) == GEMMA
    assert agree("m", UNKNOWN, GEMMA) == GEMMA
    assert agree("m", GEMMA, ChatFormat("gemma", "recipe D")) == GEMMA
    both = re.escape('m: its chat format is "gemma" (run A), but "mistral_v02" is expected (recipe B)')
    with pytest.raises(InputError, match=both):
        agree("m", GEMMA, MISTRAL)
    with pytest.raises(InputError, match=r'm: nothing says its chat format \(C .* such as "recipe": "configs/train/'):
        agree("m", UNKNOWN, None)
