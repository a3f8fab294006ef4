"""What a person reads who mistypes a command."""

import pytest

from eval_agent.command_line import Parser, positive, positive_variable
from eval_agent.errors import InputError


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


def test_the_help_is_the_docstring_as_it_is_laid_out():
    about = "First line.\n\n    python -m module --flag\n"
    assert about.rstrip() in Parser(about).format_help()


def test_a_number_in_the_environment(monkeypatch):
    monkeypatch.setenv("NUM_WORKERS", "")
    assert positive_variable("NUM_WORKERS", 4) == 4
    monkeypatch.setenv("NUM_WORKERS", "8")
    assert positive_variable("NUM_WORKERS", 4) == 8
    monkeypatch.setenv("NUM_WORKERS", "0")
    with pytest.raises(InputError, match=r'\$NUM_WORKERS is "0", expected a positive whole number'):
        positive_variable("NUM_WORKERS", 4)
