"""Pairs for ETO's DPO: read, checked, tokenised; the loss looks at the agent's own turns only."""

from dataclasses import dataclass
from pathlib import Path

import torch
from eval_agent.agents.chat_templates import ChatTemplate
from eval_agent.errors import InputError
from eval_agent.files import read_records
from eval_agent.trajectory import check_conversations
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from train.encoding import EncodingReport, Spans, token_spans
from train.sft_data import Conversation

SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Pair:
    """Two conversations that share their first ``prompt_turns`` turns, and where they come from."""

    chosen: Conversation
    rejected: Conversation
    prompt_turns: int
    where: str


def read_pairs(files: list[Path], max_samples: int | None) -> list[Pair]:
    """Pairs of all files: ``{"conversations": [human, ..., human], "chosen": [gpt, ...], "rejected": ...}``.

    Raises InputError with file, record and field for malformed ones.
    """
    pairs = []
    for path in files:
        for index, record in enumerate(read_records(path)[:max_samples]):
            where = f"{path}: record {index}"
            prompt = check_conversations(record, where)
            if len(prompt) % 2 == 0:
                raise InputError(f"{where}: conversations, the prompt, has to end with a human turn")
            name = record.get("id", record.get("game_file"))
            named = where if name is None else f"{where} ({name})"
            sides = [Conversation(_joined(record, prompt, side, where), named) for side in SIDES]
            pairs.append(Pair(*sides, len(prompt), named))
    return pairs


def encode_pairs(
    pairs: list[Pair],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    max_prompt_len: int,
    max_target_len: int,
) -> tuple[list[dict], EncodingReport]:
    """``[{"chosen": (ids, learnt), "rejected": (ids, learnt), "where": str}, ...]``.

    ``learnt`` [T] is True on the agent's turns after the prompt. A longer prompt loses its beginning behind
    BOS, a longer target ends after the last reply that fits; a pair without any reply in one of them is
    skipped.
    """
    report, examples = EncodingReport(), []
    for pair in tqdm(pairs, desc="Tokenizing", unit="pair", leave=False):
        sides, cut = {}, False
        both = token_spans([pair.chosen, pair.rejected], tokenizer, template)
        for side, (ids, replies) in zip(SIDES, both, strict=True):
            sides[side] = _cut(ids, replies[pair.prompt_turns // 2 :], max_prompt_len, max_target_len)
            cut |= sides[side] is not None and len(sides[side][0]) < len(ids)
        if None in sides.values():
            report.skipped += 1
            continue
        report.conversations += 1
        report.cut += cut
        report.tokens += sum(len(ids) for ids, _ in sides.values())
        report.trained_tokens += sum(sum(learnt) for _, learnt in sides.values())
        examples.append({**sides, "where": pair.where})
    if not examples:
        raise InputError(f"no pair's first replies fit into {max_target_len} tokens: raise --max_target_len")
    return examples, report


def pad_pairs(examples: list[dict]) -> dict:
    """TRL's batch: all chosen above all rejected, [2 B, T], and where each pair comes from."""
    rows = [example[side] for side in SIDES for example in examples]

    def padded(rows) -> torch.Tensor:
        return pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True)

    return {
        "input_ids": padded([ids for ids, _ in rows]),
        "attention_mask": padded([[1] * len(ids) for ids, _ in rows]),
        "completion_mask": padded([learnt for _, learnt in rows]),
        "where": [example["where"] for example in examples],
    }


def _joined(record: dict, prompt: list[dict], side: str, where: str) -> list[dict]:
    if not isinstance(record.get(side), list) or not record[side]:
        raise InputError(f'{where}: field "{side}" is missing or empty, expected the turns after the prompt')
    turns = check_conversations({"conversations": prompt + record[side]}, f"{where}: conversations + {side}")
    return turns[: len(turns) // 2 * 2]


def _cut(
    ids: list[int], replies: Spans, max_prompt_len: int, max_target_len: int
) -> tuple[list[int], list[bool]] | None:
    start = replies[0][0]
    replies = [span for span in replies if span[1] - start <= max_target_len]
    if not replies:
        return None
    learnt = [False] * replies[-1][1]
    for first, end in replies:
        learnt[first:end] = [True] * (end - first)
    ids, too_many = ids[: len(learnt)], max(0, start - max_prompt_len)
    return ids[:1] + ids[1 + too_many :], learnt[:1] + learnt[1 + too_many :]
