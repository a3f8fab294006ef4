"""What every run has beyond the Trainer: a loss that is checked, checkpoints known to be whole."""

import torch
from eval_agent.errors import InputError

from train.run_folder import checkpoint_folder, seal_checkpoint


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
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal_checkpoint(checkpoint_folder(self.args.output_dir, self.state.global_step))
