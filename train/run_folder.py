"""The output folder of a training run: is it new, unfinished or finished, is it this run's, and its model card."""

import json
import re
import shlex
import shutil
from pathlib import Path

from eval_agent.agents.chat_format import RUN_SETTINGS as SETTINGS
from eval_agent.errors import InputError
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


_SHOWN = (
    "template lora_target lora_rank lora_alpha lora_dropout adapter_name_or_path cutoff_len train_on_prompt "
    "learning_rate lr_scheduler_type warmup_ratio num_train_epochs max_steps per_device_train_batch_size "
    "gradient_accumulation_steps world_size seed fp16 bf16 pref_beta"
).split()


def write_card(folder: Path, settings: dict, files: list[Path], metrics: dict, argv: list[str]) -> None:
    """Write README.md from the run's settings (:func:`train.train_bash.run_settings`) and its results."""
    base = settings["model_name_or_path"]
    data = "\n".join(
        f"| `{path}` | `{digest}` |" for path, digest in zip(files, settings["data_sha256"], strict=True)
    )
    values = "\n".join(
        f"| {name} | {settings[name]} |" for name in _SHOWN if settings.get(name) not in (None, "")
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
