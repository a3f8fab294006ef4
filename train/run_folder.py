"""The output folder of a training run: is it new, unfinished or finished, and is it this run's?"""

import json
import re
import shutil
from pathlib import Path

from eval_agent.agents.chat_format import RUN_SETTINGS as SETTINGS
from eval_agent.errors import InputError
from eval_agent.files import read_json, write_json

FINISHED = "train_results.json"  # written last
_SEAL = "files.json"  # names and sizes of a checkpoint's files, written after all of them
_OF_A_RUN = (FINISHED, SETTINGS, "all_results.json", "trainer_log.jsonl", "trainer_state.json")


def open_run(folder: Path, settings: dict, overwrite: bool) -> None:
    """Claim ``folder`` for a run with these settings; ``overwrite`` forgets the run that was there.

    Raises InputError where the folder holds a run with other settings, or files that are not a run's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if overwrite:
        for path in [folder / name for name in _OF_A_RUN]:
            path.unlink(missing_ok=True)
        for path in _checkpoints(folder):
            shutil.rmtree(path)
    elif any(folder.iterdir()) and not (folder / SETTINGS).exists():
        raise InputError(
            f"{folder}: not empty, no run of this script; choose another or --overwrite_output_dir"
        )
    elif is_finished(folder) or last_checkpoint(folder):
        _compare(read_json(folder / SETTINGS), settings, folder)
        return
    write_json(folder / SETTINGS, settings)


def is_finished(folder: Path) -> bool:
    return _is_whole(folder / FINISHED)


def checkpoint_folder(folder: str | Path, step: int) -> Path:
    return Path(folder) / f"checkpoint-{step}"


def seal_checkpoint(checkpoint: Path) -> None:
    """Note what a checkpoint consists of, once every process has written its part."""
    write_json(checkpoint / _SEAL, _sizes(checkpoint))


def last_checkpoint(folder: Path) -> str | None:
    """Newest checkpoint that is as it was when it was sealed: none that was cut off while being written."""
    whole = [path for path in _checkpoints(folder) if _is_sealed(path)]
    return str(whole[-1]) if whole else None


def _checkpoints(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != _SEAL]
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in sorted(files)}


def _is_sealed(checkpoint: Path) -> bool:
    seal = checkpoint / _SEAL
    return _is_whole(seal) and read_json(seal).items() <= _sizes(checkpoint).items()


def _is_whole(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def _compare(old: dict, new: dict, folder: Path) -> None:
    new = json.loads(json.dumps(new))
    changed = [key for key in new if old.get(key) != new[key]]
    if changed:
        what = "; ".join(f"{key} was {old.get(key)}, now {new[key]}" for key in changed)
        raise InputError(
            f"{folder}: holds a run with other settings ({what}); --overwrite_output_dir replaces it"
        )
