"""SFT conversations: from the files named in dataset_info.json to token ids with a loss mask.

A conversation is rendered with the base model's chat format and tokenised whole, BOS included, exactly as
the server tokenises a prompt. The loss is on gpt turns and the token that ends each of them (Eq. 6-10); the
"OK" that answers the instruction is a gpt turn like the others, as in LLaMA-Factory.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from eval_agent.errors import InputError
from eval_agent.files import read_json, read_records
from eval_agent.trajectory import check_conversations
from train.chat_templates import ChatTemplate

IGNORE = -100  # label of a token without loss
_BATCH = 64
_SHAREGPT = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}


@dataclass(frozen=True)
class Conversation:
    """Checked turns (human first, a gpt turn last) and where they come from."""

    turns: list[dict]
    where: str


@dataclass
class EncodingReport:
    """What became of the conversations; tokens are counted after cutting."""

    conversations: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    cut: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        text = (
            f"{self.conversations} conversations, {self.tokens:,} tokens, {self.trained_tokens:,} with loss"
        )
        if self.cut:
            text += f"; {self.cut} cut after the last turn that fits"
        if self.skipped:
            text += f"; {self.skipped} skipped because not even their first reply fits"
        return text


def dataset_files(dataset: str, dataset_dir: str) -> list[Path]:
    """Files of a comma list of data sets: names registered in ``dataset_dir``/dataset_info.json, or files.

    A name that ends in .json or .jsonl is a file, relative to ``dataset_dir`` or to the working directory.
    Raises InputError for an unknown name, an entry of another format and a file that is not there.
    """
    return [_dataset_file(name.strip(), Path(dataset_dir)) for name in dataset.split(",")]


def read_conversations(files: list[Path], max_samples: int | None) -> list[Conversation]:
    """Conversations of all files, the first ``max_samples`` of each. An unanswered last turn is left out.

    Raises InputError with file, record and field for malformed ones.
    """
    conversations = []
    for path in files:
        for index, record in enumerate(read_records(path)[:max_samples]):
            where = f"{path}: record {index}"
            turns = check_conversations(record, where)
            if len(turns) < 2:
                raise InputError(f"{where}: conversations has no gpt turn to learn")
            conversations.append(Conversation(turns[: len(turns) // 2 * 2], where))
    return conversations


def encode_conversations(
    conversations: list[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    cutoff_len: int,
    train_on_prompt: bool = False,
) -> tuple[list[dict[str, list[int]]], EncodingReport]:
    """``[{"input_ids": [T], "labels": [T]}, ...]`` with T <= cutoff_len; labels are -100 outside replies.

    A conversation over ``cutoff_len`` ends after the last reply that fits whole; one whose first reply does
    not fit is skipped. Raises InputError where a token reaches across the start or end of a reply (the
    server could not produce it) and where nothing is left.
    """
    if not tokenizer.is_fast:
        raise InputError("the base model has no fast tokenizer (tokenizer.json), which training needs")
    _check_prompts(conversations[0], tokenizer, template)
    report, examples = EncodingReport(), []
    for start in tqdm(range(0, len(conversations), _BATCH), desc="Encoding", unit="batch", leave=False):
        batch = conversations[start : start + _BATCH]
        texts = [_text_and_replies(c.turns, template) for c in batch]
        encoded = tokenizer([text for text, _ in texts], return_offsets_mapping=True, verbose=False)
        for i, conversation in enumerate(batch):
            ids, offsets = encoded["input_ids"][i], np.array(encoded["offset_mapping"][i])
            replies = _token_spans(offsets, texts[i][1], conversation.where)
            example = _example(ids, replies, cutoff_len, train_on_prompt)
            if example is None:
                report.skipped += 1
                continue
            report.conversations += 1
            report.cut += len(example["input_ids"]) < len(ids)
            report.tokens += len(example["input_ids"])
            report.trained_tokens += sum(label != IGNORE for label in example["labels"])
            examples.append(example)
    if not examples:
        raise InputError(f"no conversation's first reply fits into {cutoff_len} tokens: raise --cutoff_len")
    return examples, report


def _dataset_file(name: str, folder: Path) -> Path:
    if name.endswith((".json", ".jsonl")):
        path = folder / name
        path = path if path.is_file() else Path(name)
    else:
        path = folder / _registered(name, folder / "dataset_info.json")
    if not path.is_file():
        raise InputError(f'data set "{name}": no file {path}')
    return path


def _registered(name: str, registry: Path) -> str:
    entries = read_json(registry)
    entry = entries.get(name) if isinstance(entries, dict) else None
    if not isinstance(entry, dict):
        raise InputError(f'{registry}: no data set "{name}", registered are: {", ".join(entries)}')
    if not isinstance(entry.get("file_name"), str):
        raise InputError(f'{registry}: {name}: field "file_name" is missing, only local files are read')
    if entry.get("formatting") != "sharegpt":
        raise InputError(f'{registry}: {name}: field "formatting" is not "sharegpt"')
    if entry.get("columns", {}).get("messages", "conversations") != "conversations":
        raise InputError(f'{registry}: {name}: columns.messages is not "conversations"')
    for tag, value in _SHAREGPT.items():
        if entry.get("tags", {}).get(tag, value) != value:
            raise InputError(f'{registry}: {name}: tags.{tag} is not "{value}"')
    return entry["file_name"]


def _text_and_replies(turns: list[dict], template: ChatTemplate) -> tuple[str, list[tuple[int, int]]]:
    """The rendered text and the character span of each reply, from the prompt's end through the stop."""
    text, spans = "", []
    for human, gpt in zip(turns[::2], turns[1::2]):
        text += template.user_turn(human["value"])
        reply = template.reply_turn(gpt["value"])
        after_stop = len(template.stop_text) - len(template.stop)
        spans.append((len(text), len(text) + len(reply) - after_stop))
        text += reply
    return text, spans


def _token_spans(offsets: np.ndarray, spans: list[tuple[int, int]], where: str) -> list[tuple[int, int]]:
    """Token spans ``[first, end)`` of the character spans; ``offsets`` [T, 2] are the tokens' characters."""
    starts, ends = offsets.T
    edges = np.array(spans)
    found = np.searchsorted(starts, edges)
    for turn, (first, end) in enumerate(found):
        if ends[first - 1] > edges[turn, 0] or ends[end - 1] > edges[turn, 1]:
            raise InputError(
                f"{where}: conversations[{2 * turn + 1}].value: one token holds an end of this reply and "
                "text beside it; remove white space at the start of the reply"
            )
    return [(int(first), int(end)) for first, end in found]


def _example(
    ids: list[int], replies: list[tuple[int, int]], cutoff_len: int, train_on_prompt: bool
) -> dict | None:
    if len(ids) > cutoff_len:
        replies = [(first, end) for first, end in replies if end <= cutoff_len]
        if not replies:
            return None
        ids = ids[: replies[-1][1]]
    if train_on_prompt:
        return {"input_ids": ids, "labels": list(ids)}
    labels = [IGNORE] * len(ids)
    for first, end in replies:
        labels[first:end] = ids[first:end]
    return {"input_ids": ids, "labels": labels}


def _check_prompts(
    conversation: Conversation, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate
) -> None:
    """Each prompt's own tokens must begin the whole conversation's: offsets alone do not prove it."""
    text, spans = _text_and_replies(conversation.turns, template)
    encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    tokens = _token_spans(np.array(encoded["offset_mapping"]), spans, conversation.where)
    for (start, _), (first, _) in zip(spans, tokens):
        if tokenizer(text[:start], verbose=False)["input_ids"] != encoded["input_ids"][:first]:
            raise InputError(
                f'the tokenizer splits prompts of template "{template.name}" otherwise than whole '
                f"conversations ({conversation.where}): is it the base model's template?"
            )
