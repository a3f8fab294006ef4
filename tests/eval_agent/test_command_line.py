"""What a person reads who mistypes a command."""

import subprocess
import sys

import pytest

from eval_agent.command_line import Parser, positive, positive_variable
from eval_agent.errors import InputError
from tests.conftest import ROOT


@pytest.mark.parametrize("words, said", [
    (["--gama", "1"], "error: unknown argument --gama; did you mean --gamma? (--help lists the arguments)\n"),
    (["--gama=1"], "error: unknown argument --gama=1; did you mean --gamma? (--help lists the arguments)\n"),
    (["--moon"], "error: unknown argument --moon (--help lists the arguments)\n"),
    (["loose"], "error: unknown argument loose (--help lists the arguments)\n"),
    (["--workers", "0"], "error: argument --workers: expected a positive whole number (--help lists the arguments)\n"),
    (["--workers", "two"], "error: argument --workers: invalid positive value: 'two' (--help lists the arguments)\n"),
])
def test_a_fault_in_the_command_line_is_one_sentence(words, said, capsys):
    parser = Parser("Evaluate.")
    parser.add_argument("--gamma", type=float)
    parser.add_argument("--workers", type=positive)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(words)
    assert end.value.code == 2 and capsys.readouterr().err == said


ABOUT = """Plays games.

    python -m play --exp_config alfworld \\
        --seed 3

Exit code 1 where one is lost.
"""
HELP = """Plays games.

    python -m play --exp_config alfworld \\
        --seed 3

usage: python -m play --exp_config EXP_CONFIG [FOLDER] [--flag value ...]

must be given:
  --exp_config EXP_CONFIG
                        task config, a name in configs/task or a .json file:
                        its games

may be given:
  FOLDER                where they are (default: data)
  --seed SEED           of the order (default: 0)

how:
  --quick               the first only

Exit code 1 where one is lost.
"""


def test_the_help_has_an_example_first_and_every_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = Parser(ABOUT)
    parser.prog = "python -m play"
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--exp_config", required=True, help="its games")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default="data", help="where they are")
    parser.add_argument_group("how").add_argument("--quick", action="store_true", help="the first only")
    assert parser.format_help() == HELP


def test_the_help_names_the_program_as_it_was_typed():
    told = subprocess.run([sys.executable, "-m", "eval_agent.report.blind", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert "usage: python -m eval_agent.report.blind --exp_config EXP_CONFIG [--flag value ...]" in told.stdout


def test_a_number_in_the_environment(monkeypatch):
    monkeypatch.setenv("NUM_WORKERS", "")
    assert positive_variable("NUM_WORKERS", 4) == 4
    assert positive_variable("NUM_WORKERS", None) is None
    monkeypatch.setenv("NUM_WORKERS", "8")
    assert positive_variable("NUM_WORKERS", 4) == 8
    monkeypatch.setenv("NUM_WORKERS", "0")
    with pytest.raises(InputError, match=r'\$NUM_WORKERS is "0", expected a positive whole number'):
        positive_variable("NUM_WORKERS", 4)
