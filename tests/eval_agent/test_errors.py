"""What a person sees of a fault: one line and an exit code."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

MAIN = """
from eval_agent.errors import InputError, exit_on_input_error
@exit_on_input_error
def main():
    {body}
main()
"""


def run(body: str, **more) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", MAIN.format(body=body)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **more)


@pytest.mark.parametrize("body, code, said", [
    ("raise InputError('a.json: is empty')", 2, "error: a.json: is empty\n"),
    ("open('/dev/null/x')", 2, "error: /dev/null/x: not a directory\n"),
    ("open('/nowhere', 'w').write(open('/no').read())", 2, None),
    ("raise OSError(28, 'No space left on device')", 2, "error: no space left on device\n"),
    ("raise OSError('of another kind')", 2, "error: of another kind\n"),
    ("raise KeyboardInterrupt", 130, "interrupted\n"),
    ("print('\\udcff')", 0, ""),
])
def test_one_line_and_an_exit_code(body, code, said):
    done = run(body)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and (said is None or done.stderr == said)


def test_a_fault_of_the_program_keeps_its_traceback():
    done = run("{}['key']")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_a_reader_that_went_away_is_no_fault():
    process = subprocess.Popen([sys.executable, "-c", MAIN.format(body="[print(n) for n in range(100_000)]")],
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
