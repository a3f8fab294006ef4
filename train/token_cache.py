"""Encoded conversations kept on disk, so that a second run over the same data need not tokenise it again."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from train.data import Conversation
from train.encoding import IGNORE, EncodingReport

_FORMAT = 1  # of the files and of what train.encoding makes: raise it when either changes


def cache_file(
    conversations: list[Conversation], tokenizer, template, cutoff_len: int, train_on_prompt: bool
) -> Path:
    """The file for just these texts, this tokenizer and these settings, in $XDG_CACHE_HOME/wkm/tokenized."""
    digest = hashlib.sha256()
    settings = [_FORMAT, asdict(template), cutoff_len, train_on_prompt, tokenizer.bos_token_id]
    for part in (settings, tokenizer.backend_tokenizer.to_str(), *(c.turns for c in conversations)):
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\n")
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return root / "wkm" / "tokenized" / f"{digest.hexdigest()[:32]}.npz"


def store(
    path: Path, conversations: list[Conversation], examples: list[dict], report: EncodingReport
) -> None:
    """Write the examples beside ``path`` and rename. A folder that cannot be written to is no fault."""
    number = {conversation.where: i for i, conversation in enumerate(conversations)}
    arrays = {
        "lengths": np.array([len(example["input_ids"]) for example in examples]),
        "numbers": np.array([number[example["where"]] for example in examples]),
        "input_ids": np.concatenate([example["input_ids"] for example in examples]),
        "learnt": np.concatenate([example["labels"] != IGNORE for example in examples]),
        "report": np.array(json.dumps(asdict(report))),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, **arrays)
        os.replace(file.name, path)
    except OSError:
        return


def load(path: Path, conversations: list[Conversation]) -> tuple[list[dict], EncodingReport] | None:
    """What :func:`store` wrote for these conversations; None where there is no whole file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, BadZipFile):
        return None
    labels = np.where(arrays["learnt"], arrays["input_ids"], np.int32(IGNORE))
    ends = np.cumsum(arrays["lengths"])[:-1]
    rows = zip(np.split(arrays["input_ids"], ends), np.split(labels, ends), arrays["numbers"])
    examples = [
        {"input_ids": ids, "labels": row, "where": conversations[number].where} for ids, row, number in rows
    ]
    return examples, EncodingReport(**json.loads(str(arrays["report"])))
