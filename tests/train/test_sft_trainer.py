"""Batches: padding that changes nothing, similar lengths, an order that depends on seed and epoch alone."""

import torch
from transformers import AutoModelForCausalLM

from train.sft_data import IGNORE
from train.sft_trainer import LengthGroupedSampler, pad_batch


def test_padding_changes_no_loss(base_model):
    model = AutoModelForCausalLM.from_pretrained(base_model)
    torch.manual_seed(0)
    examples = []
    for length in (9, 30, 17):
        ids = torch.randint(5, 300, (length,)).tolist()
        examples.append({"input_ids": ids, "labels": [IGNORE] * 4 + ids[4:]})
    batch = pad_batch(examples)
    assert batch["input_ids"].shape == batch["labels"].shape == (3, 30)
    with torch.no_grad():
        together = model(**batch, num_items_in_batch=1).loss
        alone = sum(model(**pad_batch([example]), num_items_in_batch=1).loss for example in examples)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def sampler(lengths, seed=1, epoch=0) -> LengthGroupedSampler:
    return LengthGroupedSampler(lengths, batch_size=4, seed=seed, epoch=lambda: epoch)


def test_batches_hold_similar_lengths_and_every_conversation_once():
    lengths = torch.randint(100, 2048, (1001,), generator=torch.Generator().manual_seed(0)).tolist()
    order = list(sampler(lengths))
    assert sorted(order) == list(range(1001)) and len(sampler(lengths)) == 1001
    longest = [max(lengths[i] for i in order[start : start + 4]) for start in range(0, 1001, 4)]
    assert 4 * sum(longest) < 1.05 * sum(lengths)  # a random order: 1.5 times
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_without_lengths_the_order_is_random():
    order = list(sampler([0] * 20))
    assert order != sorted(order) == list(range(20))


def test_order_depends_on_seed_and_epoch_alone():
    lengths = list(range(50))
    assert list(sampler(lengths)) == list(sampler(lengths))
    assert list(sampler(lengths)) != list(sampler(lengths, seed=2))
    assert list(sampler(lengths)) != list(sampler(lengths, epoch=1))
