"""Begin a tiny base with another one's weights: reading on and copying need not be learnt again."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, MistralForCausalLM


@torch.no_grad()
def take_over(folder: Path, model: MistralForCausalLM, tokenizer) -> int:
    """Copy what fits of the base in ``folder`` into ``model``; returns how many tokens both know.

    Layers have to be as many and as wide; of a wider MLP the strongest units are taken. Embeddings go by the token's
    text; what the other base does not know keeps its fresh embedding, scaled to the others' size.
    """
    other, known = MistralForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    for layer, source in zip(model.model.layers, other.model.layers, strict=True):
        layer.self_attn.load_state_dict(source.self_attn.state_dict())
        layer.input_layernorm.load_state_dict(source.input_layernorm.state_dict())
        layer.post_attention_layernorm.load_state_dict(source.post_attention_layernorm.state_dict())
        _take_units(source.mlp, layer.mlp)
    model.model.norm.load_state_dict(other.model.norm.state_dict())
    mine, theirs = model.get_input_embeddings().weight, other.get_input_embeddings().weight
    mine *= theirs.norm(dim=1).mean() / mine.norm(dim=1).mean()
    vocabulary = known.get_vocab()
    common = [(place, vocabulary[token]) for token, place in tokenizer.get_vocab().items() if token in vocabulary]
    for place, there in common:
        mine[place] = theirs[there]
    return len(common)


def _take_units(source, target) -> None:
    """The units of an MLP with the largest weights in and out."""
    strength = source.up_proj.weight.norm(dim=1) * source.down_proj.weight.norm(dim=0)
    units = strength.topk(target.up_proj.out_features).indices.sort().values
    target.up_proj.weight.copy_(source.up_proj.weight[units])
    target.gate_proj.weight.copy_(source.gate_proj.weight[units])
    target.down_proj.weight.copy_(source.down_proj.weight[:, units])
