"""The loss on conversations held out: that of the replies' tokens, of each conversation read by itself."""

import json

import pytest
import torch

from eval_agent.agents.chat_templates import get_template
from tests.conftest import ROOT
from train import held_out
from train.base_model import load_tokenizer
from train.data import data_sets, read_conversations
from train.held_out import BASE, load, mean_loss
from train.token_cache import encode_conversations

TINY = str(ROOT / "data" / "tiny-mistral")
TALKS = [
    ["Find a mug.", "OK", "Your task is to: cool a mug.", "Thought: I need a mug.\nAction: go to cabinet 3"],
    ["Find a pen.", "OK"],
]


@pytest.fixture
def data(tmp_path):
    records = [{"conversations": [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(talk)]}
               for talk in TALKS]
    (tmp_path / "held.json").write_text(json.dumps(records))
    return tmp_path


def test_it_is_the_mean_over_all_learnt_tokens(data):
    tokenizer, _ = load_tokenizer(TINY)
    conversations = read_conversations(data_sets("held.json", str(data)), None)
    examples, _ = encode_conversations(conversations, tokenizer, get_template("mistral_v02"), 2048)
    model = load(TINY, BASE)
    losses = []
    for example in examples:
        ids, labels = (torch.from_numpy(example[name]).long()[None] for name in ("input_ids", "labels"))
        with torch.inference_mode():
            logits = model(input_ids=ids, lengths=[ids.shape[1]], use_cache=False).logits
        losses += [-torch.log_softmax(logits[0, at - 1].float(), -1)[labels[0, at]].item()
                   for at in range(1, ids.shape[1]) if labels[0, at] != -100]
    assert len(losses) > 15
    assert mean_loss(model, examples) == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_each_adapter_has_a_line(data, monkeypatch, capsys):
    adapter = str(ROOT / "data" / "results" / "tiny" / "peft" / "experienced_agent")
    recipe = str(ROOT / "configs" / "train" / "tiny_official.json")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["held_out", "--recipe", recipe, "--dataset_dir", str(data), "--dataset", "held.json",
                                     BASE, adapter])
    assert held_out.main() == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [name for _, name in lines] == [BASE, adapter]
    assert lines[0][0] != lines[1][0] and all(float(loss) > 0 for loss, _ in lines)
