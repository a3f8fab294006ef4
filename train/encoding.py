"""Checked conversations, and ETO's pairs of them, to token ids with a loss mask.

The loss is on gpt turns and what ends each of them (Eq. 6-10); of a pair on the turns after the prompt. The "OK"
that answers the instruction is a gpt turn like the others, as in LLaMA-Factory, unless the data marks it with
``"loss": false``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from eval_agent.agents.chat_templates import ChatTemplate, OwnTemplate
from eval_agent.agents.own_template import check_rendering
from eval_agent.errors import InputError
from eval_agent.progress import tqdm
from eval_agent.trajectories.format import learnt
from train.data import SIDES, Conversation, Pair

IGNORE = -100  # label of a token without loss
Spans = list[tuple[int, int]]


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
            text += f"; {self.skipped} skipped because no reply to learn fits"
        return text


def encode_batch(
    batch: list[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    cutoff_len: int,
    train_on_prompt: bool = False,
) -> list[dict | None]:
    """Of each conversation ``{"input_ids": int32 [T], "labels": int32 [T], "cut": bool}``, T <= cutoff_len.

    Labels are -100 outside what is learnt. A conversation over ``cutoff_len`` ends after the last reply that fits
    whole (``cut``); one without any reply to learn before that is None. Raises InputError for a template that is
    tokenised whole where a token reaches across the start or end of a reply.
    """
    examples = []
    for conversation, (ids, replies) in zip(batch, token_spans(batch, tokenizer, template)):
        example = _example(ids, replies, _learnt(conversation), cutoff_len, train_on_prompt)
        examples.append(example and {**example, "cut": len(example["input_ids"]) < len(ids)})
    return examples


def _learnt(conversation: Conversation) -> list[bool]:
    return [learnt(turn) for turn in conversation.turns[1::2]]


def report_on(examples: list[dict], n_conversations: int, cutoff_len: int) -> EncodingReport:
    """What became of ``n_conversations``. Raises InputError where nothing is left of them."""
    if not examples:
        raise InputError(f"no conversation's first reply fits into {cutoff_len} tokens: raise --cutoff_len")
    return EncodingReport(
        conversations=len(examples),
        tokens=sum(len(example["input_ids"]) for example in examples),
        trained_tokens=sum(int((example["labels"] != IGNORE).sum()) for example in examples),
        cut=sum(bool(example["cut"]) for example in examples),
        skipped=n_conversations - len(examples),
    )


def served_otherwise(
    conversation: Conversation, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate
) -> bool:
    """Whether a server, which tokenises a prompt whole, reads other tokens than ``template`` trains on."""
    [(ids, _)] = token_spans([conversation], tokenizer, template)
    text, _ = _text_and_replies(conversation, template)
    return tokenizer(text, verbose=False)["input_ids"] != ids


def token_spans(
    batch: list[Conversation], tokenizer: PreTrainedTokenizerBase, template: ChatTemplate
) -> Iterator[tuple[list[int], Spans]]:
    """Of each conversation its token ids, BOS in front, and the token span ``[first, end)`` of each reply."""
    if not tokenizer.is_fast:
        raise InputError("the base model has no fast tokenizer (tokenizer.json), which training needs")
    return (_encode_whole if template.whole else _encode_turns)(batch, tokenizer, template)


def _encode_turns(
    batch: list[Conversation], tokenizer: PreTrainedTokenizerBase, template: ChatTemplate
) -> Iterator[tuple[list[int], Spans]]:
    """Each turn tokenised by itself."""
    pieces = []
    for conversation in batch:
        for human, reply in _rendered(conversation, template):
            pieces += [human, reply]
    encoded = iter(tokenizer(pieces, add_special_tokens=False, verbose=False)["input_ids"])
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    for conversation in batch:
        turns = [next(encoded) for _ in conversation.turns]
        ends = list(accumulate((len(turn) for turn in turns), initial=len(bos)))
        yield bos + [token for turn in turns for token in turn], list(zip(ends[1::2], ends[2::2]))


def _encode_whole(
    batch: list[Conversation], tokenizer: PreTrainedTokenizerBase, template: ChatTemplate
) -> Iterator[tuple[list[int], Spans]]:
    """Each conversation tokenised as one text, as a server does."""
    texts = [_text_and_replies(conversation, template) for conversation in batch]
    if isinstance(template, OwnTemplate):
        for conversation, (text, _) in zip(batch, texts):
            try:
                check_rendering(tokenizer, template, conversation.turns, conversation.system, text)
            except InputError as fault:
                raise InputError(f"{conversation.where}: {fault}") from None
    encoded = tokenizer([text for text, _ in texts], return_offsets_mapping=True, verbose=False)
    for conversation, (_, spans), ids, offsets in zip(
        batch, texts, encoded["input_ids"], encoded["offset_mapping"]
    ):
        yield ids, _to_tokens(np.array(offsets), spans, conversation.where)


def _rendered(conversation: Conversation, template: ChatTemplate) -> Iterator[tuple[str, str]]:
    """The text of each human turn, the system text with the first one, and of the reply to it."""
    for number, (human, gpt) in enumerate(zip(conversation.turns[::2], conversation.turns[1::2])):
        text = human["value"]
        asked = template.user_turn(text) if number else template.first_turn(text, conversation.system)
        yield asked, template.reply_turn(gpt["value"])


def _text_and_replies(conversation: Conversation, template: ChatTemplate) -> tuple[str, Spans]:
    """The rendered text and the character span of each reply, from the prompt's end through its own."""
    text, spans = "", []
    for human, reply in _rendered(conversation, template):
        text += human
        spans.append((len(text), len(text) + len(reply)))
        text += reply
    return text + template.closing, spans


def _to_tokens(offsets: np.ndarray, spans: Spans, where: str) -> Spans:
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
    ids: list[int], replies: Spans, learnt: list[bool], cutoff_len: int, train_on_prompt: bool
) -> dict[str, np.ndarray] | None:
    fitting = [(span, loss) for span, loss in zip(replies, learnt) if span[1] <= cutoff_len]
    if not any(loss for _, loss in fitting):
        return None
    if len(ids) > cutoff_len:
        ids = ids[: fitting[-1][0][1]]
    input_ids = np.array(ids, dtype=np.int32)
    if train_on_prompt:
        return {"input_ids": input_ids, "labels": input_ids.copy()}
    labels = np.full_like(input_ids, IGNORE)
    for (first, end), loss in fitting:
        if loss:
            labels[first:end] = input_ids[first:end]
    return {"input_ids": input_ids, "labels": labels}


def encode_pairs(
    pairs: list[Pair],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    max_prompt_len: int,
    max_target_len: int,
) -> tuple[list[dict], EncodingReport]:
    """``[{"chosen": (ids, learnt), "rejected": (ids, learnt), "where": str}, ...]``.

    ``learnt`` [T] is True on the agent's turns after the prompt, but for those with ``"loss": false``. A longer prompt
    loses its beginning behind BOS, a longer target ends after the last reply that fits; a pair without any reply to
    learn in one of them is skipped.
    """
    report, examples = EncodingReport(), []
    for pair in tqdm(pairs, desc="Tokenizing", unit="pair", leave=False):
        sides, cut = {}, False
        both = token_spans([pair.chosen, pair.rejected], tokenizer, template)
        for side, (ids, replies) in zip(SIDES, both, strict=True):
            first, losses = pair.prompt_turns // 2, _learnt(getattr(pair, side))
            sides[side] = _cut(ids, replies[first:], losses[first:], max_prompt_len, max_target_len)
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


def _cut(
    ids: list[int], replies: Spans, losses: list[bool], max_prompt_len: int, max_target_len: int
) -> tuple[list[int], list[bool]] | None:
    start = replies[0][0]
    fitting = [(span, loss) for span, loss in zip(replies, losses) if span[1] - start <= max_target_len]
    if not any(loss for _, loss in fitting):
        return None
    mask = [False] * fitting[-1][0][1]
    for (first, end), loss in fitting:
        mask[first:end] = [loss] * (end - first)
    ids, too_many = ids[: len(mask)], max(0, start - max_prompt_len)
    return ids[:1] + ids[1 + too_many :], mask[:1] + mask[1 + too_many :]
