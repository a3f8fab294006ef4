"""The bar of a training run: steps, time left, loss and tokens per second."""

import time

from transformers import ProgressCallback


class Progress(ProgressCallback):
    """transformers' bar with figures at its end instead of a dictionary on a line for each logged step."""

    def __init__(self, tokens_seen):
        super().__init__()
        self.tokens_seen = tokens_seen  # () -> tokens of this process so far
        self.started = None

    def on_step_begin(self, args, state, control, **kwargs):
        self.started = self.started or time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        super().on_step_end(args, state, control, **kwargs)
        if self.training_bar is not None:
            rate = self.tokens_seen() * args.world_size / (time.perf_counter() - self.started)
            self._show(**{"tokens/s": f"{rate:.0f}"})

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.training_bar is not None and "loss" in (logs or {}):
            self._show(loss=f"{logs['loss']:.4f}")

    def _show(self, **figures):
        self.figures = {**getattr(self, "figures", {}), **figures}
        self.training_bar.set_postfix(self.figures)
