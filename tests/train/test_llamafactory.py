"""Our tokens and labels against LLaMA-Factory 0.9.5's, which scripts/bench/compare_llamafactory.sh wrote down."""

import json
from itertools import zip_longest
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from eval_agent.agents.chat_templates import get_template
from train.data import DataSet, read_conversations
from train.encoding import IGNORE
from train.token_cache import encode_conversations

FOLDER = Path(__file__).resolve().parent / "fixtures" / "llamafactory"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))


def ours(case: str, cutoff_len: int, train_on_prompt: bool = False) -> dict[str, dict]:
    """Examples by the name of their record."""
    template = json.loads((FOLDER / case / "case.json").read_text())["template"]
    examples, _ = encode_conversations(
        read_conversations([DataSet(FOLDER / "dialogues.json")], None),
        AutoTokenizer.from_pretrained(FOLDER / case / "tokenizer"),
        get_template(template),
        cutoff_len,
        train_on_prompt,
    )
    return {
        example["where"].rsplit(" ", 1)[1]: {name: example[name].tolist() for name in ("input_ids", "labels")}
        for example in examples
    }


def theirs(case: str) -> dict:
    expected = json.loads((FOLDER / case / "expected.json").read_text())
    assert expected["llamafactory"] == "0.9.5"
    return expected


def test_every_template_was_compared():
    assert CASES == ["gemma", "llama3", "mistral", "tiny", "tiny_own_format"]


@pytest.mark.parametrize("case", CASES)
def test_token_ids_and_labels_are_llamafactorys(case):
    assert list(ours(case, 2048).values()) == theirs(case)["replies"]["2048"]
    assert list(ours(case, 2048, train_on_prompt=True).values()) == theirs(case)["everything"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cutoff", ["150", "60", "35"])
def test_cut_conversations_are_llamafactorys_without_its_half_turns(case, cutoff):
    whole, cut = ours(case, 2048), ours(case, int(cutoff))
    for number, expected in enumerate(theirs(case)["replies"][cutoff]):
        example = cut.get(str(number), {"input_ids": [], "labels": []})  # skipped: no reply fits
        kept = len(example["input_ids"])
        assert example["input_ids"] == expected["input_ids"][:kept]
        assert example["labels"] == expected["labels"][:kept]
        if kept == len(whole[str(number)]["input_ids"]):
            continue  # nothing was cut
        if kept:
            assert example["labels"][-1] != IGNORE
        following = next_reply_end(whole[str(number)]["labels"], kept)
        assert following > int(cutoff), "a reply that fits whole was left out"


def next_reply_end(labels: list[int], start: int) -> int:
    """Where the first reply after ``start`` ends."""
    pairs = zip_longest(labels, labels[1:], fillvalue=IGNORE)
    return next(
        i + 1 for i, (one, after) in enumerate(pairs) if i >= start and one != IGNORE and after == IGNORE
    )
