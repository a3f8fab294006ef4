"""scripts/doctor.sh on this machine as it is, and as it would be without one thing or another."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free

ROOT = Path(__file__).resolve().parents[2]
LINES = "python packages disk memory cores gpu java games indices ports endpoints caches".split()
QUIET = {"KNOWLEDGE_MODEL": "rules", "HF_HUB_OFFLINE": "1", "DEVICE": "cpu", "OUT": "", "SERVE_WORKERS": ""}


def doctor(folder: Path, *arguments: str, **variables: str) -> tuple[int, dict[str, str]]:
    """Exit code, and each line by its name: {"ports": "ok    ports     21001, 21020 are free"}."""
    done = subprocess.run(["bash", folder / "scripts" / "doctor.sh", *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **QUIET, **variables})
    assert done.stderr == ""
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    for name in ("disk", "memory"):
        if re.match(r"FAULT +\w+ +[\d.]+ GB free", lines.get(name, "")):
            pytest.skip(f"this machine is short of {name} just now")
    return done.returncode, lines


@pytest.fixture
def bare(tmp_path) -> Path:
    """The repository before anything is installed."""
    for name in ("scripts", "eval_agent", "requirements.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_a_line_each_and_exit_code_0_where_the_quickstart_runs(serve_ports):
    code, lines = doctor(ROOT)
    assert list(lines) == LINES and all(re.match(r"(ok|-|FAULT) +\w+ +\S", line) for line in lines.values())
    assert code == 0 and lines["packages"].startswith("ok") and lines["ports"] == "ok    ports     21001, 21020 are free"


def test_before_the_install(bare, serve_ports):
    code, lines = doctor(bare, "--task", "sciworld", PYTHON=sys.executable)
    assert code == 0 and list(lines) == LINES
    assert lines["packages"].startswith("-     packages  not installed; the quickstart does it")
    assert "outputs/quickstart-sciworld" in lines["disk"] and not (bare / "outputs").exists()


def test_what_the_quickstart_cannot_do_without(tmp_path, bare, serve_ports):
    (tmp_path / "file").write_text("")
    no_index = {"PYTHON": sys.executable, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull,
                "PIP_FIND_LINKS": "", "PIP_NO_INDEX": ""}
    for folder, variables, name, said in (
        (bare, {"PYTHON": "/nowhere/python"}, "python", "/nowhere/python is no Python 3.11: install it, or name one with PYTHON="),
        (bare, no_index, "packages", "not installed, and pip gets none: ERROR: No matching distribution found for tqdm=="),
        (ROOT, {"OUT": str(tmp_path / "file" / "out")}, "disk", "file/out: "),
        (ROOT, {"SERVE_WORKERS": "3"}, "ports", "21022 in use; bash scripts/10_serve.sh stop"),
    ):
        with socket.create_server(("127.0.0.1", 21022)):
            code, lines = doctor(folder, **variables)
        assert code == 1 and [line for line in lines.values() if line.startswith("FAULT")] == [lines[name]]
        assert said in lines[name]


def test_a_language_model_that_does_not_answer(serve_ports):
    if not free(8000):
        pytest.skip("something answers at port 8000 of this machine")
    code, lines = doctor(ROOT, KNOWLEDGE_MODEL="mistral")
    assert code == 1 and "(Connection refused) should serve KNOWLEDGE_MODEL=mistral; start its server" in lines["endpoints"]


def test_no_compiler(bare, serve_ports):
    (bare / "bin").mkdir()
    for tool in ("bash", "dirname", "awk", "ps", "sha256sum"):
        (bare / "bin" / tool).symlink_to(shutil.which(tool))
    code, lines = doctor(bare, PYTHON=sys.executable, PATH=str(bare / "bin"))
    assert code == 1 and lines["packages"].endswith("no C compiler to build them; apt-get install gcc libc6-dev")


def test_a_gpu_that_torch_cannot_use(tmp_path, serve_ports):
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch can use this machine's")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho Old GPU, 4096 MiB\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, lines = doctor(ROOT, PATH=path, DEVICE="")
    assert code == 1 and re.search(r"Old GPU, 4096 MiB, which torch \S+ cannot use; DEVICE=cpu", lines["gpu"])
    code, lines = doctor(ROOT, PATH=path, DEVICE="cpu")
    assert code == 0 and lines["gpu"] == "ok    gpu       Old GPU, 4096 MiB"


def test_what_only_the_paper_needs_is_no_fault(tmp_path, serve_ports):
    (tmp_path / "file").write_text("")
    nothing = {name: str(tmp_path / "none") for name in ("ALFWORLD_DATA", "SCIWORLD_INDICES", "WEBSHOP_DATA")}
    code, lines = doctor(ROOT, XDG_CACHE_HOME=str(tmp_path / "file"), **nothing)
    assert code == 0 and {name for name, line in lines.items() if line.startswith("-")} >= {"games", "indices", "caches"}
    assert lines["indices"].endswith("bash scripts/download_data.sh sciworld webshop")
    assert "file is a file" in lines["caches"] or "not a directory" in lines["caches"]
