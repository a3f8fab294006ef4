"""Plays the runs of a plan that have no results yet: adapters, servers, one evaluation after the other.

Knows scripts/adapters.sh, scripts/serve.sh and the evaluation's command line. A fault costs the runs that it
concerns; the others go on, and the servers that were started here are stopped in every case.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from eval_agent.report.paper_model import PaperModel
from eval_agent.report.runs import PLAIN_BASE, UNIFIED, Plan, Run, state_base

_RUNNING_ALREADY = "running already"  # what serve.sh says of servers that somebody else started


class StepFailed(Exception):
    """A script ended with another exit code than 0."""


def play(plan: Plan, task: str | None = None) -> dict[str, str]:
    """Play what is missing of a plan, or of one task of it. Gives what went wrong, by name of the run."""
    pending = [run for run in plan.runs_of(task) if plan.missing(run)]
    failed: dict[str, str] = {}
    for name in plan.model.tasks:
        failed |= _play_task([run for run in pending if run.task == name], plan.model, name)
    return failed


def command_of(run: Run) -> list[str]:
    return [sys.executable, "-m", "eval_agent.eto_multi_main_probs", *run.arguments]


def _play_task(runs: list[Run], model: PaperModel, task: str) -> dict[str, str]:
    environment = _environment(model, task)
    without = _missing_adapters(runs, model, environment)
    failed = {run.name: f"no adapter {name}" for run in runs for name in run.served if name in without}
    runs = [run for run in runs if run.name not in failed]
    if not runs:
        return failed
    try:
        with _servers(runs, environment):
            for number, run in enumerate(runs, 1):
                print(f"\n== {run.name} (run {number} of {len(runs)})", flush=True)
                try:
                    _make_state_base(run, model, environment)
                    _call(command_of(run), environment)
                except StepFailed as error:
                    failed[run.name] = str(error)
    except StepFailed as error:
        failed |= {run.name: str(error) for run in runs}
    return failed


def _environment(model: PaperModel, task: str) -> dict[str, str]:
    """What scripts/settings.sh reads, for one task of the model."""
    return {**os.environ, **model.environment(task)}


def _names(runs: list[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.served))


def _missing_adapters(runs: list[Run], model: PaperModel, environment: dict[str, str]) -> set[str]:
    """Names that could not be trained; each is asked for alone, so that a fault does not stop the others."""
    missing = set()
    bases = ["world_model"] if any(run.plans for run in runs) else []  # its state base is made after it
    for name in dict.fromkeys([*_names(runs), *bases]):
        if name != PLAIN_BASE:
            try:
                if name == UNIFIED:  # from the data of every task's own world model
                    for task in model.tasks:
                        _call(["bash", "scripts/adapters.sh", "world_model"], _environment(model, task))
                _call(["bash", "scripts/adapters.sh", name], environment)
            except StepFailed as error:
                print(f"error: {error}", file=sys.stderr)
                missing.add(name)
    return missing


@contextmanager
def _servers(runs: list[Run], environment: dict[str, str]) -> Iterator[None]:
    """The models of ``runs`` served; servers that run already are used as they are and left running."""
    names = _names(runs)
    if not names:
        yield
        return
    try:
        command = ["bash", "scripts/serve.sh", "start", *names]
        started = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
        print(started.stderr, end="", file=sys.stderr)
        if started.returncode and _RUNNING_ALREADY not in started.stderr:
            raise StepFailed(f"{' '.join(command)}: exit code {started.returncode}")
        mine = started.returncode == 0
    except BaseException:
        _stop(environment)
        raise
    try:
        yield
    finally:
        if mine:
            _stop(environment)


def _stop(environment: dict[str, str]) -> None:
    subprocess.run(["bash", "scripts/serve.sh", "stop"], env=environment)


def _make_state_base(run: Run, model: PaperModel, environment: dict[str, str]) -> None:
    """A method with its own encoder: its base is made while the models are served, as wkm-hidden needs."""
    out = model.out(run.task)
    cache = state_base(out, run.encoder)
    if run.encoder and not (cache / "meta.json").exists():
        flags = {
            "--state_action_pair_path": str(out / "state_action_pair.json"),
            "--vector_cache_path": str(cache),
            "--exp_config": environment["EXP_CONFIG"],
            "--encoder": run.encoder,
            "--encoder_model": run.served[-1],
        }
        parts = [part for flag in flags.items() for part in flag]
        _call([sys.executable, "state_base_build.py", *parts], environment)


def _call(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment)
    if done.returncode:
        shown = " ".join(command[:4]) if command[0] == "bash" else " ".join(command[1:5])
        raise StepFailed(f"{shown}: exit code {done.returncode}")
