"""--help of every entry: an example first, every argument with its default, the same words for the same thing."""

import argparse
import importlib
import re
import sys
from pathlib import Path

import pytest

from eval_agent.command_line import WORDS, Parser

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [path for place in ("*.py", "eval_agent/**/*.py", "train/**/*.py", "scripts/**/*.py") for path in ROOT.glob(place)]
PARSERS = sorted(path for path in SOURCES if re.search(r"= _?Parser\(", path.read_text()))
ENTRIES = [path.relative_to(ROOT).with_suffix("") for path in PARSERS if path.parts[-2:] != ("train", "arguments.py")]
ENTRIES.append(Path("train/train_bash"))  # whose parser is in train/arguments.py
OTHER_WORDS = ("--output", "--out", "--out_dir", "--out_path", "--output_file", "--config", "--task_config", "--task_name",
               "--workers_num", "--n_workers", "--n_jobs", "--controller", "--model_dir")


class Asked(BaseException):
    """Carries an entry's parser out of it, as it is when the command line is read."""


def parser_of(entry: Path, monkeypatch) -> Parser:
    def stop(parser, *_, **__):
        raise Asked(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
    monkeypatch.setattr(sys, "argv", [f"{entry}.py"])
    module = importlib.import_module(".".join(entry.parts))
    with pytest.raises(Asked) as asked:
        module.main()
    return asked.value.args[0]


def test_all_entries_are_known():
    assert {"state_base_build", "eval_agent/eto_multi_main_probs", "eval_agent/serve/model_worker", "scripts/bench/eval",
            "train/tiny_base/pretrain"} <= set(map(str, ENTRIES)) and len(ENTRIES) > 30
    others = [path for path in SOURCES if "ArgumentParser(" in path.read_text() and path.name != "command_line.py"
              and "_Parser(Parser, HfArgumentParser)" not in path.read_text()]
    assert others == []


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_help(entry, monkeypatch):
    parser = parser_of(entry, monkeypatch)
    told = parser.format_help()
    above, usage, below = told.partition("\nusage: ")
    assert usage and re.match(r"\S.*\S\n\n    ", above, re.DOTALL)
    name = entry.name.replace("lucene", "check_lucene")
    runs = rf"(python|bash|accelerate launch) .*({'.'.join(entry.parts)}|{name}\.(py|sh))\b"
    example = above.partition("\n\n    ")[2]
    assert re.search(runs, example), f"no example of {entry} above the usage:\n{above}"
    assert all(len(line) <= 120 for line in example.splitlines())
    listed = rows(below)
    shown = {action.dest: action for actions in parser.grouped().values() for action in actions}
    shown = {dest: action for dest, action in shown.items() if action.help is not argparse.SUPPRESS}
    names = {action.option_strings[0] if action.option_strings else action.metavar: action for action in shown.values()}
    assert names and listed.keys() >= names.keys() and not names.keys() & set(OTHER_WORDS)
    for name, action in names.items():
        text = listed[name]
        assert len(text.split()) >= 2, f"{name} is not explained: {text}"
        assert text.startswith(WORDS.get(name, "")), f"{name} is called otherwise elsewhere: {text}"
        if action.nargs != 0 and action.default not in (None, "", []):
            assert "default" in text.lower(), f"the default of {name} is not shown: {text}"
    if len(shown) > 12:
        assert len(parser.grouped().keys() - {"must be given", "one of these must be given", "may be given"}) >= 2


def rows(told: str) -> dict[str, str]:
    """The text of each argument: {"--seed": "which games --limit takes (default: 0)"}."""
    found, name = {}, None
    for line in told.splitlines():
        if row := re.match(r"  (-*\w[\w-]*)(?:,? (?:\{.*?\}|[^a-z ]\S*| ?\.\.\.\]?))*(?:  +(.*)|$)", line):
            name, found[row[1]] = row[1], row[2] or ""
        elif name and re.match(r"      +\S", line):
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            name = None
    return found


def test_words_are_shared():
    """Each is of several entries; that each entry has them is tested above."""
    text = "\n".join(path.read_text() for path in PARSERS)
    assert all(len(re.findall(rf'add(?:_argument)?\("{name}"', text)) >= 2 for name in WORDS)
