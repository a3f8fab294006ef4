"""What the README tells people to type exists: scripts, programs and their flags."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OTHERS = [*ROOT.glob("configs/*/README.md"), *ROOT.glob("data/results/*/README.md")]
README = "".join(path.read_text() for path in [ROOT / "README.md", *OTHERS])
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
# `python x.py ...`, `python -m x ...`, and `accelerate launch ... x.py ...`
PROGRAMS = {
    program: set(re.findall(r"(?<= )--\w[\w-]*", arguments.split("#")[0]))
    for program, arguments in re.findall(r"(?:python|accelerate launch \S+ \S+) (-m \S+|\S+\.py)(.*)", BLOCKS)
}


def test_every_script_named_exists_and_parses():
    named = set(re.findall(r"\b(?:scripts/)?((?:bench/)?\w+\.sh)\b", README))
    assert {"quickstart.sh", "test.sh", "12_table.sh", "bench/eval.sh"} <= named
    for name in named:
        subprocess.run(["bash", "-n", ROOT / "scripts" / name], check=True)


def test_the_quickstart_runs_every_numbered_step_in_order():
    steps = re.findall(r"\b\d\d_\w+", (ROOT / "scripts" / "quickstart.sh").read_text().split("for step in")[1])
    numbered = sorted(path.stem for path in (ROOT / "scripts").glob("[0-9]*.sh"))
    assert steps == numbered
    assert [name for name in re.findall(r"^\| `(\d\d_\w+)\.sh`", README, re.MULTILINE)] == numbered


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_every_flag_shown_is_known(program):
    help_command = [sys.executable, *program.split(), "--help"]
    told = subprocess.run(help_command, cwd=ROOT, capture_output=True, text=True, check=True)
    # FastChat's logger takes over its programs' standard output
    assert PROGRAMS[program] <= set(re.findall(r"--\w[\w-]*", told.stdout + told.stderr))
