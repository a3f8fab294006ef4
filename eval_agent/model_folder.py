"""Where models are: the base that an adapter's folder names, in which folder or under which name of the hub."""

import re
from collections.abc import Iterable
from pathlib import Path

import requests
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.utils import build_hf_headers

from eval_agent.connection import reason
from eval_agent.errors import InputError
from eval_agent.files import read_json

ADAPTER_CONFIG = "adapter_config.json"
_ROOT = Path(__file__).resolve().parents[1]
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_SECONDS = 5  # the hub's own client would try again for a minute or more


def is_adapter(folder: str | Path) -> bool:
    return (Path(folder) / ADAPTER_CONFIG).is_file()


def adapter_config(folder: str | Path) -> dict:
    """What a PEFT adapter's folder says of it. Raises InputError, naming the file, where that is no JSON object."""
    file = Path(folder) / ADAPTER_CONFIG
    config = read_json(file)
    if not isinstance(config, dict):
        raise InputError(f"{file}: expected an object, found {type(config).__name__}")
    return config


def base_of_adapter(folder: str | Path) -> str:
    """Folder or hub name of the base that the adapter in ``folder`` was trained on.

    A relative path starts at the working folder, else at the adapter's own folder or one above it, else at this
    repository: the first that holds a model. OWNER/NAME that is nowhere a folder is a hub name. Raises InputError,
    naming what was tried.
    """
    file, folder = Path(folder) / ADAPTER_CONFIG, Path(folder).resolve()
    name = adapter_config(folder).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise InputError(f'{file}: field "base_model_name_or_path" is {name!r}, expected a folder or a hub name')
    looked = "" if Path(name).is_absolute() else f" (looked in the working folder, {folder} and above it, {_ROOT})"
    places = (Path(), folder, *folder.parents, _ROOT)
    return find_model(name, f'{file}: field "base_model_name_or_path": no such folder: "{name}"{looked}', places)


def find_model(name: str, fault: str, places: Iterable[Path] = (Path(),)) -> str:
    """``name`` as a folder that holds a model, in the first of ``places``, or as a hub name.

    Raises InputError, which begins with ``fault`` where there is neither.
    """
    tried = [place / name for place in places]
    for place in tried:
        if (place / "config.json").is_file():
            return str(place)
    empty = next((place for place in tried if place.is_dir()), None)
    if empty:
        raise InputError(f"{empty}: holds no config.json, so it is no model")
    if not _HUB_NAME.fullmatch(name):
        raise InputError(fault)
    if hub_fault := _hub_fault(name):
        raise InputError(f"{fault}{hub_fault}")
    return name


def _hub_fault(name: str) -> str | None:
    """Why the hub cannot give ``name``; None where it can, or has given it before. Asks once."""
    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return None
    if HF_HUB_OFFLINE:
        return ", nor was it downloaded before, and HF_HUB_OFFLINE is set"
    url = hf_hub_url(name, "config.json")
    try:
        response = requests.head(url, headers=build_hf_headers(), timeout=_HUB_SECONDS, allow_redirects=True)
    except requests.RequestException as error:
        return f", and as a hub name it cannot be asked for: {reason(error, url)}"
    return None if response.ok else f", and the hub answers {response.status_code} for a model of that name"
