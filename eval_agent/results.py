"""The results folder of one run: an episode a file, run.json with the settings they were made under.

<output_dir>/<agent_model_name>/<exp_config>_<exp_name>/<split>/{<task_id>.json, run.json, summary.json}
"""

import hashlib
import json
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.files import read_json

RUN, SUMMARY = "run.json", "summary.json"
_META = {"task_id": str, "task_type": str, "steps": int, "reward": (int, float), "finished": bool,
         "success": bool, "invalid_actions": int}
# older model configs named the chat format; where no recipe does, the served model tells it, which needs a server
_TEMPLATES = ("model_config.config.template", "world_model_config.config.template")


def episode_path(folder: Path, task_id: str) -> Path:
    return folder / f"{task_id}.json"


def read_episode(path: Path) -> dict:
    """One episode file. Raises InputError naming the field of "meta" that is missing or of another type."""
    episode = read_json(path)
    meta = episode.get("meta") if isinstance(episode, dict) else None
    if not isinstance(meta, dict):
        raise InputError(f'{path}: field "meta" is missing, expected an episode\'s result')
    for key, kind in _META.items():
        if not isinstance(meta.get(key), kind):
            raise InputError(f'{path}: field "meta.{key}" is {meta.get(key)!r}, not as a result file has it')
    return episode


def read_episodes(folder: Path) -> list[dict]:
    """All episodes in ``folder``, by task id; an empty list where there are none."""
    return [read_episode(path) for path in _episode_files(folder)]


def digest(episode: dict) -> str:
    """What tells two plays of a game apart: a hash of the episode's conversations."""
    text = json.dumps(episode.get("conversations"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cut_short(meta: dict) -> bool:
    """Whether a full context ended an episode, which then has fewer steps than it would have had."""
    return meta.get("terminate_reason") == "context_overflow"


def episode_names(folder: Path) -> list[str]:
    """Task ids of the episode files in ``folder``."""
    return [path.stem for path in _episode_files(folder)]


def is_finished(folder: Path, task_id: str) -> bool:
    """Whether a result is there that holds; one with a technical failure does not."""
    path = episode_path(folder, task_id)
    return path.exists() and read_episode(path)["meta"]["finished"]


def check_run(folder: Path, settings: dict) -> None:
    """Raise InputError, naming what differs, where ``folder`` holds results of other settings."""
    differing = _differing(folder, settings)
    if differing:
        raise InputError(
            f"{folder} holds results of other settings ({'; '.join(differing)}). "
            "Choose another --exp_name, or --override to remove them"
        )


def clear_run(folder: Path, settings: dict, task_ids: list[str]) -> None:
    """Remove the results of ``task_ids``; all results where they were made under other settings."""
    others = _differing(folder, settings)
    for file in _episode_files(folder) if others else [episode_path(folder, task_id) for task_id in task_ids]:
        file.unlink(missing_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)


def _episode_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.name not in (RUN, SUMMARY))


def _differing(folder: Path, settings: dict) -> list[str]:
    path = folder / RUN
    return _differences(read_json(path), settings) if path.exists() else []


def _differences(old: object, new: object, name: str = "") -> list[str]:
    """"planner.gamma: 0.4 there, 1.0 now" for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        prefix = f"{name}." if name else ""
        return [text for key in keys for text in _differences(old.get(key), new.get(key), prefix + key)]
    if old == new or name in _TEMPLATES and new is None:
        return []
    return [f"{name}: {_short(old)} there, {_short(new)} now"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
