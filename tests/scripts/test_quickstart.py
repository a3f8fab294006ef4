"""scripts/quickstart.sh around its steps: what it says, what it keeps, what it does where one fails.

The steps here only leave a file behind; the real ones are what .ci/run calls.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = sorted(path.stem for path in (ROOT / "scripts").glob("[0-9]*.sh"))


def head(name: str) -> list[str]:
    """A script's first lines, its comments."""
    lines = (ROOT / "scripts" / f"{name}.sh").read_text().splitlines()
    return lines[:next(number for number, line in enumerate(lines) if not line.startswith("#"))]


@pytest.fixture
def quickstart(tmp_path):
    """Runs the script among steps that do nothing; ``run(**{"04_pairs": 3})``: that one ends with exit code 3."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for name in ("eval_agent", "requirements.txt", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("help", "quickstart", "settings", "doctor"):
        (scripts / f"{name}.sh").symlink_to(ROOT / "scripts" / f"{name}.sh")

    def run(*arguments, **codes) -> subprocess.CompletedProcess:
        for name in ("install", *STEPS):
            body = f'echo "${{1:-start}}" >> "$OUT/{name}.ran"\nexit {codes.get(name, 0)}\n'
            (scripts / f"{name}.sh").write_text("\n".join([*head(name), body]))
        environment = {**os.environ, "OUT": str(tmp_path / "out"), "HF_HUB_OFFLINE": "1", "TASK": "alfworld"}
        return subprocess.run(["bash", scripts / "quickstart.sh", *arguments], env=environment, capture_output=True, text=True,
                              timeout=120)

    return run


def test_each_step_says_what_it_does_how_long_it_took_and_what_to_look_at(quickstart, tmp_path):
    first, out = quickstart(), tmp_path / "out"
    assert first.returncode == 0 and first.stderr == ""
    assert re.findall(r"^== (\w+)$", first.stdout, re.MULTILINE) == ["install", *STEPS]
    assert f"""
== 04_pairs
   Pairs of expert (chosen) and explored (rejected) trajectories of the same game.
   took 0 s; look at {out}/pairs.json
""" in first.stdout
    again = quickstart()
    assert re.findall(r"^== (\w+), \d+ s the last time$", again.stdout, re.MULTILINE) == ["install", *STEPS]
    rows = [line.split("\t") for line in (out / "times.tsv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["install", *STEPS] * 2 and all(row[1].isdigit() for row in rows)
    summary = again.stdout.split("== quickstart finished in ")[1]
    for name in ("table.md", "table.png", "viewer.html", "logs", "times.tsv"):
        assert f"{out}/{name}" in summary


def test_every_step_has_its_sentence_and_its_place():
    for name in STEPS:
        _, about, *more = head(name)
        assert re.match(r"# [A-Z].*\w", about) and re.match(r"# Look at: \$OUT/", more[-1]), name


def test_a_step_that_fails_ends_it_with_a_look_at_the_machine(quickstart, tmp_path):
    failed = quickstart(**{"05_task_knowledge": 3})
    out = tmp_path / "out"
    assert failed.returncode == 3 and "== quickstart finished" not in failed.stdout
    assert f"== 05_task_knowledge failed; servers say more in {out}/logs. This machine:" in failed.stderr
    assert len(re.findall(r"^(?:ok|-|FAULT) ", failed.stderr, re.MULTILINE)) == 12
    assert not (out / "06_state_knowledge.ran").exists()
    assert "stop" in (out / "10_serve.ran").read_text()
    assert "05_task_knowledge" not in (out / "times.tsv").read_text()


def test_a_step_that_a_person_stopped_is_no_fault_of_the_machine(quickstart):
    stopped = quickstart(**{"02_train_experienced_agent": 130})
    assert stopped.returncode == 130 and stopped.stderr == ""
