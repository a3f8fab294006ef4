"""From the folders on a worker's command line to one base model with its adapters, checked before loading."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

from peft import PeftModel
from safetensors import SafetensorError, safe_open
from transformers import PretrainedConfig
from transformers.models.auto.tokenization_auto import get_tokenizer_config

import eval_agent.progress  # noqa: F401  (a 7B base is loaded with transformers' bar)
from eval_agent.agents.chat_format import ChatFormat, check_own, format_of_run
from eval_agent.errors import InputError
from eval_agent.files import cache_key, file_digest
from eval_agent.model_folder import ADAPTER_CONFIG, adapter_config, base_of_adapter, find_model, is_adapter
from eval_agent.serve.adapter_features import check_features

_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# what loading may meet in a folder that somebody made otherwise: one line each, no traceback
LOADING_FAULTS = (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError, UnpicklingError)


@dataclass(frozen=True)
class ServedModel:
    """One --model-path with its names: an adapter folder, or the base itself."""

    path: str
    names: tuple[str, ...]
    base: str
    is_adapter: bool
    chat_format: ChatFormat | None  # of the training run that wrote it, if one of ours did


def plan_models(
    paths: list[str], names: list[list[str]] | None, base_model: str | None = None
) -> list[ServedModel]:
    """Pair each path with its names (the folder's name by default) and find the base that all share.

    ``base_model`` goes before what the adapters name. Raises InputError: paths and names that do not pair, a name
    given twice or empty, a folder that holds neither a model nor an adapter, an adapter whose base is missing or whose
    features cannot be served, a training run without a known chat format or with another chat template than the base's,
    more than one base, a base that would run code of its own.
    """
    if not paths:
        raise InputError("no --model-path: give the folder of a model, or of a PEFT adapter")
    if names is None:
        names = [[Path(path).name] for path in paths]
    if len(names) != len(paths):
        counts = f"{len(paths)} --model-path but {len(names)} --model-names"
        raise InputError(f"{counts}: give one --model-names after each --model-path, or none at all")
    given = None if base_model is None else find_model(base_model, f"--base-model {base_model}: no such folder")
    models = [_plan(path, tuple(map(str.strip, path_names)), given) for path, path_names in zip(paths, names)]
    all_names = [name for model in models for name in model.names]
    for name in all_names:
        if not name:
            raise InputError("--model-names has an empty name")
        if all_names.count(name) > 1:
            raise InputError(f'two models are named "{name}": tell them apart with --model-names')
    bases = {_identity(model.base): model for model in models}
    if len(bases) > 1:
        listed = "; ".join(f"{model.path} needs {model.base}" for model in bases.values())
        raise InputError(f"one worker holds one base model: {listed}. Start a worker for each base")
    check_features({model.path: adapter_config(model.path) for model in models if model.is_adapter}, len(models) == 1)
    _check_no_code(models[0].base)
    _check_tokenizer(models[0].base)
    _check_whole(Path(models[0].base))
    for model in models:
        if model.chat_format:
            check_own(model.path, model.chat_format, model.base)
    return models


def add_adapters(model, models: list[ServedModel]) -> tuple[object, dict[str, str | None]]:
    """Put the adapters on the loaded base; returns the model and the adapter (None: the base) of each name.

    Raises InputError for an adapter that does not fit the base.
    """
    adapters: dict[str, str | None] = {}
    for index, served in enumerate(models):
        # PEFT's names may not hold dots, served names may
        adapters.update(dict.fromkeys(served.names, f"adapter{index}" if served.is_adapter else None))
    for served in sorted(filter(lambda model: model.is_adapter, models), key=_has_tokens):
        adapter = adapters[served.names[0]]
        try:
            model = _with_adapter(model, served.path, adapter)
        except (RuntimeError, ValueError, KeyError, UserWarning) as error:
            raise InputError(f"{served.path}: does not fit its base {served.base}: {one_line(error)}") from None
        except LOADING_FAULTS as error:
            raise InputError(f"{served.path}: its weights cannot be read: {one_line(error)}") from None
    return model, adapters


def _with_adapter(model, folder: str, adapter: str) -> PeftModel:
    with warnings.catch_warnings():
        # such an adapter would answer as the base does
        warnings.filterwarnings("error", message="Found missing adapter keys")
        if isinstance(model, PeftModel):
            model.load_adapter(folder, adapter_name=adapter)
            return model
        return PeftModel.from_pretrained(model, folder, adapter_name=adapter)


def made_of(model: ServedModel) -> str:
    """A digest that differs between models that answer differently; a base's weights count by their sizes alone."""
    base = Path(model.base)
    files = [(file.name, file.stat().st_size) for file in sorted(base.glob("*.safetensors"))]
    parts = {"base": files or model.base}
    if model.is_adapter:
        weights = next(Path(model.path) / name for name in _ADAPTER_WEIGHTS if (Path(model.path) / name).exists())
        parts |= {"config": adapter_config(model.path), "weights": file_digest(weights)}
        del parts["config"]["base_model_name_or_path"]
    return cache_key(**parts)


def context_length(config) -> int:
    """Tokens that a model can attend to, from its Hugging Face configuration.

    A rope scaling without a factor counts as none (transformers 5 always has a rope entry). A sliding window
    bounds the length: within it the key-value states that the prefix cache keeps are exact.
    """
    config = config.get_text_config()
    rope = getattr(config, "rope_scaling", None) or {}
    length = getattr(config, "max_position_embeddings", None)
    if length is None:
        raise InputError(f"{config.name_or_path}: config.json has no max_position_embeddings")
    # llama3, longrope and yarn configurations already state the scaled length
    if rope.get("rope_type", rope.get("type")) in ("linear", "dynamic"):
        length = int(length * rope.get("factor", 1))
    window = getattr(config, "sliding_window", None)
    uses_window = window and getattr(config, "use_sliding_window", True)
    return min(length, window) if uses_window else length


def _has_tokens(model: ServedModel) -> bool:
    """Of an adapter with trained tokens, which PEFT 0.18 loads after the others only."""
    return bool(adapter_config(model.path).get("trainable_token_indices"))


def one_line(error: BaseException) -> str:
    """The kind of an error and the beginning of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _plan(path: str, names: tuple[str, ...], base_model: str | None) -> ServedModel:
    folder = Path(path)
    if is_adapter(folder):
        _check_weights(folder)
        base = base_model or base_of_adapter(folder)
        return ServedModel(path, names, base, is_adapter=True, chat_format=format_of_run(folder))
    if folder.is_dir() and not (folder / "config.json").exists():
        raise InputError(f"--model-path {path}: holds neither config.json nor {ADAPTER_CONFIG}")
    if not folder.is_dir():
        base = find_model(path, f"--model-path {path}: no such folder")
        return ServedModel(path, names, base, is_adapter=False, chat_format=None)
    return ServedModel(path, names, path, is_adapter=False, chat_format=format_of_run(folder))


def _check_weights(folder: Path) -> None:
    kind = adapter_config(folder).get("peft_type")
    if kind != "LORA":
        way = "; merge it into its base (PEFT's merge_and_unload) and serve the merged model" if kind else ""
        found = f'{folder / ADAPTER_CONFIG}: field "peft_type" is {json.dumps(kind)}'
        raise InputError(f'{found}, expected "LORA"{way}')
    if not any((folder / name).exists() for name in _ADAPTER_WEIGHTS):
        raise InputError(f"--model-path {folder}: has no weights, expected {' or '.join(_ADAPTER_WEIGHTS)}")
    _check_whole(folder)


def _check_whole(folder: Path) -> None:
    """A download that was broken off is told before anything is loaded: a file's header knows how long it is."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: broken weights: {one_line(error)}") from None


def _check_tokenizer(base: str) -> None:
    """Of a base in a folder; without these files transformers fails over some library that is not installed."""
    files = ("tokenizer*", "vocab*", "*.model", "*.tiktoken")
    if Path(base).is_dir() and not any(found for pattern in files for found in Path(base).glob(pattern)):
        raise InputError(f"base model {base}: has no tokenizer, expected tokenizer.json or its like")


def _check_no_code(base: str) -> None:
    """FastChat trusts the Python files beside a model, and transformers runs them where its configuration says so."""
    try:
        settings = {"config.json": PretrainedConfig.get_config_dict(base)[0],
                    "tokenizer_config.json": get_tokenizer_config(base)}
    except LOADING_FAULTS as error:
        raise InputError(f"base model {base}: {one_line(error)}") from None
    for file, content in settings.items():
        if content.get("auto_map"):
            raise InputError(
                f'base model {base}: field "auto_map" in {file} asks for code of its own, which is not run here; '
                "where transformers knows the model by itself, serve a copy without that field"
            )


def _identity(base: str) -> str:
    return str(Path(base).resolve()) if Path(base).exists() else base
