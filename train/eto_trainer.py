"""ETO's second stage: TRL's DPO on (expert, failed) trajectories, from the SFT adapter on.

TRL masks everything before a completion; here the completion is a dialogue, so its collator is replaced by
one whose mask leaves out what the environment says, whose probability no policy is to change.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import torch
from torch.utils.data import Sampler
from transformers import TrainingArguments
from trl import DPOConfig, DPOTrainer

from train.arguments import SftArguments
from train.encoding import pad_pairs
from train.trainers import SafeTrainer


class PairSampler(Sampler[int]):
    """Pairs in an order that depends on ``seed`` and ``epoch()`` alone: a resumed run repeats it."""

    def __init__(self, n: int, seed: int, epoch: Callable[[], int]):
        self.n, self.seed, self.epoch = n, seed, epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        yield from torch.randperm(self.n, generator=generator).tolist()


class EtoTrainer(SafeTrainer, DPOTrainer):
    """DPO whose training set is what :func:`train.data.encode_pairs` gives."""

    def __init__(self, *, args: SftArguments, train_dataset: list[dict], **kwargs):
        config = dpo_config(args)
        super().__init__(args=config, train_dataset=train_dataset, data_collator=pad_pairs, **kwargs)

    def _prepare_dataset(self, dataset, *args):
        return dataset  # tokenised already

    def _get_train_sampler(self, train_dataset=None) -> Sampler:
        args = self.args
        per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        steps = -(-len(self.train_dataset) // per_step)
        seed = args.seed if args.data_seed is None else args.data_seed
        return PairSampler(len(self.train_dataset), seed, lambda: self.state.global_step // steps)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the trained adapter alone: transformers cannot resume where the reference lies beside it."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            shutil.rmtree(Path(output_dir or self.args.output_dir) / "ref", ignore_errors=True)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        where = inputs.pop("where")
        self.tokens_seen += int(inputs["attention_mask"].sum())
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self.check_finite(result[0] if return_outputs else result, where)
        return result


def dpo_config(args: SftArguments) -> DPOConfig:
    """The run's arguments as TRL takes them; lengths were cut before."""
    shared = {f.name: getattr(args, f.name) for f in fields(TrainingArguments) if f.init}
    return DPOConfig(**shared, beta=args.pref_beta, max_length=None)
