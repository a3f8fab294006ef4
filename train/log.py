"""What a training run shows: its bar as it goes, trainer_log.jsonl, training_loss.png at the end."""

import json
import time
from pathlib import Path

import matplotlib
from transformers import ProgressCallback

from eval_agent.files import naming, write_text

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first: there may be no display)
from transformers import TrainerCallback  # noqa: E402


class LossLog(TrainerCallback):
    """Appends each logged step to trainer_log.jsonl; a resumed run first restores the lines it builds on."""

    def __init__(self, folder: Path):
        self.path = folder / "trainer_log.jsonl"

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            lines = [self._line(entry, state) for entry in state.log_history if "loss" in entry]
            write_text(self.path, "".join(lines))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and "loss" in (logs or {}):
            with naming(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(self._line({**logs, "step": state.global_step}, state))

    @staticmethod
    def _line(entry: dict, state) -> str:
        line = {"current_steps": entry["step"], "total_steps": state.max_steps, "loss": entry["loss"]}
        line.update(lr=entry["learning_rate"], epoch=entry["epoch"], grad_norm=entry.get("grad_norm"))
        return json.dumps(line) + "\n"


def smooth(values: list[float], weight: float = 0.9) -> list[float]:
    """Exponential moving average, each value divided by the weight it was given (no bias at the start)."""
    smoothed, total, mass = [], 0.0, 0.0
    for value in values:
        total = weight * total + (1 - weight) * value
        mass = weight * mass + (1 - weight)
        smoothed.append(total / mass)
    return smoothed


def plot_loss(log_history: list[dict], title: str, unit: str, path: Path) -> None:
    """Draw loss (raw and smoothed, in ``unit``) and learning rate over optimizer steps as a PNG."""
    entries = [entry for entry in log_history if "loss" in entry]
    steps, losses = [e["step"] for e in entries], [e["loss"] for e in entries]
    figure, axes = plt.subplots(figsize=(7, 4.5), constrained_layout=True)
    marker = "o" if len(steps) < 30 else ""  # a line of one point is not to be seen
    raw = axes.plot(steps, losses, color="tab:blue", alpha=0.35, label="loss", marker=marker)
    mean = axes.plot(steps, smooth(losses), color="tab:blue", label="loss, smoothed")
    axes.set(xlabel="optimizer step", ylabel=unit, title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    rates = axes.twinx()
    rate = rates.plot(
        steps,
        [e["learning_rate"] for e in entries],
        color="tab:orange",
        linestyle="--",
        label="learning rate",
    )
    rates.set_ylabel("learning rate")
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    rates.set_ylim(bottom=0)
    lines = raw + mean + rate
    axes.legend(lines, [line.get_label() for line in lines], loc="upper right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Progress(ProgressCallback):
    """transformers' bar with figures at its end instead of a dictionary on a line for each logged step."""

    def __init__(self, tokens_seen):
        super().__init__()
        self.tokens_seen = tokens_seen  # () -> tokens of this process so far
        self.started = None

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:
            self.training_bar.set_description("Training")

    def on_step_begin(self, args, state, control, **kwargs):
        self.started = self.started or time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        super().on_step_end(args, state, control, **kwargs)
        if self.training_bar is not None:
            rate = self.tokens_seen() * args.world_size / (time.perf_counter() - self.started)
            self._show(**{"tokens/s": f"{rate:.0f}"})

    def close(self):
        """End the bar's line where training ended early, so that what is said next has a line of its own."""
        if self.training_bar is not None:
            self.training_bar.close()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.training_bar is not None and "loss" in (logs or {}):
            self._show(loss=f"{logs['loss']:.4f}")

    def _show(self, **figures):
        self.figures = {**getattr(self, "figures", {}), **figures}
        self.training_bar.set_postfix(self.figures)
