"""What a worker's command line may hold, and what ends it early."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from eval_agent.errors import InputError
from eval_agent.serve.loading import add_adapters, context_length, plan_models
from eval_agent.serve.model_worker import build_parser


def test_paths_pair_with_names_and_share_a_base(base_model, adapters):
    agent, world = str(adapters["agent_model"]), str(adapters["world_model"])
    flags = ["--model-path", agent, "--model-names", "a,a2", "--model-path", str(base_model)]
    args = build_parser().parse_args([*flags, "--model-names", "b"])
    models = plan_models(args.model_path, args.model_names)
    assert [model.names for model in models] == [("a", "a2"), ("b",)]
    assert {model.base for model in models} == {str(base_model)}
    unnamed = plan_models([agent, world], None)
    assert [model.names for model in unnamed] == [("agent_model",), ("world_model",)]


@pytest.mark.parametrize("paths, names, said", [
    ([], None, "no --model-path"),
    (["{agent}", "{world}"], [["a"]], "2 --model-path but 1 --model-names"),
    (["{agent}", "{world}"], [["a"], ["a"]], 'two models are named "a"'),
    (["/nowhere/at/all"], None, "/nowhere/at/all: no such folder"),
    (["{empty}"], None, "holds neither config.json nor adapter_config.json"),
    (["{no_weights}"], None, "has no weights"),
    (["{agent}", "{other_base}"], None, "one worker holds one base model"),
    (["{lost_base}"], None, "no such folder: \"/gone\""),
    (["{prompt_tuning}"], None, '"peft_type" is "PROMPT_TUNING", expected "LORA"; merge it into its base'),
    (["{broken}"], None, "malformed JSON at line 1"),
    (["{empty_config}"], None, "the file is empty"),
    (["{list_config}"], None, "adapter_config.json: expected an object, found list"),
    (["{relative}"], None, "(looked in the working folder, {relative} and above it, "),
    (["{hub_like}"], None, 'no such folder: "nobody/nothing"'),
    (["{agent}"], [["a", " "]], "--model-names has an empty name"),
    (["{no_tokenizer}"], None, "has no tokenizer, expected tokenizer.json or its like"),
    (["{broken_base}"], None, "broken_base/model.safetensors: broken weights"),
    (["{own_code}"], None, 'field "auto_map" in config.json asks for code of its own'),
    (["{vicuna}"], None, "run_settings.json: field \"template\" is 'vicuna', expected one of mistral_v02"),
])
def test_what_ends_early(adapters, base_model, tmp_path, paths, names, said):
    places = {"agent": adapters["agent_model"], "world": adapters["world_model"]}
    copies = "no_weights lost_base prompt_tuning broken vicuna empty_config list_config relative hub_like".split()
    for name in ("broken_base", "no_tokenizer"):
        places[name] = shutil.copytree(base_model, tmp_path / name)
    (places["no_tokenizer"] / "model.safetensors").unlink()
    for file in places["no_tokenizer"].glob("*token*"):
        file.unlink()
    (places["broken_base"] / "model.safetensors").write_bytes(b"half")
    for name in ("empty", "other_base", "own_code", *copies):
        places[name] = tmp_path / name
        places[name].mkdir()
    (places["other_base"] / "config.json").write_text("{}")
    (places["own_code"] / "config.json").write_text('{"auto_map": {"AutoModelForCausalLM": "evil.Model"}}')
    for name in copies:
        shutil.copytree(adapters["agent_model"], places[name], dirs_exist_ok=True)
    (places["no_weights"] / "adapter_model.safetensors").unlink()
    _change_config(places["lost_base"], base_model_name_or_path="/gone")
    _change_config(places["prompt_tuning"], peft_type="PROMPT_TUNING")
    (places["vicuna"] / "run_settings.json").write_text('{"template": "vicuna"}')
    (places["broken"] / "adapter_config.json").write_text("{peft")
    (places["empty_config"] / "adapter_config.json").write_text("")
    (places["list_config"] / "adapter_config.json").write_text("[]")
    _change_config(places["relative"], base_model_name_or_path="outputs/of/another")
    _change_config(places["hub_like"], base_model_name_or_path="nobody/nothing")
    began = time.monotonic()
    with pytest.raises(InputError) as raised:
        plan_models([path.format(**places) for path in paths], names)
    assert said.format(**places) in str(raised.value) and "\n" not in str(raised.value)
    assert time.monotonic() - began < 15  # the hub is asked once, and shortly


def test_a_base_model_that_is_given_goes_before_the_adapter_s(adapters, base_model, tmp_path):
    shutil.copytree(adapters["agent_model"], tmp_path / "moved")
    _change_config(tmp_path / "moved", base_model_name_or_path="/gone")
    model, = plan_models([str(tmp_path / "moved")], None, str(base_model))
    assert model.base == str(base_model)
    with pytest.raises(InputError, match="^--base-model /nowhere: no such folder$"):
        plan_models([str(tmp_path / "moved")], None, "/nowhere")


@pytest.mark.parametrize("damage, said", [
    (lambda file: file.write_bytes(file.read_bytes()[:100]), "broken weights: SafetensorError"),
    (lambda file: file.write_bytes(file.read_bytes()[:-8]), "broken weights: SafetensorError"),
    (lambda file: file.write_bytes(b""), "broken weights: SafetensorError"),
    (lambda file: (file.unlink(), file.mkdir()), "broken weights: OSError"),
    (lambda file: _rename(file, "self_attn", "attention"), "does not fit its base .*Found missing adapter keys"),
])
def test_broken_weights_are_one_line(adapters, base_model, tmp_path, damage, said):
    shutil.copytree(adapters["agent_model"], tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "adapter_model.safetensors")
    base = AutoModelForCausalLM.from_pretrained(base_model)
    with pytest.raises(InputError) as raised:
        add_adapters(base, plan_models([str(tmp_path)], None))
    assert re.match(f"{tmp_path}.*: .*{said}", str(raised.value)) and "\n" not in str(raised.value)


class Evil:
    """Writes a file where it is unpickled by a loader that trusts pickles."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


def test_pickled_weights_run_no_code(adapters, base_model, tmp_path):
    """adapter_model.bin is read as tensors and nothing else (torch's weights_only)."""
    shutil.copytree(adapters["agent_model"], tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    torch.save({"lora": Evil(tmp_path / "run.txt")}, tmp_path / "adapter" / "adapter_model.bin")
    base = AutoModelForCausalLM.from_pretrained(base_model)
    with pytest.raises(InputError, match="adapter: its weights cannot be read: UnpicklingError"):
        add_adapters(base, plan_models([str(tmp_path / "adapter")], None))
    assert not (tmp_path / "run.txt").exists()


def test_the_base_is_in_memory_once(base_model, adapters):
    base = AutoModelForCausalLM.from_pretrained(base_model)
    held = {weight.data_ptr() for weight in base.parameters()}
    models = plan_models([str(path) for path in (*adapters.values(), base_model)], None)
    model, names = add_adapters(base, models)
    assert names == {"agent_model": "adapter0", "world_model": "adapter1", base_model.name: None}
    new = [weight for weight in model.parameters() if weight.data_ptr() not in held]
    rank, layers, hidden, kv = 8, 2, 64, 32
    per_adapter = layers * rank * (2 * hidden + hidden + kv)
    assert sum(weight.numel() for weight in new) == 2 * per_adapter


def test_an_adapter_that_does_not_fit_names_its_folder(base_model, adapters, tmp_path):
    config = MistralConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=50,
        num_key_value_heads=2,
    )
    lora = LoraConfig(r=8, target_modules=["q_proj"], task_type="CAUSAL_LM")
    small = get_peft_model(AutoModelForCausalLM.from_config(config), lora)
    small.save_pretrained(tmp_path)
    _change_config(tmp_path, base_model_name_or_path=str(base_model))
    base = AutoModelForCausalLM.from_pretrained(base_model)
    with pytest.raises(InputError, match=f"{tmp_path}: does not fit its base"):
        add_adapters(base, plan_models([str(tmp_path)], None))


def test_adapters_saved_without_safetensors_are_served(base_model, adapters, tmp_path):
    shutil.copytree(adapters["agent_model"], tmp_path, dirs_exist_ok=True)
    torch.save(load_file(tmp_path / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    base = AutoModelForCausalLM.from_pretrained(base_model)
    model, _ = add_adapters(base, plan_models([str(tmp_path)], None))
    assert any(weight.abs().sum() > 0 for key, weight in model.named_parameters() if "lora_B" in key)


def test_context_length_of_published_configurations():
    assert context_length(MistralConfig(max_position_embeddings=32768, sliding_window=None)) == 32768
    assert context_length(MistralConfig(max_position_embeddings=32768, sliding_window=4096)) == 4096
    assert context_length(LlamaConfig(max_position_embeddings=8192)) == 8192
    scaled = LlamaConfig(max_position_embeddings=4096, rope_scaling={"rope_type": "linear", "factor": 2.0})
    assert context_length(scaled) == 8192


def _change_config(folder, **fields):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def _rename(file, old, new):
    save_file({key.replace(old, new): weight for key, weight in load_file(file).items()}, file)
