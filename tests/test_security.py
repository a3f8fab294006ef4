"""What the code must not do with what comes from files, models and other people: rules over the whole tree."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
SOURCES = [ROOT / name for name in TRACKED if name.endswith(".py") and not name.startswith("tests/")]
SCRIPTS = [ROOT / name for name in TRACKED if name.endswith(".sh")]
RUN_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def calls(path: Path) -> list[tuple[str, dict[str, ast.expr], int]]:
    """(dotted name, keyword arguments, line) of every call in a source file."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), {k.arg: k.value for k in node.keywords if k.arg}, node.lineno) for node in found]


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


ALL_CALLS = [(path.relative_to(ROOT), *call) for path in SOURCES for call in calls(path)]


def test_the_rules_look_at_all_of_the_code():
    assert len(SOURCES) > 80 and len(SCRIPTS) > 20 and len(ALL_CALLS) > 3000


def imported_names(path: Path) -> list[str]:
    """Modules and the names taken from them; an exception's name alone loads nothing."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not all(alias.name.endswith("Error") for alias in node.names):
            found.append(node.module or "")
    return found


def test_nothing_that_runs_code_on_loading_is_read():
    """No pickle of any kind: weights are tensors, caches JSON and arrays."""
    assert [(path.name, name) for path in SOURCES for name in imported_names(path) if name.split(".")[0] in RUN_CODE] == []
    loads = [(path, given.get("weights_only"), line) for path, name, given, line in ALL_CALLS if name == "torch.load"]
    assert loads and [(path, line) for path, weights_only, line in loads if not is_true(weights_only)] == []
    assert [(path, line) for path, _, given, line in ALL_CALLS if is_true(given.get("allow_pickle"))] == []


def test_no_code_of_a_model_repository_is_run():
    assert [(path, line) for path, _, given, line in ALL_CALLS if is_true(given.get("trust_remote_code"))] == []


def test_no_string_becomes_a_command_or_code():
    """Programs are started by lists of arguments; nothing is evaluated."""
    forbidden = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "yaml.load"}
    assert [(path, line) for path, name, _, line in ALL_CALLS if name in forbidden] == []
    assert [(path, line) for path, _, given, line in ALL_CALLS if "shell" in given] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_shell_script_evaluates_text(script):
    text = "\n".join(line.partition(" #")[0] for line in script.read_text().split("\n") if not line.startswith("#"))
    assert not re.search(r"(^|[;&|(]\s*|\b(then|do|else)\s+)eval\s", text, re.MULTILINE)
    assert not re.search(r"\b(bash|sh) -c [\"']?.*\$", text)


def test_archives_are_unpacked_within_their_folder():
    unpacked = [(path, given, line) for path, name, given, line in ALL_CALLS if name.endswith(("extractall", ".extract"))]
    assert all(isinstance(given.get("filter"), ast.Constant) and given["filter"].value == "data" for _, given, _ in unpacked)


def test_servers_are_for_this_machine_alone_unless_told_otherwise():
    """FastChat's default is localhost; our scripts say 127.0.0.1, and nothing here listens everywhere."""
    texts = {path.name: path.read_text() for path in [*SOURCES, *SCRIPTS]}
    listening = re.compile(r"""(--host|host=|bind\(\()\s*["']?(0\.0\.0\.0|::)""")
    assert [name for name, text in texts.items() if listening.search(text)] == []
    started = re.findall(r"python -m (?:fastchat\.serve\.controller|eval_agent\.serve\.model_worker) .*", texts["serve.sh"])
    assert len(started) == 2 and all("--host 127.0.0.1" in line for line in started)
    assert "api_server --host 127.0.0.1 " in texts["serve_vllm.sh"]
