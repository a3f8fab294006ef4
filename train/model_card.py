"""The README.md of an adapter's folder: which base, which data, how trained, by which command."""

import shlex
from pathlib import Path

from eval_agent.files import write_text

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
