"""The output folder of a training run: is it new, unfinished or finished, is it this run's, and its model card."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from eval_agent.agents.chat_format import RUN_SETTINGS as SETTINGS
from eval_agent.errors import InputError, sentence
from eval_agent.files import read_json, write_json, write_text

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
    elif any(path.name != ".lock" for path in folder.iterdir()) and not (folder / SETTINGS).exists():
        raise InputError(
            f"{folder}: not empty, no run of this script; choose another or --overwrite_output_dir"
        )
    elif is_finished(folder) or last_checkpoint(folder):
        _compare(read_json(folder / SETTINGS), settings, folder)
        return
    write_json(folder / SETTINGS, settings)


@contextmanager
def writing(folder: str | Path) -> Iterator[None]:
    """What cannot be written into ``folder`` (a full disk) is an InputError, whichever library was writing."""
    try:
        yield
    except InputError:
        raise
    except (OSError, SafetensorError, RuntimeError) as error:
        told = sentence(error).partition("\n")[0]
        if isinstance(error, RuntimeError):
            if not re.search(r"PytorchStream|inline_container|unexpected pos", told):
                raise
            told = "PyTorch could not write a whole file: no space left?"
        raise InputError(f"{folder}: cannot be written ({told})") from None


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


def checkpoint_to_resume(flag: str | None, folder: Path) -> Path | None:
    """The checkpoint that --resume_from_checkpoint ``flag`` names: a path, or True for the last one; None without one.

    Without the flag, or with False, a run goes on from its own last checkpoint anyway. Raises InputError where there is
    none, or one that was cut off.
    """
    if flag is None or flag.lower() in ("false", "no", "none", ""):
        return None
    if flag.lower() in ("true", "yes"):
        last = last_checkpoint(folder) if folder.is_dir() else None
        if last is None:
            raise InputError(f"--resume_from_checkpoint {flag}: {folder} has no whole checkpoint-N")
        return Path(last)
    checkpoint = Path(flag)
    missing = [name for name in ("trainer_state.json", "optimizer.pt", "scheduler.pt") if not (checkpoint / name).is_file()]
    if missing:
        raise InputError(f"--resume_from_checkpoint {flag}: no checkpoint of a training run (no {missing[0]} there)")
    if (checkpoint / _SEAL).exists() and not _is_sealed(checkpoint):
        raise InputError(f"--resume_from_checkpoint {flag}: cut off while it was written, take an earlier one")
    return checkpoint


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
    changed = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if changed:
        what = "; ".join(f"{key} was {_said(old, key)}, now {_said(new, key)}" for key in changed)
        raise InputError(
            f"{folder}: holds a run with other settings ({what}); --overwrite_output_dir replaces it"
        )


def _said(settings: dict, key: str) -> object:
    return settings.get(key, "the default")


_NOT_SHOWN = ("data_sha256", "stage", "model_name_or_path", "finetuning_type")  # said elsewhere in the card


def write_card(folder: Path, settings: dict, files: list[Path], metrics: dict, argv: list[str]) -> None:
    """Write README.md from the run's settings (:func:`train.train_bash.run_settings`) and its results."""
    base = settings["model_name_or_path"]
    data = "\n".join(
        f"| `{path}` | `{digest}` |" for path, digest in zip(files, settings["data_sha256"], strict=True)
    )
    values = "\n".join(
        f"| {name} | {value} |" for name, value in settings.items() if name not in _NOT_SHOWN and value not in (None, "")
    )
    method = {"sft": "supervised fine-tuning", "dpo": "direct preference optimisation"}[settings["stage"]]
    write_text(
        folder / "README.md",
        f"""---
base_model: {base}
library_name: peft
pipeline_tag: text-generation
tags:
- lora
---
# {folder.name}

LoRA adapter over `{base}`, a standard PEFT folder.
Trained by {method} with `train/train_bash.py`.

| data | sha256 |
|---|---|
{data}

{metrics["conversations"]} records, {metrics["tokens"]} tokens, {metrics["trained_tokens"]} with loss;
{metrics["cut"]} records cut, {metrics["skipped"]} skipped.
{metrics["steps"]} steps, mean loss {metrics["train_loss"]:.4f}.

| setting | value |
|---|---|
{values}

Command:

```
{shlex.join(["python", *argv])}
```
""",
    )
