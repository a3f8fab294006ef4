"""What every run has beyond the Trainer (a loss that is checked, checkpoints known to be whole), and SFT's own Trainer:
which conversations a step of packed rows holds, and their loss.
"""

import math
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Sampler
from transformers import Trainer

from eval_agent.errors import InputError
from train.encoding import IGNORE
from train.packing import attention_arguments, pack
from train.run_folder import checkpoint_folder, seal_checkpoint, writing

_NOTHING = {"input_ids": np.zeros(1, np.int32), "labels": np.full(1, IGNORE, np.int32), "where": ""}


class NonFiniteLoss(InputError):
    """The loss of a pass is NaN or infinite; the message names the step and the records."""


class SafeTrainer:
    """Goes before a Trainer class."""

    tokens_seen = 0  # by this process, since it started

    def check_finite(self, loss: torch.Tensor, where: list[str]) -> None:
        """Raise NonFiniteLoss for the records ``where`` of this pass unless ``loss`` is a number."""
        if not torch.isfinite(loss):
            records = "; ".join(name for name in where if name)
            raise NonFiniteLoss(
                f"the loss is {loss.item()} in step {self.state.global_step + 1}, on these records: {records}"
            )

    def _save_checkpoint(self, model, trial):
        folder = checkpoint_folder(self.args.output_dir, self.state.global_step)
        try:
            with writing(folder):
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if self.is_world_process_zero():
                    seal_checkpoint(folder)
        except InputError:
            shutil.rmtree(folder, ignore_errors=True)  # on a full disk half a checkpoint is in the way
            raise


class StepSampler(Sampler[int]):
    """Indices of the conversations, step after step; ``seed`` and ``epoch()`` alone decide their order.

    A step's conversations are drawn at random without regard to how many devices and passes share them, so
    that one process and several train the same steps. Within a step they are dealt out by length,
    ``per_pass`` to each of its ``passes`` (accumulated ones times devices), so that all passes have about
    as many tokens. The last step of an epoch is filled up with index ``len(lengths)``, an example of
    nothing.

    transformers' own samplers draw from the global generator, and accelerate tells a sampler epoch 0 where
    it skips the batches before a checkpoint: a resumed run would not repeat the order.
    """

    def __init__(self, lengths: list[int], per_pass: int, passes: int, seed: int, epoch: Callable[[], int]):
        self.lengths = torch.tensor([*lengths, 0])
        self.passes = passes
        self.per_step = per_pass * passes
        self.seed = seed
        self.epoch = epoch

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil((len(self.lengths) - 1) / self.per_step)

    def __len__(self) -> int:
        return self.steps * self.per_step

    def __iter__(self) -> Iterator[int]:
        n = len(self.lengths) - 1
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        filled = torch.cat([torch.randperm(n, generator=generator), torch.full((len(self) - n,), n)])
        for step in filled.split(self.per_step):
            by_length = step[self.lengths[step].argsort(descending=True, stable=True)]
            rounds = by_length.view(-1, self.passes)  # each deals one conversation to each pass, to and fro
            rounds[1::2] = rounds[1::2].flip(1)
            yield from rounds.T.flatten().tolist()


class SftTrainer(SafeTrainer, Trainer):
    """Trainer whose training set is what :func:`train.encoding.encode_conversations` gives."""

    def __init__(self, *, args, train_dataset: list[dict], **kwargs):
        self.examples = train_dataset
        super().__init__(args=args, train_dataset=[*train_dataset, _NOTHING], data_collator=pack, **kwargs)
        self.model_accepts_loss_kwargs = True  # num_items_in_batch is used below

    def _get_train_sampler(self, train_dataset=None) -> Sampler:
        args = self.args
        sampler = StepSampler(
            lengths=[len(example["input_ids"]) for example in self.examples],
            per_pass=args.per_device_train_batch_size,
            passes=args.gradient_accumulation_steps * args.world_size,
            seed=args.seed if args.data_seed is None else args.data_seed,
            epoch=lambda: self.state.global_step // sampler.steps,
        )
        return sampler

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> torch.Tensor:
        """Cross-entropy summed over this pass's learnt tokens, over the learnt tokens of the whole step.

        Times the number of processes, whose gradients are averaged. Raises NonFiniteLoss.
        """
        where, lengths, labels = inputs.pop("where"), inputs.pop("lengths"), inputs.pop("labels")
        attention = self.model.config.get_text_config()._attn_implementation
        inputs.update(attention_arguments(lengths, attention, labels.device))
        logits = model(**inputs, use_cache=False).logits[0]
        smoothing = self.args.label_smoothing_factor
        loss = F.cross_entropy(logits.float(), labels, reduction="sum", label_smoothing=smoothing) / num_items_in_batch
        self.check_finite(loss, where)
        self.tokens_seen += sum(lengths)
        return loss * self.accelerator.num_processes
