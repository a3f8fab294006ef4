"""ETO's DPO: what of a pair counts, and its loss against one worked out here."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.agents.chat_templates import get_template
from eval_agent.errors import InputError
from tests.train.test_train_bash import flags, losses, refused, same_weights, train
from train.data import DataSet, read_pairs
from train.encoding import encode_pairs, pad_pairs

PROMPT = ["Find things.", "OK", "Your task is to: cool a mug."]
GOOD = ["Action: go to cabinet 3", "Observation: a mug 1.", "Action: take mug 1"]
BAD = [
    "Action: go to cabinet 3",
    "Observation: a mug 1.",
    "Action: go to cabinet 2",
    "Observation: no",
    "Action: cool",
]


def turns(texts: list[str], first: int = 0) -> list[dict]:
    return [{"from": ("human", "gpt")[(i + first) % 2], "value": text} for i, text in enumerate(texts)]


@pytest.fixture
def data_dir(tmp_path):
    records = [
        {
            "id": f"mug {n}",
            "conversations": turns(PROMPT),
            "chosen": turns(GOOD, 1),
            "rejected": turns(BAD[: 2 * n + 1], 1),
        }
        for n in range(3)
    ]
    (tmp_path / "pairs.json").write_text(json.dumps(records))
    return tmp_path


def test_a_reply_with_loss_false_counts_on_neither_side(data_dir, base_model):
    tokenizer, template = AutoTokenizer.from_pretrained(base_model), get_template("mistral_v02")
    records = json.loads((data_dir / "pairs.json").read_text())
    records[2]["rejected"][2]["loss"] = False
    (data_dir / "pairs.json").write_text(json.dumps(records))
    examples, _ = encode_pairs(read_pairs([DataSet(data_dir / "pairs.json")], None), tokenizer, template, 512, 3072)
    ids, learnt = examples[2]["rejected"]
    runs = tokenizer.decode([token for token, counts in zip(ids, learnt) if counts]).split("</s>")
    assert [run.strip() for run in runs] == ["Action: go to cabinet 3", "Action: cool", ""]


def test_only_the_agents_turns_after_the_prompt_count(data_dir, base_model):
    tokenizer, template = AutoTokenizer.from_pretrained(base_model), get_template("mistral_v02")
    pairs = read_pairs([DataSet(data_dir / "pairs.json")], None)
    examples, report = encode_pairs(pairs, tokenizer, template, 512, 3072)
    assert (report.conversations, report.cut, report.skipped) == (3, 0, 0)
    ids, learnt = examples[2]["rejected"]
    runs = tokenizer.decode([token for token, counts in zip(ids, learnt) if counts]).split("</s>")
    assert [run.strip() for run in runs] == [
        "Action: go to cabinet 3",
        "Action: go to cabinet 2",
        "Action: cool",
        "",
    ]
    batch = pad_pairs(examples)
    assert (
        batch["input_ids"].shape
        == batch["completion_mask"].shape
        == (6, max(len(e[s][0]) for e in examples for s in ("chosen", "rejected")))
    )
    assert (
        batch["input_ids"][5, : len(ids)].tolist() == ids
        and batch["completion_mask"][5, : len(ids)].tolist() == learnt
    )
    assert batch["where"][2].endswith("record 2 (mug 2)")


def test_long_prompts_lose_their_beginning_and_long_targets_their_last_turns(data_dir, base_model):
    tokenizer, template = AutoTokenizer.from_pretrained(base_model), get_template("mistral_v02")
    pairs = read_pairs([DataSet(data_dir / "pairs.json")], None)
    whole, _ = encode_pairs(pairs, tokenizer, template, 512, 3072)
    ids, learnt = whole[2]["rejected"]
    start, second = (
        learnt.index(True),
        [i for i in range(len(ids)) if learnt[i] and not (learnt + [False])[i + 1]][1] + 1,
    )
    [*_, last], report = encode_pairs(pairs, tokenizer, template, 20, second - start)
    assert report.cut == 3
    assert last["rejected"] == ([ids[0], *ids[start - 19 : second]], [False, *learnt[start - 19 : second]])
    with pytest.raises(InputError, match="raise --max_target_len"):
        encode_pairs(pairs, tokenizer, template, 20, 3)


def log_probability(model, ids: list[int], learnt: list[bool]) -> torch.Tensor:
    """Of the learnt tokens, each given all before it."""
    logits = model(torch.tensor([ids])).logits[0]
    each = [F.log_softmax(logits[t - 1], -1)[ids[t]] for t in range(1, len(ids)) if learnt[t]]
    return torch.stack(each).sum()


def test_the_loss_is_dpos(base_model, data_dir, tmp_path, monkeypatch):
    sft = tmp_path / "sft"
    (tmp_path / "sft.json").write_text(json.dumps([{"conversations": turns(PROMPT + GOOD)}] * 2))
    train(monkeypatch, flags(base_model, data_dir, sft, dataset="sft.json", max_steps=2, learning_rate=0.1))
    argv = flags(
        base_model, data_dir, tmp_path / "eto", stage="dpo", dataset="pairs.json", adapter_name_or_path=sft,
        pref_beta=0.5, learning_rate=0.02, lr_scheduler_type="constant", warmup_ratio=0,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=1, max_steps=3, save_steps=1, template="mistral_v02",
    )  # fmt: skip
    train(monkeypatch, argv)

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    examples, _ = encode_pairs(
        read_pairs([DataSet(data_dir / "pairs.json")], None), tokenizer, get_template("mistral_v02"), 512, 3072
    )
    expected = []
    for folder in (sft, tmp_path / "eto" / "checkpoint-1", tmp_path / "eto" / "checkpoint-2"):
        policy = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), folder).eval()
        reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), sft).eval()
        with torch.no_grad():
            ratios = [
                [
                    log_probability(policy, *e[side]) - log_probability(reference, *e[side])
                    for side in ("chosen", "rejected")
                ]
                for e in examples
            ]
        expected.append(sum(-F.logsigmoid(0.5 * (good - bad)).item() for good, bad in ratios) / 3)
    assert expected[0] == pytest.approx(0.6931, abs=1e-4) and expected[2] < 0.6
    assert list(losses(tmp_path / "eto").values()) == pytest.approx(expected, abs=1e-3)

    assert not (tmp_path / "eto" / "ref").exists()  # a standard PEFT folder
    assert json.loads((tmp_path / "eto" / "train_results.json").read_text())["conversations"] == 3
    resumed = tmp_path / "resumed"  # as if killed in the third step
    shutil.copytree(tmp_path / "eto", resumed)
    shutil.rmtree(resumed / "checkpoint-3")
    (resumed / "train_results.json").unlink()
    train(monkeypatch, [*argv, "--output_dir", str(resumed)])
    assert same_weights(resumed, tmp_path / "eto")


def test_bad_pairs_are_named(base_model, data_dir, tmp_path, monkeypatch, capsys):
    argv = flags("/no/base", data_dir, tmp_path / "out", stage="dpo", dataset="pairs.json")
    good = json.loads((data_dir / "pairs.json").read_text())
    for change, message in (
        ({"chosen": []}, 'record 1: field "chosen" is missing or empty'),
        ({"rejected": turns(BAD)}, 'record 1: conversations + rejected: conversations[3].from is not "gpt"'),
        (
            {"conversations": turns(PROMPT[:2])},
            "record 1: conversations, the prompt, has to end with a human turn",
        ),
    ):
        (data_dir / "pairs.json").write_text(json.dumps([good[0], {**good[1], **change}]))
        assert message in refused(monkeypatch, capsys, argv)
