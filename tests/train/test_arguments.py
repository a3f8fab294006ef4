"""The seed's command line, the paper's defaults, recipes, and what bad flags are answered with."""

import json
from contextlib import nullcontext

import pytest

from eval_agent.errors import InputError
from tests.conftest import ROOT
from train.arguments import _has, parse_arguments

REQUIRED = ["--do_train", "--model_name_or_path", "base", "--template", "mistral", "--dataset", "mugs"]


@pytest.fixture
def required(tmp_path):
    return [*REQUIRED, "--output_dir", str(tmp_path / "out")]


def seed_flags(base: str, output: str) -> list[str]:
    """Everything after train_bash.py in the seed's README, paths and names filled in."""
    return f"""
        --ddp_timeout 180000000 --stage sft --do_train --model_name_or_path {base} --dataset_dir ./data
        --dataset train_data_for_agent --template mistral --finetuning_type lora --lora_target q_proj,v_proj
        --output_dir {output} --overwrite_cache --per_device_train_batch_size 4
        --gradient_accumulation_steps 2 --lr_scheduler_type cosine --logging_steps 1 --save_steps 1000
        --learning_rate 1e-4 --num_train_epochs 3 --plot_loss --fp16 --cutoff_len 2048
        --save_safetensors False --overwrite_output_dir --train_on_prompt False
    """.split()


def test_every_flag_of_the_seed_is_accepted(tmp_path, capsys):
    model, data, args = parse_arguments(seed_flags("base", str(tmp_path)))
    assert (model.model_name_or_path, model.template, model.lora_target) == (
        "base",
        "mistral",
        "q_proj,v_proj",
    )
    assert (data.dataset, data.dataset_dir, data.cutoff_len) == ("train_data_for_agent", "./data", 2048)
    assert (data.train_on_prompt, args.plot_loss, args.overwrite_output_dir) == (False, True, True)
    assert (args.ddp_timeout, args.save_steps, args.logging_steps) == (180000000, 1000, 1)
    warned = capsys.readouterr().err
    assert data.overwrite_cache and "--save_safetensors has no effect" in warned


def test_fp16_without_a_gpu_trains_in_float32(required, capsys):
    import torch

    _, _, args = parse_arguments([*required, "--fp16"])
    assert args.fp16 == torch.cuda.is_available()
    assert ("float32" in capsys.readouterr().err) != torch.cuda.is_available()


def test_bf16_works_on_a_cpu_too(required):
    assert parse_arguments([*required, "--bf16"])[2].bf16


@pytest.mark.parametrize("recipe", [None, "mistral.json", "gemma.json", "llama3.json"])
def test_defaults_and_recipe_hold_the_papers_values(required, recipe):
    argv = [str(ROOT / "configs" / "train" / recipe)] if recipe else []
    model, data, args = parse_arguments(argv + required)
    assert (model.lora_rank, model.lora_alpha, model.lora_dropout) == (8, 16, 0.05)
    assert (model.lora_target, data.cutoff_len) == ("q_proj,v_proj", 2048)
    assert (args.learning_rate, args.lr_scheduler_type, args.num_train_epochs) == (1e-4, "cosine", 3)
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (4, 2)
    assert args.get_warmup_steps(1000) == 30


def test_a_flag_counts_more_than_the_recipe_and_the_recipe_more_than_a_default(tmp_path, required):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"learning_rate": 2e-4, "lora_rank": 4, "bf16": False, "max_samples": None}))
    model, _, args = parse_arguments([str(recipe), *required, "--learning_rate", "3e-4"])
    assert (args.learning_rate, model.lora_rank, model.lora_alpha) == (3e-4, 4, 16)


@pytest.mark.parametrize("recipe", ["mistral", "gemma", "llama3", "tiny_lora_sft"])
def test_the_projects_recipes_parse(recipe, required):
    parse_arguments([str(ROOT / "configs" / "train" / f"{recipe}.json"), *required])


def test_a_flag_that_only_transformers_4_knew_is_never_an_error_where_it_changes_no_weights(required):
    parse_arguments([*required, "--logging_dir", "logs", "--include_tokens_per_second", "true"])
    with pytest.raises(InputError, match="--adafactor is not offered here|^$") if not _has("adafactor") else nullcontext():
        parse_arguments([*required, "--adafactor", "true"])


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--lora_rnk", "8"], "unknown argument --lora_rnk, did you mean --lora_rank?"),
        (["--learning_rate", "fast"], "--learning_rate.*: invalid float value"),
        (["--stage", "ppo"], "--stage.*: invalid choice: 'ppo'"),
        (["--finetuning_type", "full"], "--finetuning_type.*: invalid choice"),
        (["--do_train", "False"], "--do_train is missing"),
        (["--load_best_model_at_end"], "--load_best_model_at_end is not offered here: nothing is evaluated"),
        (["--tf32", "true"], "training arguments: .*tf32"),
    ],
)
def test_bad_flags(required, extra, message):
    with pytest.raises(InputError, match=message):
        parse_arguments([*required, *extra])


def test_missing_flags_are_named():
    with pytest.raises(InputError, match="required: --model_name_or_path.*, --dataset "):
        parse_arguments(["--do_train"])


def test_the_chat_format_is_the_tokenizer_s_own_where_none_is_named(required):
    place = required.index("--template")
    assert parse_arguments([*required[:place], *required[place + 2:]])[0].template == "auto"


@pytest.mark.parametrize(
    "content, message", [("[1]", "expected an object"), ("{", "malformed JSON"), (None, "no such file")]
)
def test_bad_recipes(tmp_path, content, message):
    recipe = tmp_path / "recipe.json"
    if content:
        recipe.write_text(content)
    with pytest.raises(InputError, match=message):
        parse_arguments([str(recipe)])
