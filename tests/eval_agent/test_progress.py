"""Progress bars of real processes: lines in a pipe, a bar on a terminal; ours, and those of the libraries."""

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from tests.conftest import ROOT

BARS = """
import time
from eval_agent import progress
progress.SECONDS = 0.5
{imports}
with {bar}(total=200, desc="outer") as outer:
    for _ in {bar}(range(100), desc="inner", leave=False):
        time.sleep(0.02)
        outer.update(2)
        outer.set_postfix(loss=0.5)
        if outer.n == 100:
            outer.write("half")
"""
OURS = BARS.format(imports="from eval_agent.progress import tqdm", bar="tqdm")
LIBRARIES = """
import datasets, huggingface_hub.utils
from transformers.utils import logging
"""
LIBRARY_BARS = """
for bar in (datasets.utils.tqdm, huggingface_hub.utils.tqdm, logging.tqdm):
    for _ in bar(range(100), desc="work"):
        time.sleep(0.01)
"""
PROGRESS = """
import time
from eval_agent import progress
progress.SECONDS = 0.2
"""


def piped(program: str) -> list[str]:
    """The lines of a program's stderr and stdout, in a pipe."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)
    text = done.stdout.decode()  # text mode would hide carriage returns
    assert done.returncode == 0, text
    assert "\r" not in text and "\x1b" not in text
    return text.splitlines()


def on_terminal(program: str) -> str:
    """What a program writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while more := os.read(ours, 65536):
                said += more
        except OSError:  # how the end of a terminal reads on Linux
            pass
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


def shares(lines: list[str], name: str) -> list[int]:
    """"outer:  48%|..." as 48."""
    return [int(found[1]) for line in lines if (found := re.match(rf"{name}: +(\d+)%", line))]


def test_in_a_pipe_a_bar_is_a_line_now_and_then_and_one_at_the_end():
    lines = piped(OURS)
    outer, inner = shares(lines, "outer"), shares(lines, "inner")
    assert len(lines) == len(outer) + len(inner) + 1 and "half" in lines
    # two seconds and more, a line each half: 100 updates of both bars and as many figures are not 200 lines
    assert 3 <= len(outer) <= 12 and outer == sorted(set(outer)) and outer[-1] == 100
    assert inner
    assert all("loss=0.5" in line for line in lines if line.startswith("outer"))


def test_half_a_minute_passes_between_two_lines():
    lines = piped(OURS.replace("progress.SECONDS = 0.5", ""))
    assert shares(lines, "outer") == [100] and shares(lines, "inner") == []


@pytest.mark.parametrize("imports", [LIBRARIES + PROGRESS, PROGRESS + LIBRARIES], ids=["libraries first", "ours first"])
def test_the_libraries_bars_too(imports):
    lines = piped(imports + LIBRARY_BARS)
    found = shares(lines, "work")
    assert len(lines) == len(found) and found.count(100) == 3 and 6 <= len(found) <= 30


def test_a_bar_that_ends_by_an_error_says_how_far_it_came():
    program = "from eval_agent.progress import tqdm\ntry:\n for n in tqdm(range(4), desc='games'):\n  assert n < 3\n"
    assert shares(piped(program + "except AssertionError: pass"), "games") == [75]


def test_a_bar_that_waits_before_it_shows_says_nothing_of_short_work():
    assert piped("from eval_agent.progress import tqdm\nlist(tqdm(range(4), delay=1.0))") == []


def test_on_a_terminal_it_is_a_bar():
    said = on_terminal(OURS)
    assert said.count("\r") > 20 and "inner: " in said and "100%" in said


def test_nothing_else_imports_tqdm():
    files = [*ROOT.glob("*.py"), *(path for room in ("eval_agent", "train", "scripts") for path in ROOT.glob(f"{room}/**/*.py"))]
    found = [path.relative_to(ROOT) for path in files if re.search(r"^\s*(from|import) tqdm", path.read_text(), re.MULTILINE)]
    assert list(map(str, found)) == ["eval_agent/progress.py"]
