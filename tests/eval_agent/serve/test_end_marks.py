"""A special token as stop string leaves no text to be found in: its id ends the answer."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from eval_agent.serve.engine import Engine
from eval_agent.serve.generation import generate_stream
from tests.train.backbones import make_backbone


@pytest.fixture(scope="module")
def engine():
    """A model that says <|im_start|> whatever it is told; its tokenizer's EOS is another token."""
    tokenizer = make_backbone("Qwen2.5")
    said = tokenizer.convert_tokens_to_ids("<|im_start|>")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=64,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.model.embed_tokens.weight.fill_(1)
        model.model.norm.weight.fill_(1)
        model.lm_head.weight[said] = 1
    return Engine(model, tokenizer, {"base": None}, 64, 0)


@pytest.mark.parametrize("stop, tokens, reason", [(["<|im_start|>"], 0, "stop"), (["assistant"], 5, "length")])
def test_an_added_token_stops_by_its_id(engine, stop, tokens, reason):
    request = {"prompt": "Find a mug.", "temperature": 0.0, "max_new_tokens": 5, "echo": False, "stop": stop}
    *_, answer = generate_stream(engine, request, 2, None)
    assert answer["text"] == "" and answer["finish_reason"] == reason
    assert answer["usage"]["completion_tokens"] == tokens
