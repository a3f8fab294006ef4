"""LLaMA-Factory's token ids and labels for the cases of scripts/bench/llamafactory_cases.py, in its environment.

    PEER/bin/python scripts/bench/llamafactory_tokens.py FOLDER

Its own loader is called with its own flags, as its trainer does; each case's folder gets expected.json.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

REGISTRY = {"dialogues": {"file_name": "dialogues.json", "formatting": "sharegpt"}}


def tokens(
    folder: Path, tokenizer: Path, template: str | None, cutoff_len: int, train_on_prompt: bool
) -> list[dict]:
    model_args, data_args, training_args, _, _ = get_train_args(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": str(tokenizer),
            "dataset": "dialogues",
            "dataset_dir": str(folder),
            "template": template,
            "finetuning_type": "lora",
            "output_dir": str(folder / "unused"),
            "train_on_prompt": train_on_prompt,
            "cutoff_len": cutoff_len,
            "overwrite_cache": True,
            "report_to": "none",
        }
    )
    loaded = load_tokenizer(model_args)
    chat_format = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    dataset = get_dataset(chat_format, model_args, data_args, training_args, stage="sft", **loaded)
    return [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in dataset["train_dataset"]]


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "dataset_info.json").write_text(json.dumps(REGISTRY))
    for path in sorted(folder.glob("*/case.json")):
        case = json.loads(path.read_text())
        rows = {}
        for cutoff in case["cutoffs"]:
            rows[cutoff] = tokens(folder, path.parent / "tokenizer", case["llamafactory"], cutoff, False)
        expected = {
            "llamafactory": version("llamafactory"),
            "replies": rows,
            "everything": tokens(folder, path.parent / "tokenizer", case["llamafactory"], 2048, True),
        }
        (path.parent / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
        print(
            f"{path.parent.name}: {len(rows)} cut-offs of {len(expected['everything'])} dialogues", flush=True
        )
    (folder / "dataset_info.json").unlink()


if __name__ == "__main__":
    main()
