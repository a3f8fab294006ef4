"""The model that can copy: what followed a token before is its guess for what follows now, and training keeps that."""

import pytest
import torch
from tqdm import tqdm
from transformers import MistralConfig, MistralForCausalLM

from train.tiny_base.copying import CopyingHeads
from train.tiny_base.pretrain import Pretraining

WORDS = 300


def fresh(heads: int = 4) -> MistralForCausalLM:
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(
        vocab_size=WORDS, hidden_size=256, intermediate_size=64, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=heads, rope_theta=1e10, tie_word_embeddings=True,
    ))


def right(model, text: torch.Tensor, again: torch.Tensor) -> float:
    """Share of the tokens of ``again``, but for the first two, that are foreseen when it is read after ``text``."""
    with torch.no_grad():
        guesses = model(input_ids=torch.cat([text, again], 1)).logits[:, text.shape[1]:].argmax(-1)
    return (guesses[:, 1:-1] == again[:, 2:]).float().mean().item()


@pytest.fixture
def text() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.stack([torch.randperm(WORDS) for _ in range(4)])


def test_a_fresh_model_with_these_heads_copies_and_without_them_does_not(text):
    model = fresh()
    assert right(model, text, text) < 0.05
    CopyingHeads(model)
    assert right(model, text, text) > 0.95


def test_two_tokens_tell_more_than_one(text):
    """Every token stands at two places, before different ones: the token before it tells which is meant."""
    model = fresh()
    CopyingHeads(model)
    twice = torch.cat([text, text.flip(1)], 1)
    assert right(model, twice, text) > 0.9


def test_training_moves_the_rest_and_keeps_these(text, tmp_path):
    recipe = {"seed": 0, "learning_rate": 0.05, "weight_decay": 0.1, "warmup": 0.01, "decay": 0.5,
              "stages": [{"minutes": 1}], "copying_heads": True}
    model = fresh()
    training = Pretraining(model, recipe, tmp_path / "state.pt")
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    training.seconds = 5.0
    ids, labels = text[:, :20].tolist(), torch.randint(WORDS, (4, 20)).tolist()
    training._step(model, iter([(ids, labels)]), tqdm(disable=True))
    query, code = "model.layers.1.self_attn.q_proj.weight", "model.embed_tokens.weight"
    after = dict(model.named_parameters())
    assert torch.equal(before[query][:64], after[query][:64]) and not torch.equal(before[query], after[query])
    assert torch.equal(before[code][:, :64], after[code][:, :64]) and not torch.equal(before[code], after[code])

    training._save()
    again = fresh()
    Pretraining(again, recipe, tmp_path / "state.pt").copying.keep()
    assert all(torch.equal(weight, after[name]) for name, weight in again.named_parameters())


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="heads of 64"):
        CopyingHeads(fresh(heads=8))
