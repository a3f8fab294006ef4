"""Conversations as token ids, kept on disk by `datasets`: a second run over the same data need not tokenise it again.

A cache file that is broken is made anew, and a folder that cannot be written is done without.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from eval_agent.agents import chat_templates
from eval_agent.agents.chat_templates import ChatTemplate
from eval_agent.errors import warn
from eval_agent.files import cache_folder, cache_key, file_digest
from train import encoding
from train.data import Conversation
from train.encoding import EncodingReport, encode_batch, report_on

_BATCH = 64
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def encode_conversations(
    conversations: list[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    cutoff_len: int,
    train_on_prompt: bool = False,
    overwrite: bool = False,
) -> tuple[list[dict], EncodingReport]:
    """``[{"input_ids": int32 [T], "labels": int32 [T], "where": str}, ...]``, see :func:`train.encoding.encode_batch`.

    From $XDG_CACHE_HOME/wkm/tokenized (~/.cache) unless ``overwrite``. Raises InputError where nothing is left.
    """
    key = cache_key(
        texts=[[conversation.system, conversation.turns] for conversation in conversations], tokenizer=tokenizer.backend_tokenizer.to_str(),
        bos=tokenizer.bos_token_id, template=asdict(template), cutoff_len=cutoff_len, train_on_prompt=train_on_prompt,
        code=[file_digest(module) for module in (__file__, encoding.__file__, chat_templates.__file__)],
    )

    def encode(numbers: list[int]) -> dict[str, list]:
        batch = [conversations[number] for number in numbers]
        encoded = zip(numbers, encode_batch(batch, tokenizer, template, cutoff_len, train_on_prompt))
        kept = [{**row, "number": number} for number, row in encoded if row is not None]
        return {name: [row[name] for row in kept] for name in ("input_ids", "labels", "cut", "number")}

    def encode_all(**cache) -> Dataset:
        numbered = Dataset.from_dict({"number": list(range(len(conversations)))})
        return numbered.map(encode, batched=True, batch_size=_BATCH, input_columns="number", desc="Tokenizing",
                            remove_columns="number", new_fingerprint=key, **cache)

    rows = list(_on_disk(encode_all, f"{key}.arrow", overwrite).with_format("numpy", dtype="int32"))
    report = report_on(rows, len(conversations), cutoff_len)
    return [
        {"input_ids": row["input_ids"], "labels": row["labels"], "where": conversations[int(row["number"])].where}
        for row in rows
    ], report


def _on_disk(encode_all: Callable[..., Dataset], name: str, overwrite: bool) -> Dataset:
    """What ``encode_all`` makes, or what it once left in the cache under ``name``."""
    folder = cache_folder("tokenized")
    if folder is None:
        return encode_all(keep_in_memory=True)
    file = folder / name
    try:
        if file.exists() and not overwrite and not _is_whole(file):
            warn(f"{file}: a broken cache file, made anew")
            overwrite = True
        try:
            return encode_all(cache_file_name=str(file), load_from_cache_file=not overwrite)
        except pyarrow.ArrowInvalid:
            warn(f"{file}: a broken cache file, made anew")
            return encode_all(cache_file_name=str(file), load_from_cache_file=False)
    except OSError as error:
        warn(f"{file}: tokenised data cannot be kept there ({error.strerror or error})")
        return encode_all(keep_in_memory=True)


def _is_whole(file: Path) -> bool:
    """Whether an Arrow stream ends as one does: pyarrow takes one that was cut between two batches for a shorter one."""
    return file.read_bytes()[-len(_END_OF_STREAM):] == _END_OF_STREAM
