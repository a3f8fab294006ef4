"""No option of transformers' or LLaMA-Factory's command lines is taken in silence without being honoured."""

import json
from dataclasses import fields

import pytest
from transformers import TrainingArguments

from eval_agent.errors import InputError
from tests.train.test_arguments import REQUIRED
from tests.train.test_train_bash import data_dir, flags, refused, same_weights, train  # noqa: F401  (a fixture)
from train.arguments import DataArguments, ModelArguments, SftArguments, parse_arguments
from train.options import CHANGE_NO_WEIGHTS, CHANGE_WEIGHTS, LLAMA_FACTORY, REFUSED, default_of, plain, weight_settings

OPTIONS = [option for option in fields(TrainingArguments) if option.init]


def parsed(tmp_path, *more: str) -> SftArguments:
    return parse_arguments([*REQUIRED, "--output_dir", str(tmp_path / "out"), *more])[2]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_field_of_training_arguments_is_in_exactly_one_class(option):
    classes = [CHANGE_WEIGHTS, CHANGE_NO_WEIGHTS, REFUSED.keys()]
    assert sum(option.name in names for names in classes) == 1


def test_the_projects_own_flags_are_no_option_of_another_program():
    own = {option.name for group in (ModelArguments, DataArguments, SftArguments) for option in fields(group)}
    assert not own & LLAMA_FACTORY.keys()
    assert len(LLAMA_FACTORY) > 150


# a value that is not the default, of each option that is refused; None: it is known to one version of transformers only
OTHER = {"eval_strategy": "steps", "hub_strategy": "end", "include_for_metrics": "loss", "torch_compile_mode": "default",
         "remove_unused_columns": "true", "average_tokens_across_devices": "false", "logging_nan_inf_filter": "true",
         "eval_do_concat_batches": "false", "fsdp": "full_shard", "half_precision_backend": "apex", "fp16_opt_level": "O2",
         "fp16_backend": "apex", "ray_scope": "all", "accelerator_config": '{"split_batches": true}', "fsdp_config": "f.json",
         "liger_kernel_config": '{"a": 1}', "gradient_checkpointing_kwargs": '{"use_reentrant": true}',
         "activation_checkpointing_kwargs": '{"a": 1}', "parallelism_config": '{"a": 1}', "train_sampling_strategy": "sequential",
         "dataloader_in_order": "false"}


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.name in REFUSED], ids=lambda option: option.name)
def test_what_is_not_honoured_is_refused_by_name_and_its_default_is_not(option, tmp_path):
    default = default_of(option)
    value = OTHER.get(option.name) or ("true" if default is False else "3" if isinstance(default, int | float) else "some")
    if default is None and option.name not in OTHER:
        value = next((word for word, kind in (("3", "int"), ("0.5", "float"), ("true", "bool")) if kind in str(option.type)), value)
    with pytest.raises(InputError, match=f"--{option.name} is not offered here: ..."):
        parsed(tmp_path, f"--{option.name}={value}")
    if isinstance(default, bool | int | str) and option.name not in ("remove_unused_columns", "logging_nan_inf_filter"):
        parsed(tmp_path, f"--{option.name}={default}")


CHANGED = {
    "learning_rate": 2e-3, "lr_scheduler_type": "constant", "lr_scheduler_kwargs": '{"num_cycles": 2}', "warmup_ratio": 0.5,
    "warmup_steps": 2, "optim": "adafactor", "weight_decay": 0.5, "adam_beta1": 0.5, "adam_beta2": 0.5, "adam_epsilon": 0.1,
    "max_grad_norm": 0.01, "num_train_epochs": 2, "max_steps": 2, "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 4, "label_smoothing_factor": 0.9, "neftune_noise_alpha": 5, "seed": 1, "data_seed": 1,
    "bf16": True,
}
NOT_TRIED = {"optim_args", "adafactor", "full_determinism", "fp16", "tf32", "resume_from_checkpoint"}  # GPUs, other optimisers


def test_all_that_changes_weights_is_tried():
    assert CHANGED.keys() | NOT_TRIED >= {option.name for option in OPTIONS if option.name in CHANGE_WEIGHTS}


@pytest.fixture(scope="module")
def plain_run(base_model, tmp_path_factory):
    """A small run with no option changed: its folder and what made it."""
    folder = tmp_path_factory.mktemp("options")
    turns = [{"from": "human", "value": "Find a mug."}, {"from": "gpt", "value": "Action: go to cabinet 3"}]
    records = [{"conversations": [turns[0], {**turns[1], "value": f"Action: go to cabinet {n}"}]} for n in range(12)]
    (folder / "mugs.json").write_text(json.dumps(records))
    made = {"dataset": "mugs.json", "num_train_epochs": 1, "save_steps": 100, "gradient_accumulation_steps": 1}
    with pytest.MonkeyPatch.context() as patch:
        train(patch, flags(base_model, folder, folder / "out", **made))
    return folder, made


@pytest.mark.parametrize("name", CHANGED)
def test_what_changes_weights_changes_them_and_is_a_setting_of_the_run(name, plain_run, base_model, tmp_path, monkeypatch, capsys):
    folder, made = plain_run
    changed = {**made, name: CHANGED[name]}
    train(monkeypatch, flags(base_model, folder, tmp_path / "out", **changed))
    assert not same_weights(folder / "out", tmp_path / "out")
    message = refused(monkeypatch, capsys, flags(base_model, folder, folder / "out", **changed))
    assert f"holds a run with other settings ({name} was" in message or f"; {name} was" in message


def test_what_changes_no_weights_is_no_setting(plain_run, base_model, tmp_path, monkeypatch, capsys):
    folder, made = plain_run
    more = dict(logging_steps=3, save_total_limit=1, run_name="x", gradient_checkpointing=True, dataloader_num_workers=1)
    train(monkeypatch, flags(base_model, folder, folder / "out", **{**made, **more}))
    assert "already trained like this" in capsys.readouterr().out
    train(monkeypatch, flags(base_model, folder, tmp_path / "out", **{**made, **more}))
    assert same_weights(folder / "out", tmp_path / "out")


def test_an_option_of_a_later_version_is_a_setting(tmp_path):
    args = parsed(tmp_path, "--adam_beta2", "0.9")
    assert weight_settings(args, ["seed"]) == {"seed": 42, "adam_beta2": 0.9, **{
        name: plain(getattr(args, name)) for name in ("learning_rate", "lr_scheduler_type") if name not in CHANGE_WEIGHTS}}


@pytest.mark.parametrize("more, message", [
    (["--optim_args", "a=1"], "--optim_args has no meaning for --optim adamw_torch"),
    (["--optim", "sgd", "--adam_beta2", "0.9"], "--adam_beta2 has no meaning for --optim sgd"),
    (["--lr_scheduler_type", "constant", "--lr_scheduler_kwargs", '{"a": 1}'], "has no meaning for --lr_scheduler_type constant"),
    (["--lr_scheduler_kwargs", '{"a": 1}'], "unexpected keyword argument 'a'"),
    (["--lr_scheduler_kwargs", "{bad"], "'{bad' is no JSON"),
    (["--lr_scheduler_type", "cosine_with_min_lr"], "min_lr"),
    (["--optim", "adamw_8bit"], "bitsandbytes"),
    (["--report_to", "wandb"], "--report_to wandb: no such package"),
    (["--flash_attn", "auto"], "--flash_attn is a LLaMA-Factory option that is not offered here: FlashAttention 2 is taken"),
    (["--quantization_bit", "4"], "--quantization_bit is a LLaMA-Factory option that is not offered here"),
    (["--use_unsloth"], "--use_unsloth is a LLaMA-Factory option that is not offered here"),
    (["--use-dora", "true"], "--use_dora is a LLaMA-Factory option that is not offered here"),
    (["--trust_remote_code"], "no code that a model brings along is run"),
    (["--stage", "dpo", "--label_smoothing_factor", "0.1"], "--label_smoothing_factor is not offered for --stage dpo"),
    (["--pref_beta", "0.2"], "--pref_beta is for --stage dpo"),
    (["--learning_rate", "nan"], "--learning_rate is nan, expected a number"),
    (["--max_samples", "-1"], "--max_samples is -1, expected at least 1"),
    (["--lora_rank", "0"], "--lora_rank is 0, expected at least 1"),
    (["--num_train_epochs", "0"], "--num_train_epochs is 0.0, expected more than 0"),
])
def test_options_that_cannot_be_honoured_end_before_the_data_is_read(base_model, tmp_path, monkeypatch, capsys, more, message):
    argv = flags(base_model, tmp_path, tmp_path / "out", dataset="nowhere.json")
    assert message in refused(monkeypatch, capsys, [*argv, *more])
    assert not (tmp_path / "out").exists()
