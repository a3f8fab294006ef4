"""From the folders on a worker's command line to one base model with its adapters, checked before loading."""

import json
from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel

from eval_agent.agents.chat_format import ChatFormat, format_of_run
from eval_agent.errors import InputError
from eval_agent.files import read_json

_ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class ServedModel:
    """One --model-path with its names: an adapter folder, or the base itself."""

    path: str
    names: tuple[str, ...]
    base: str
    is_adapter: bool
    chat_format: ChatFormat | None  # of the training run that wrote it, if one of ours did


def plan_models(paths: list[str], names: list[list[str]] | None) -> list[ServedModel]:
    """Pair each path with its names (the folder's name by default) and find the base that all share.

    Raises InputError: paths and names that do not pair, a name given twice, a folder that holds neither a
    model nor an adapter, an adapter whose base is missing, a training run without a known chat format, more
    than one base.
    """
    if not paths:
        raise InputError("no --model-path: give the folder of a model, or of a PEFT adapter")
    if names is None:
        names = [[Path(path).name] for path in paths]
    if len(names) != len(paths):
        counts = f"{len(paths)} --model-path but {len(names)} --model-names"
        raise InputError(f"{counts}: give one --model-names after each --model-path, or none at all")
    models = [_plan(path, tuple(path_names)) for path, path_names in zip(paths, names)]
    all_names = [name for model in models for name in model.names]
    for name in all_names:
        if all_names.count(name) > 1:
            raise InputError(f'two models are named "{name}": tell them apart with --model-names')
    bases = {_identity(model.base): model for model in models}
    if len(bases) > 1:
        listed = "; ".join(f"{model.path} needs {model.base}" for model in bases.values())
        raise InputError(f"one worker holds one base model: {listed}. Start a worker for each base")
    return models


def add_adapters(model, models: list[ServedModel]) -> tuple[object, dict[str, str | None]]:
    """Put the adapters on the loaded base; returns the model and the adapter (None: the base) of each name.

    Raises InputError for an adapter that does not fit the base.
    """
    adapters: dict[str, str | None] = {}
    for index, served in enumerate(models):
        # PEFT's names may not hold dots, served names may
        adapter = f"adapter{index}" if served.is_adapter else None
        adapters.update(dict.fromkeys(served.names, adapter))
        if adapter is None:
            continue
        try:
            if isinstance(model, PeftModel):
                model.load_adapter(served.path, adapter_name=adapter)
            else:
                model = PeftModel.from_pretrained(model, served.path, adapter_name=adapter)
        except (RuntimeError, ValueError, KeyError) as error:
            first_lines = " ".join(str(error).split())[:300]
            raise InputError(f"{served.path}: does not fit its base {served.base}: {first_lines}") from None
    return model, adapters


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


def _plan(path: str, names: tuple[str, ...]) -> ServedModel:
    folder = Path(path)
    if not folder.exists() and _may_be_hub_name(path):
        return ServedModel(path, names, path, is_adapter=False, chat_format=None)
    if not folder.is_dir():
        raise InputError(f"--model-path {path}: no such folder")
    if not (folder / _ADAPTER_CONFIG).exists():
        if not (folder / "config.json").exists():
            raise InputError(f"--model-path {path}: holds neither config.json nor {_ADAPTER_CONFIG}")
        return ServedModel(path, names, path, is_adapter=False, chat_format=format_of_run(folder))
    return ServedModel(path, names, _base_of(folder), is_adapter=True, chat_format=format_of_run(folder))


def _base_of(folder: Path) -> str:
    config_file = folder / _ADAPTER_CONFIG
    config = read_json(config_file)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise InputError(f'{config_file}: field "peft_type" is {json.dumps(kind)}, expected "LORA"')
    if not any((folder / name).exists() for name in _ADAPTER_WEIGHTS):
        raise InputError(f"--model-path {folder}: has no weights, expected {' or '.join(_ADAPTER_WEIGHTS)}")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not (Path(base).is_dir() or _may_be_hub_name(base)):
        what = 'field "base_model_name_or_path": no such folder'
        raise InputError(f"{config_file}: {what}: {json.dumps(base)}")
    return base


def _may_be_hub_name(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith(("/", ".", "~")) and not name.endswith("/")


def _identity(base: str) -> str:
    return str(Path(base).resolve()) if Path(base).exists() else base
