"""The start that can copy: what followed a token before is its guess for what follows now."""

import torch
from transformers import MistralConfig, MistralForCausalLM

from train.tiny_base.copying import set_copying_heads

WORDS, LENGTH = 200, 40


def fresh() -> MistralForCausalLM:
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(
        vocab_size=WORDS, hidden_size=256, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, rope_theta=1e6, tie_word_embeddings=True,
    ))


def right(model) -> float:
    """Share of a random text's second reading that is foreseen, of tokens that came once in the first."""
    torch.manual_seed(1)
    text = torch.stack([torch.randperm(WORDS)[:LENGTH] for _ in range(8)])
    with torch.no_grad():
        guesses = model(input_ids=torch.cat([text, text], 1)).logits.argmax(-1)
    return (guesses[:, LENGTH:-1] == text[:, 1:]).float().mean().item()


def test_a_fresh_model_with_these_heads_copies_and_without_them_does_not():
    model = fresh()
    assert right(model) < 0.05
    set_copying_heads(model)
    assert right(model) > 0.3
