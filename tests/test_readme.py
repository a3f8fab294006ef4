"""What the READMEs tell people to type and to look at exists: scripts, programs and their flags, files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = ("configs", "eval_agent", "scripts", "train", "data/results")
_BESIDE = sorted(page for folder in _FOLDERS for page in (ROOT / folder).rglob("README.md"))
# a model card under peft/ shows the flags of its own time
PAGES = [ROOT / "README.md", *(page for page in _BESIDE if "peft" not in page.parts)]
RESULTS = ROOT / "data" / "results"
TEXT = "\n".join(page.read_text() for page in PAGES)
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
TOP = ("configs/", "data/results/", "data/tiny", "eval_agent/", "scripts/", "tests/", "train/")
# `python x.py ...`, `python -m x ...`, and `accelerate launch ... x.py ...`
PROGRAMS: dict[str, set[str]] = {}
for program, arguments in re.findall(r"(?:python|accelerate launch \S+ \S+) (-m \S+|\S+\.py)(.*)", BLOCKS):
    PROGRAMS.setdefault(program, set()).update(re.findall(r"(?<= )--\w[\w-]*", arguments.split("#")[0]))


def test_every_script_named_exists_and_parses():
    named = set(re.findall(r"\b(?:scripts/)?((?:bench/)?\w+\.sh)\b", TEXT))
    assert {"quickstart.sh", "test.sh", "12_table.sh", "bench/eval.sh"} <= named
    for name in named:
        subprocess.run(["bash", "-n", ROOT / "scripts" / name], check=True)


def test_the_quickstart_runs_every_numbered_step_in_order():
    script = (ROOT / "scripts" / "quickstart.sh").read_text()
    steps = re.findall(r"\b\d\d_\w+", script.split("for step in")[1])
    numbered = sorted(path.stem for path in (ROOT / "scripts").glob("[0-9]*.sh"))
    assert steps == numbered
    assert re.findall(r"^\| `(\d\d_\w+)\.sh`", TEXT, re.MULTILINE) == numbered


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_every_flag_shown_is_known(program):
    help_command = [sys.executable, *program.split(), "--help"]
    told = subprocess.run(help_command, cwd=ROOT, capture_output=True, text=True, check=True)
    # FastChat's logger takes over its programs' standard output
    assert PROGRAMS[program] <= set(re.findall(r"--\w[\w-]*", told.stdout + told.stderr))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_named_exists(page):
    """Links are relative to the page; `paths` in running text to the repository, NAME stands for any file."""
    text = page.read_text()
    links = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    quoted = re.findall(r"`([\w./-]+)`", text)
    paths = [ROOT / path for path in quoted if path.startswith(TOP) and "NAME" not in path]
    assert [str(path) for path in links + paths if not path.exists()] == []


def test_the_main_page_is_short():
    lines = PAGES[0].read_text().splitlines()
    assert len(lines) <= 160 and max(map(len, lines)) <= 120


@pytest.mark.parametrize("page", [PAGES[0], RESULTS / "README.md"], ids=["main", "results"])
def test_intervals_are_those_of_the_shipped_tables(page):
    def intervals(text):
        """Each "77.5 [71.1, 83.6]" as (77.5, 71.1, 83.6), however it is written there."""
        found = re.findall(r"([+-]?[\d.]+)%? \[([+-]?[\d.]+), ([+-]?[\d.]+)\]", text)
        return {tuple(round(float(number), 1) for number in triple) for triple in found}

    tables = [table for table in RESULTS.glob("tiny*/*.md") if table.name != "README.md"]
    shipped = intervals("".join(table.read_text() for table in tables))
    named = intervals(page.read_text().partition("## The quickstart")[0])  # whose games have no shipped table
    assert len(named) >= 10 and named <= shipped
