"""Command line of the training script: LLaMA-Factory's flag names, the paper's values (Table 6) as defaults.

Values come from the dataclasses below, then from JSON recipes (first arguments), then from the flags.
"""

import argparse
import difflib
import itertools
import json
import math
import os
import re
from dataclasses import dataclass, field, fields
from typing import Literal, Optional

import torch
import transformers
from transformers import HfArgumentParser, TrainingArguments

from eval_agent.agents.chat_templates import AUTO
from eval_agent.command_line import Parser
from eval_agent.config import read_config
from eval_agent.errors import InputError, warn
from train.options import CHANGE_NO_WEIGHTS, REFUSED, not_offered, refuse

# flags of LLaMA-Factory's command lines that have no meaning here, and why
_NO_EFFECT = {
    "neat_packing": "rows are always packed so, and a step still holds as many conversations as asked for",
    "packing": "rows are always packed, each conversation attends to itself only",
    "preprocessing_num_workers": "the tokenizer uses all cores by itself",
    "save_safetensors": "adapters are always saved as safetensors",
}
_HAD_BY_TRANSFORMERS_4 = (
    "adafactor fp16_backend fp16_opt_level fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap "
    "half_precision_backend include_inputs_for_metrics include_tokens_per_second jit_mode_eval logging_dir "
    "mp_parameters no_cuda past_index ray_scope torchdynamo tpu_metrics_debug tpu_num_cores "
    "use_legacy_prediction_loop use_mps_device"
).split()


@dataclass
class ModelArguments:
    """Base model, chat format and LoRA shape."""

    _argument_group_name = "base model, chat format and LoRA shape"

    model_name_or_path: str = field(metadata={"help": "Base model: a folder or a Hugging Face name."})
    template: str = field(
        default=AUTO,
        metadata={
            "help": "Chat format: auto (the tokenizer's own), mistral_v02 (as Mistral-7B-Instruct-v0.2 and FastChat "
            "write it; also the embedded tiny model's), chatml, or LLaMA-Factory's mistral, gemma, llama3."
        },
    )
    adapter_name_or_path: Optional[str] = field(
        default=None, metadata={"help": "Go on from this LoRA adapter; with --export_dir alone: merge it."}
    )
    finetuning_type: Literal["lora"] = field(default="lora", metadata={"help": "Only LoRA is offered."})
    lora_target: str = field(
        default="q_proj,v_proj", metadata={"help": "Comma list of linear layers to adapt, or all."}
    )
    lora_rank: int = field(default=8, metadata={"help": "Rank r of the adapters."})
    lora_alpha: int = field(default=16, metadata={"help": "The adapters' output is scaled by alpha / r."})
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout before the adapters."})


@dataclass
class DataArguments:
    """Which conversations, and how much of them."""

    _argument_group_name = "which conversations, and how much of them"

    dataset: str = field(
        metadata={"help": "Comma list of names from dataset_info.json, or of .json / .jsonl files."}
    )
    dataset_dir: str = field(default="data", metadata={"help": "Folder of dataset_info.json and its files."})
    cutoff_len: int = field(
        default=2048,
        metadata={"help": "Longest sequence in tokens; longer ones end after the last turn that fits."},
    )
    max_prompt_len: int = field(
        default=512,
        metadata={"help": "--stage dpo: longest prompt in tokens; longer ones lose their beginning."},
    )
    max_target_len: int = field(
        default=3072, metadata={"help": "--stage dpo: most tokens after the prompt, cut after a whole turn."}
    )
    max_samples: Optional[int] = field(
        default=None, metadata={"help": "Only the first so many conversations of each data set."}
    )
    train_on_prompt: bool = field(
        default=False, metadata={"help": "Loss on every token, not on gpt turns only."}
    )
    overwrite_cache: bool = field(
        default=False, metadata={"help": "Tokenise anew, whatever ~/.cache/wkm/tokenized holds."}
    )


@dataclass
class SftArguments(TrainingArguments):
    """transformers' own arguments with the paper's values, and what transformers 5 no longer has."""

    _argument_group_name = "training"

    stage: Literal["sft", "dpo"] = field(
        default="sft", metadata={"help": "Supervised fine-tuning, or ETO's DPO on pairs."}
    )
    pref_beta: float = field(default=0.1, metadata={"help": "--stage dpo: beta of its loss."})
    export_dir: Optional[str] = field(
        default=None,
        metadata={
            "help": "Write the base model with the adapter merged into it there, after training or alone."
        },
    )
    plot_loss: bool = field(default=False, metadata={"help": "Draw training_loss.png."})
    overwrite_output_dir: bool = field(
        default=False,
        metadata={
            "help": "Start afresh. Without it an unfinished run goes on and a finished one is left alone."
        },
    )
    warmup_ratio: float = field(
        default=0.03, metadata={"help": "Share of the steps over which the rate rises."}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "Peak learning rate of AdamW."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Learning rate schedule."})
    num_train_epochs: float = field(default=3.0, metadata={"help": "Passes over the data."})
    per_device_train_batch_size: int = field(default=4, metadata={"help": "Conversations a device and pass."})
    gradient_accumulation_steps: int = field(default=2, metadata={"help": "Passes a weight update."})
    gradient_checkpointing: Optional[bool] = field(
        default=None,
        metadata={"help": "Recompute activations: less memory, a third more time. Unset: on a GPU only."},
    )
    report_to: str = field(
        default="none", metadata={"help": "tensorboard, wandb, ...: needs their packages."}
    )

    remove_unused_columns: bool = field(default=False, metadata={"help": "Fixed: the trainer reads all of an example."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Fixed: a loss that is no number ends the run."})
    average_tokens_across_devices: bool = field(
        default=True, metadata={"help": "Fixed: every learnt token of a step counts alike."}
    )

    def __post_init__(self):
        """Raises InputError for an option that is not honoured: train/options.py has them all."""
        refuse(self)
        self._check_values()
        on_gpu = torch.cuda.is_available() and not self.use_cpu
        if self.fp16 and not on_gpu:
            warn("--fp16 needs a CUDA GPU: training in float32")
            self.fp16 = False
        if self.bf16 and not torch.accelerator.is_available():
            self.use_cpu = True  # transformers wants to be told so before it trains in bfloat16 there
        if self.gradient_checkpointing is None:
            self.gradient_checkpointing = on_gpu
        self.gradient_checkpointing_kwargs = {"use_reentrant": False}
        self.dataloader_pin_memory = self.dataloader_pin_memory and on_gpu
        if int(os.environ.get("WORLD_SIZE", 1)) > 1 and self.ddp_find_unused_parameters is None:
            self.ddp_find_unused_parameters = False
        if not _has("warmup_ratio") and not self.warmup_steps:
            self.warmup_steps = self.warmup_ratio  # transformers 5 reads a warmup_steps below 1 as a share
        super().__post_init__()

    def _check_values(self):
        for option in fields(self):
            value = getattr(self, option.name, None)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"--{option.name} is {value}, expected a number")
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
            at_least_one(self, name)
        if self.num_train_epochs <= 0 and self.max_steps <= 0:
            raise InputError(f"--num_train_epochs is {self.num_train_epochs}, expected more than 0")
        if not 0 <= self.label_smoothing_factor < 1:
            raise InputError(f"--label_smoothing_factor is {self.label_smoothing_factor}, expected from 0 to below 1")
        if self.stage == "dpo" and self.label_smoothing_factor:
            raise InputError("--label_smoothing_factor is not offered for --stage dpo: its loss is over pairs, not tokens")
        if self.stage == "sft" and self.pref_beta != 0.1:
            raise InputError("--pref_beta is for --stage dpo")


def at_least_one(args: object, *names: str) -> None:
    """Raise InputError for the first of these that is 0 or less; None is no number."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}, expected at least 1")


class _Parser(Parser, HfArgumentParser):
    """Says in one line what is wrong instead of printing 150 options; the help leaves out those that are refused."""

    def grouped(self) -> dict[str, list[argparse.Action]]:
        """The groups of the dataclasses, and apart those of transformers' options that are as transformers has them."""
        own = SftArguments.__annotations__.keys() | {"do_train", "output_dir"}
        groups = super().grouped()
        training, others = [], []
        for action in groups.pop(SftArguments._argument_group_name):
            if action.dest not in REFUSED:
                (training if action.dest in own else others).append(action)
        return groups | {SftArguments._argument_group_name: training, "training, as transformers has them": others}

    def error(self, message: str):
        name = re.match(r"argument --(\w+)", message)
        if name and name[1] in REFUSED:  # whatever its value is
            raise InputError(f"--{name[1]} is not offered here: {REFUSED[name[1]]}")
        raise InputError(f"{message} (--help explains the flags)")


def parse_arguments(argv: list[str], about: str = __doc__) -> tuple[ModelArguments, DataArguments, SftArguments]:
    """``[recipe.json ...] [--flag value ...]`` as dataclasses; what comes later counts more. The help is ``about``.

    Flags without a meaning here are dropped with a warning. Raises InputError for an unknown flag, a bad
    value and a missing required flag.
    """
    recipes = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    argv = [flag for recipe in recipes for flag in _recipe_flags(recipe)] + argv[len(recipes) :]
    names = {word.partition("=")[0] for word in argv}
    if "--export_dir" in names and "--do_train" not in names:  # what training needs is not needed
        argv = ["--model_name_or_path", "", "--template", "", "--dataset", "", "--output_dir", "", *argv]
    parser = _Parser(about, dataclass_types=(ModelArguments, DataArguments, SftArguments), allow_abbrev=False)
    parser._option_string_actions["--output_dir"].help = "the adapter, its checkpoints and logs"
    try:
        *parsed, unknown = parser.parse_args_into_dataclasses(
            _drop_no_effect(argv), return_remaining_strings=True, look_for_args_file=False
        )
    except json.JSONDecodeError as error:
        raise InputError(f"training arguments: {error.doc!r} is no JSON ({error.msg})") from None
    except ValueError as error:  # transformers checks combinations of its arguments
        raise InputError(f"training arguments: {error}") from None
    if unknown:
        raise InputError(_unknown_flags(unknown, parser))
    model_args, data_args, args = parsed
    at_least_one(data_args, "cutoff_len", "max_prompt_len", "max_target_len", "max_samples")
    at_least_one(model_args, "lora_rank", "lora_alpha")
    if not 0 <= model_args.lora_dropout < 1:
        raise InputError(f"--lora_dropout is {model_args.lora_dropout}, expected from 0 to below 1")
    if args.stage == "dpo" and data_args.train_on_prompt:
        raise InputError("--train_on_prompt is not offered for --stage dpo: its loss is over what follows the prompt")
    if args.export_dir and not args.do_train:
        if not model_args.adapter_name_or_path:
            raise InputError("--adapter_name_or_path is missing: the adapter to merge into its base")
        return model_args, data_args, args
    if not args.output_dir:
        raise InputError("--output_dir is missing: the folder that the adapter is written to")
    if not args.do_train:
        raise InputError("nothing to do: --do_train is missing (or --adapter_name_or_path and --export_dir)")
    return model_args, data_args, args


def _has(name: str) -> bool:
    return name in {f.name for f in fields(TrainingArguments)}


def _recipe_flags(path: str) -> list[str]:
    flags = []
    for name, value in read_config(path).items():
        if value is None:
            continue
        flags.append(f"--{name}={value if isinstance(value, str) else json.dumps(value)}")
    return flags


def _drop_no_effect(argv: list[str]) -> list[str]:
    reasons = dict(_NO_EFFECT)
    gone = f"transformers {transformers.__version__} no longer has it"
    reasons.update({name: gone for name in _HAD_BY_TRANSFORMERS_4 if name in CHANGE_NO_WEIGHTS and not _has(name)})
    kept, dropping = [], False
    for word in argv:
        if word.startswith("--"):
            name = word[2:].partition("=")[0].replace("-", "_")
            dropping = name in reasons
            if dropping:
                warn(f"--{name} has no effect: {reasons[name]}")
        if not dropping:
            kept.append(word)
    return kept


def _unknown_flags(unknown: list[str], parser: HfArgumentParser) -> str:
    known = [option for action in parser._actions for option in action.option_strings]
    flags = [word.partition("=")[0] for word in unknown if word.startswith("-")] or unknown
    for flag in flags:
        name = flag.lstrip("-").replace("-", "_")
        if sentence := not_offered(name):
            return sentence
        if name in _HAD_BY_TRANSFORMERS_4:
            return f"--{name} is not offered here: transformers {transformers.__version__} no longer has it"
    close = difflib.get_close_matches(flags[0], known, n=1)
    return f"unknown argument {flags[0]}" + (f", did you mean {close[0]}?" if close else "")
