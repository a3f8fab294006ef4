"""Episodes as a table, a row each, from results folders or from one compressed CSV that stands for them.

Results lie in <out>/<task>/<agent>/<run>/<split>/: the names of these four folders are an episode's first columns. The
CSV has all that tables and plots are made of; the conversations are there as a digest only.
"""

import lzma
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from eval_agent.errors import InputError
from eval_agent.files import write_bytes
from eval_agent.trajectories.episodes import RUN as RUN_FILE
from eval_agent.trajectories.episodes import SUMMARY, digest, read_episodes

RUN = ["task", "agent", "run", "split"]
TYPES = dict.fromkeys([*RUN, "task_id", "task_type"], "str") | {
    "steps": "int64",
    "reward": "float64",
    "finished": "bool",
    "success": "bool",
    "invalid_actions": "int64",
    "terminate_reason": "str",
    "digest": "str",
}
NONE = pd.DataFrame(columns=list(TYPES)).astype(TYPES)
Reader = Callable[[Path], pd.DataFrame]  # the episodes of a split's folder


def read_run(folder: Path) -> pd.DataFrame:
    """The episodes of one split's folder, by task id. Raises InputError for a file that is no episode's."""
    run = dict(zip(RUN, folder.absolute().parts[-len(RUN):]))
    rows = [{**run, **episode["meta"], "digest": digest(episode)} for episode in read_episodes(folder)]
    return pd.DataFrame(rows, columns=list(TYPES)).astype(TYPES)


def split_folders(run: Path) -> list[Path]:
    """The folders of a run's splits; ``run`` may be such a folder itself. Raises InputError where none has a result."""
    if not run.is_dir():
        example = "outputs/quickstart/agent_model/alfworld_demo_eval"
        raise InputError(f"{run}: no such folder, expected a run's, such as {example}")
    found = [folder for folder in (run, *sorted(run.iterdir())) if folder.is_dir() and _has_episodes(folder)]
    if not found:
        raise InputError(f"{run}: no episode in it or in its folders (dev, test ...)")
    return found


def _has_episodes(folder: Path) -> bool:
    return any(path.name not in (RUN_FILE, SUMMARY) for path in folder.glob("*.json"))


def read_out(out: Path) -> pd.DataFrame:
    """The episodes of all runs below ``out``. Raises InputError where there are none."""
    runs = [read_run(path.parent) for path in sorted(out.glob(f"*/*/*/*/{RUN_FILE}"))]
    if not runs:
        raise InputError(f"{out}: no run in it (TASK/AGENT/RUN/SPLIT/{RUN_FILE})")
    return pd.concat(runs, ignore_index=True)


def write_csv(episodes: pd.DataFrame, path: Path) -> None:
    """Write a CSV, compressed by xz: the same bytes for the same episodes."""
    write_bytes(path, lzma.compress(episodes.to_csv(index=False).encode()))


def csv_reader(path: Path) -> Reader:
    """Reads a folder's episodes from the CSV at ``path``. Raises InputError where it is none of :func:`write_csv`."""
    try:
        table = pd.read_csv(path, dtype=TYPES, usecols=list(TYPES), float_precision="round_trip")
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise InputError(f"{path}: not a CSV of episodes ({error})") from None
    runs = dict(list(table.groupby(RUN)))
    return lambda folder: runs.get(folder.absolute().parts[-len(RUN):], NONE)
