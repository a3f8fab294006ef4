"""What vLLM's server is started with, and which adapters are refused before it starts."""

import json
import shutil
import subprocess
import sys

import pytest

from eval_agent.errors import InputError
from eval_agent.files import read_json, write_json
from eval_agent.serve.loading import plan_models
from eval_agent.serve.vllm_arguments import check_formats, vllm_arguments


def arguments_of(models, device="cpu") -> dict:
    """Each flag with what follows it."""
    found, flag = {}, None
    for argument in vllm_arguments(models, device):
        if argument.startswith("--"):
            flag = argument
        found.setdefault(flag, []).extend([] if argument == flag else [argument])
    return found


@pytest.fixture
def changed(adapters, tmp_path):
    """A copy of an adapter whose configuration says something else."""

    def change(name="copy", **fields):
        folder = shutil.copytree(adapters["agent_model"], tmp_path / name)
        write_json(folder / "adapter_config.json", {**read_json(folder / "adapter_config.json"), **fields})
        return str(folder)

    return change


def test_all_adapters_over_one_base_with_our_worker_s_context_length(base_model, adapters):
    flags = arguments_of(plan_models([str(path) for path in adapters.values()], None))
    assert flags["--model"] == [str(base_model)] and flags["--served-model-name"] == ["base"]
    assert flags["--max-model-len"] == ["1024"] and flags["--generation-config"] == ["vllm"]
    assert [json.loads(module) for module in flags["--lora-modules"]] == [
        {"name": name, "path": str(path)} for name, path in adapters.items()]
    assert (flags["--max-loras"], flags["--max-lora-rank"], flags["--enable-lora"]) == (["2"], ["8"], [])
    assert flags["--dtype"] == ["float32"]
    assert "--dtype" not in arguments_of(plan_models([str(adapters["agent_model"])], None), "cuda")


def test_the_base_alone_needs_no_room_for_adapters(base_model):
    flags = arguments_of(plan_models([str(base_model)], [["plain"]]))
    assert flags["--served-model-name"] == ["plain"] and "--enable-lora" not in flags


@pytest.mark.parametrize("fields, room", [({"r": 12}, "16"), ({"r": 8, "rank_pattern": {"q_proj": 48}}, "64")])
def test_the_room_is_that_of_the_largest_rank(changed, fields, room):
    """vLLM allows certain ranks only."""
    assert arguments_of(plan_models([changed(**fields)], None))["--max-lora-rank"] == [room]


@pytest.mark.parametrize("fields, said", [
    ({"use_dora": True}, 'vLLM serves no adapter with "use_dora"'),
    ({"modules_to_save": ["lm_head"]}, 'no adapter with "modules_to_save"'),
    ({"trainable_token_indices": [3]}, 'no adapter with "trainable_token_indices"'),
    ({"bias": "all"}, 'no adapter with "bias"'),
    ({"r": 1024}, 'field "r" is 1024, and vLLM serves ranks up to 512'),
])
def test_what_vllm_would_refuse_or_leave_out_is_told_before_it_starts(changed, fields, said):
    with pytest.raises(InputError, match=said):
        vllm_arguments(plan_models([changed(**fields)], None), "cpu")


def test_a_chat_format_other_than_the_recipe_s_is_refused(changed):
    """Clients of such a server take the format from the recipe: nobody else would notice."""
    folder = changed()
    write_json(f"{folder}/run_settings.json", {"template": "gemma"})
    models = plan_models([folder], None)
    check_formats(models, "configs/train/gemma.json")
    with pytest.raises(InputError, match='chat format is "gemma" .* but "mistral_v02" is expected'):
        check_formats(models, "configs/train/mistral.json")


def test_the_command_prints_a_line_for_each(adapters):
    command = [sys.executable, "-m", "eval_agent.serve.vllm_arguments", "--recipe", "configs/train/mistral.json",
               "--model-path", str(adapters["agent_model"]), "--model-names", "agent_model"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[lines.index("--lora-modules") + 1] == json.dumps(
        {"name": "agent_model", "path": str(adapters["agent_model"])})
