"""The results folder of one run: an episode a file, run.json with the settings they were made under.

<output_dir>/<agent_model_name>/<exp_config>_<exp_name>/<split>/{<task_id>.json, run.json, summary.json}

Knows also what the paper measures of an episode (Tables 1 to 3); intervals and tables are the report's.
"""

import hashlib
import json
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from eval_agent.errors import InputError
from eval_agent.fields import validate
from eval_agent.files import read_json

RUN, SUMMARY = "run.json", "summary.json"
CONTEXT_OVERFLOW = "context_overflow"  # a terminate_reason: the agent's context was full

# an episode's value, from its "meta" or, for many, from a table with its fields as columns
MEASURES = {
    "average_reward": lambda meta: meta["reward"],
    "success_rate": lambda meta: meta["success"],
    "average_steps": lambda meta: meta["steps"],
    "hallucination_rate": lambda meta: meta["invalid_actions"] > 0,  # at least one invalid action
}


class Meta(BaseModel):
    """How an episode went. Files may hold more than this."""

    model_config = ConfigDict(strict=True)

    task_id: str = Field(description="the game or variation, and the file's name")
    task_type: str = Field(description="of ALFWorld's six or ScienceWorld's 24")
    steps: int = Field(description="actions tried, those that failed too")
    reward: float = Field(description="0 to 1")
    finished: bool = Field(description="false after a technical failure: to be played again")
    success: bool = Field(description="whether the task was solved")
    terminate_reason: str | None = Field(None, description="success, max_steps, context_overflow, error ...")
    error: str | None = Field(None, description="of a technical failure")
    invalid_actions: int = Field(description="actions that the environment refused")
    repaired_replies: int | None = Field(None, description="replies in another form; not counted in older results")
    taken_from: str | None = Field(None, description="folder of the run with another gamma that played it, if one did")


class _Episode(BaseModel):
    meta: Meta


def episode_path(folder: Path, task_id: str) -> Path:
    return folder / f"{task_id}.json"


def read_episode(path: Path) -> dict:
    """One episode file. Raises InputError naming the field of "meta" that is missing or of another type."""
    episode = read_json(path)
    validate(_Episode, episode, path)
    return episode


def read_episodes(folder: Path) -> list[dict]:
    """All episodes in ``folder``, by task id; an empty list where there are none."""
    return [read_episode(path) for path in _episode_files(folder)]


def digest(episode: dict) -> str:
    """What tells two plays of a game apart: a hash of the conversations, 8 hexadecimal digits."""
    text = json.dumps(episode.get("conversations"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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


def summarize(episodes: list[dict]) -> dict:
    """Mean of every measure over the finished ``episodes``, their number ``games``, and ``failures``.

    Shares are fractions of 1; a measure is None where no episode finished. ``repaired_replies`` is the share of
    the agent's replies, one a step, that were not in the form asked for; None for older results, which do not
    tell. ``failures`` names each episode that a technical fault ended.
    """
    metas = [episode["meta"] for episode in episodes]
    finished = [meta for meta in metas if meta["finished"]]
    return {
        "games": len(finished),
        **{name: fmean(map(value_of, finished)) if finished else None for name, value_of in MEASURES.items()},
        "repaired_replies": _repaired_share(finished),
        "failures": [{"task_id": m["task_id"], "error": m.get("error")} for m in metas if not m["finished"]],
    }


def _repaired_share(metas: list[dict]) -> float | None:
    told = [meta for meta in metas if meta.get("repaired_replies") is not None]
    steps = sum(meta["steps"] for meta in told)
    return sum(meta["repaired_replies"] for meta in told) / steps if steps else None


def summarize_by_type(episodes: list[dict]) -> dict[str, dict]:
    """:func:`summarize` for the episodes of each task type."""
    types = sorted({episode["meta"]["task_type"] for episode in episodes})
    return {kind: summarize([e for e in episodes if e["meta"]["task_type"] == kind]) for kind in types}


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
    if old == new:
        return []
    return [f"{name}: {_short(old)} there, {_short(new)} now"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
