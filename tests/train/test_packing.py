"""Rows of conversations side by side: as if each stood alone, in loss and in gradient."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoConfig, AutoModelForCausalLM, GemmaConfig, LlamaConfig, MistralConfig

from eval_agent.errors import InputError
from train.encoding import IGNORE
from train.packing import PACKED, attention_for, pack

SMALL = dict(
    vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=64, pad_token_id=0,
)  # fmt: skip


def examples(lengths=(9, 30, 1, 17)) -> list[dict]:
    rng, made = np.random.default_rng(0), []
    for length in lengths:
        ids = rng.integers(5, 90, length).astype(np.int32)
        labels = np.where(rng.random(length) < 0.5, ids, IGNORE).astype(np.int32)
        made.append({"input_ids": ids, "labels": labels, "where": f"record {length}"})
    return made


@pytest.mark.parametrize("config", [MistralConfig, GemmaConfig, LlamaConfig])
def test_a_row_learns_what_its_conversations_learn_alone(config):
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(config(**SMALL), attn_implementation="eager")
    packed = AutoModelForCausalLM.from_config(config(**SMALL), attn_implementation=PACKED)
    packed.load_state_dict(plain.state_dict())

    alone = 0
    for example in examples():
        ids = torch.tensor(example["input_ids"], dtype=torch.int64)[None]
        labels = torch.tensor(example["labels"], dtype=torch.int64)
        alone += F.cross_entropy(plain(ids).logits[0, :-1], labels[1:], ignore_index=IGNORE, reduction="sum")
    alone.backward()

    row = pack(examples())
    labels, where = row.pop("labels"), row.pop("where")
    assert where == ["record 9", "record 30", "record 1", "record 17"]
    together = F.cross_entropy(packed(**row, use_cache=False).logits[0], labels, reduction="sum")
    together.backward()
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-4)
    for (name, one), other in zip(plain.named_parameters(), packed.parameters()):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4, msg=name)


def test_models_with_another_attention_are_refused(base_model):
    config = AutoConfig.from_pretrained(base_model)
    assert attention_for(config, 64, half_precision=False) == PACKED
    config.sliding_window = 32
    with pytest.raises(InputError, match="32 tokens only: --cutoff_len 64"):
        attention_for(config, 64, half_precision=False)
    config.attn_logit_softcapping = 50.0
    with pytest.raises(InputError, match="caps its attention"):
        attention_for(config, 16, half_precision=False)
