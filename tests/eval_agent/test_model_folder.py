"""Where an adapter's base is looked for, and what is said where it is nowhere."""

import shutil
import time

import pytest

from eval_agent.errors import InputError
from eval_agent.files import write_json
from eval_agent.model_folder import adapter_config, base_of_adapter, find_model
from tests.eval_agent.serving import ROOT


def adapter_over(base, folder):
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": base})
    return folder


def model_in(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_ours_is_found_from_any_working_folder(tmp_path, monkeypatch):
    """The shipped adapters name data/tiny-mistral."""
    monkeypatch.chdir(tmp_path)
    assert base_of_adapter(ROOT / "data/results/tiny/peft/agent_model") == str(ROOT / "data/tiny-mistral")


def test_the_working_folder_goes_first_then_the_adapter_s_and_those_above(tmp_path, monkeypatch):
    adapter = adapter_over("data/tiny-mistral", tmp_path / "project" / "outputs" / "peft")
    monkeypatch.chdir(model_in(tmp_path / "elsewhere" / "data" / "tiny-mistral").parents[1])
    assert base_of_adapter(adapter) == "data/tiny-mistral"
    shutil.rmtree("data")
    above = model_in(tmp_path / "project" / "data" / "tiny-mistral")
    assert base_of_adapter(adapter) == str(above)
    beside = model_in(adapter / "data" / "tiny-mistral")
    assert base_of_adapter(adapter) == str(beside)
    for place in (above, beside):
        shutil.rmtree(place)
    assert base_of_adapter(adapter) == str(ROOT / "data/tiny-mistral")


@pytest.mark.parametrize("name", ["outputs/of/another", "./base", "../base", "/gone", "base", "~/base", "a//b", "a/b/"])
def test_a_path_that_is_nowhere_is_told_at_once_and_never_taken_for_a_hub_name(tmp_path, name):
    began = time.monotonic()
    with pytest.raises(InputError) as raised:
        base_of_adapter(adapter_over(name, tmp_path))
    assert time.monotonic() - began < 1
    assert f'field "base_model_name_or_path": no such folder: "{name}"' in str(raised.value)
    looked = f"looked in the working folder, {tmp_path} and above it, {ROOT}"
    assert (looked in str(raised.value)) == (name != "/gone") and "hub" not in str(raised.value)


def test_owner_and_name_are_asked_for_at_the_hub_once(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    said = ('no such folder: "nobody/nothing" .*, and as a hub name it cannot be asked for: '
            "the proxy http://127.0.0.1:9 does not let it through")
    with pytest.raises(InputError, match=said):
        base_of_adapter(adapter_over("nobody/nothing", tmp_path))


def test_a_hub_model_that_was_downloaded_is_not_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr("eval_agent.model_folder.try_to_load_from_cache", lambda *_: "cached/config.json")
    assert find_model("mistralai/Mistral-7B-Instruct-v0.2", "no") == "mistralai/Mistral-7B-Instruct-v0.2"


def test_a_folder_without_a_model(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: holds no config.json, so it is no model"):
        find_model(str(tmp_path / "empty"), "--base-model: no such folder")


@pytest.mark.parametrize("content, said", [
    ("", "the file is empty"), ("{", "malformed JSON"), ("[]", "expected an object, found list"),
    ("{}", "\"base_model_name_or_path\" is None"), ('{"base_model_name_or_path": ""}', "is ''"),
    ('{"base_model_name_or_path": 7}', "is 7"),
])
def test_a_configuration_that_names_no_base(tmp_path, content, said):
    (tmp_path / "adapter_config.json").write_text(content)
    with pytest.raises(InputError) as raised:
        base_of_adapter(tmp_path)
    assert str(tmp_path / "adapter_config.json") in str(raised.value) and said in str(raised.value)


def test_an_adapter_s_configuration(tmp_path):
    assert adapter_config(adapter_over("data/tiny-mistral", tmp_path))["peft_type"] == "LORA"
