"""The base model, its tokenizer, and the LoRA adapter that is trained on it."""

import shutil
from pathlib import Path
from pickle import UnpicklingError

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    set_seed,
)

from eval_agent.agents.chat_format import run_settings_of
from eval_agent.errors import InputError, warn
from eval_agent.files import read_json
from eval_agent.model_folder import base_of_adapter, is_adapter
from train.arguments import ModelArguments, SftArguments
from train.packing import attention_for

_OWN_CODE = {"trust_remote_code": False}  # without it transformers asks on the terminal whether to run a model's code
_UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, SafetensorError, UnpicklingError)


def load_tokenizer(base: str) -> tuple[PreTrainedTokenizerBase, PretrainedConfig]:
    """Tokenizer and configuration of the base model. Raises InputError where there is none."""
    try:
        return AutoTokenizer.from_pretrained(base, **_OWN_CODE), AutoConfig.from_pretrained(base, **_OWN_CODE)
    except Exception as error:  # tokenizers raises nothing narrower for a broken file
        raise _no_model("--model_name_or_path", base, error) from None


def within_context(longest: int, config: PretrainedConfig) -> int:
    """``longest`` tokens, lowered to the context that the model was made for."""
    context = config.get_text_config().max_position_embeddings
    if context < longest:
        warn(f"the model's context is {context} tokens: sequences are cut there, not at {longest}")
    return min(context, longest)


def load_lora_model(
    model_args: ModelArguments, args: SftArguments, config: PretrainedConfig, cutoff_len: int
) -> PeftModel:
    """The frozen base model in the training's precision, with float32 LoRA adapters on it.

    The adapters are new, or go on from ``adapter_name_or_path``. A base model in a local folder is
    remembered by its absolute path, so that the adapter can be served from any working directory.
    """
    base = model_args.model_name_or_path
    if Path(base).is_dir():
        base = str(Path(base).resolve())
        if "peft" in base:
            warn(f'"{base}" has "peft" in it: the unmodified FastChat worker refuses such a base model')
    dtype = torch.float16 if args.fp16 else torch.bfloat16 if args.bf16 else torch.float32
    attention = attention_for(config, cutoff_len, half_precision=dtype != torch.float32)
    set_seed(args.seed)
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, attn_implementation=attention, **_OWN_CODE)
    except _UNREADABLE as error:
        raise _no_model("--model_name_or_path", base, error) from None
    model.config.use_cache = False
    if model_args.adapter_name_or_path:
        adapted = _load_adapter(model, model_args.adapter_name_or_path)
        _warn_of_its_own_shape(adapted.peft_config["default"], model_args)
        return adapted
    target = model_args.lora_target
    lora = LoraConfig(
        r=model_args.lora_rank,
        lora_alpha=model_args.lora_alpha,
        lora_dropout=model_args.lora_dropout,
        target_modules="all-linear" if target == "all" else [name.strip() for name in target.split(",")],
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise InputError(f'--lora_target "{target}": {error}') from None


def _warn_of_its_own_shape(config: LoraConfig, model_args: ModelArguments) -> None:
    own = {"lora_rank": config.r, "lora_alpha": config.lora_alpha, "lora_dropout": config.lora_dropout}
    differing = [f"--{name} {value}" for name, value in own.items() if value != getattr(model_args, name)]
    if differing:
        warn(f"{model_args.adapter_name_or_path}: training goes on with this adapter's own {', '.join(differing)}")


def merge_adapter(adapter: str, export_dir: str) -> None:
    """Write the adapter's base model with the adapter added to its weights, and the tokenizer, as one model.

    Raises InputError where ``adapter`` is no PEFT folder or its base model is not there.
    """
    if not is_adapter(adapter):
        raise InputError(f"--adapter_name_or_path {adapter}: no adapter_config.json there")
    _check_adapter(adapter)
    base = base_of_adapter(adapter)
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", **_OWN_CODE)
    except _UNREADABLE as error:
        raise _no_model(f"{adapter}/adapter_config.json: base_model_name_or_path", base, error) from None
    merged = _load_adapter(model, adapter).merge_and_unload()
    merged.save_pretrained(export_dir)
    load_tokenizer(base)[0].save_pretrained(export_dir)
    if settings := run_settings_of(adapter):  # serving reads the chat format there
        shutil.copy(settings, export_dir)
    print(f"Merged {adapter} into {base}: a model of its own in {export_dir}")


def _load_adapter(model, adapter: str) -> PeftModel:
    _check_adapter(adapter)
    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=True)
    except _UNREADABLE as error:
        raise _no_model("--adapter_name_or_path", adapter, error) from None


def _check_adapter(adapter: str) -> None:
    """Raise InputError where a folder's adapter_config.json or weights are missing, which PEFT takes for a hub name."""
    folder = Path(adapter)
    if not folder.is_dir():
        return
    if (folder / "adapter_config.json").is_file():
        read_json(folder / "adapter_config.json")
        if not any((folder / f"adapter_model.{end}").is_file() for end in ("safetensors", "bin")):
            raise InputError(f'--adapter_name_or_path "{adapter}": no adapter_model.safetensors there')


def _no_model(flag: str, name: str, error: Exception) -> InputError:
    for file in ("config.json", "tokenizer.json"):  # a broken one is told in many other ways
        if (Path(name) / file).is_file() and not isinstance(read_json(Path(name) / file), dict):
            return InputError(f"{name}/{file}: expected an object")
    told = str(error).strip().partition("\n")[0] or type(error).__name__
    if "trust_remote_code" in str(error):
        told = "it brings code of its own along, which is never run here"
    return InputError(f'{flag} "{name}": {told}')
