"""Hugging Face's Trainer with batches of similar length, in an order that a resumed run repeats."""

import math
from collections.abc import Callable, Iterator

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from transformers import Trainer

from train.sft_data import IGNORE

_BATCHES_SORTED_TOGETHER = 50


def pad_batch(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """``input_ids``, ``labels`` and a mask of ones [B, T]; rows are filled up on the right.

    The mask does not cover the padding: under causal attention no token sees what stands to its right, so
    padding, which has no loss, changes nothing, and a mask of ones lets PyTorch take its faster causal
    kernels. (Without any mask transformers 4 looks for packed sequences and builds one.)
    """

    def padded(name: str, value: int) -> torch.Tensor:
        rows = [torch.tensor(example[name]) for example in examples]
        return pad_sequence(rows, batch_first=True, padding_value=value)

    input_ids = padded("input_ids", 0)
    return {
        "input_ids": input_ids,
        "labels": padded("labels", IGNORE),
        "attention_mask": torch.ones_like(input_ids),
    }


class LengthGroupedSampler(Sampler[int]):
    """Indices in random order, but batches of ``batch_size`` neighbours have similar lengths.

    The order depends on ``seed`` and ``epoch()`` alone, so that a resumed run goes on with the very batches
    it has not seen: transformers' sampler of that name draws from the global generator, and accelerate
    tells a sampler epoch 0 where it skips the batches before a checkpoint. Batches are shuffled, so that
    the length does not fall in waves over the steps.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int, epoch: Callable[[], int]):
        self.lengths = torch.tensor(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        order = torch.randperm(len(self), generator=generator)
        chunks = order.split(self.batch_size * _BATCHES_SORTED_TOGETHER)
        ordered = [chunk[self.lengths[chunk].argsort(stable=True)] for chunk in chunks]
        batches = [batch for chunk in ordered for batch in chunk.split(self.batch_size)]
        short = batches[len(self) // self.batch_size :]  # stays last: elsewhere it would shift the others
        full = batches[: len(self) // self.batch_size]
        shuffled = [full[i] for i in torch.randperm(len(full), generator=generator)]
        yield from torch.cat(shuffled + short).tolist()


class SftTrainer(Trainer):
    """Trainer whose training set is a list of ``{"input_ids", "labels"}``."""

    def _get_train_sampler(self, train_dataset=None) -> Sampler:
        lengths = [len(example["input_ids"]) for example in self.train_dataset]
        if not self.args.group_by_length:
            lengths = [0] * len(lengths)
        batch_size = self.args.train_batch_size * self.args.world_size
        steps = math.ceil(len(lengths) / (batch_size * self.args.gradient_accumulation_steps))
        return LengthGroupedSampler(
            lengths, batch_size, self.args.seed, lambda: self.state.global_step // steps
        )
