"""The download step: what it says offline, and that a broken or missing file is found."""

import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eval_agent.errors import InputError
from eval_agent.trajectories.download import SCIWORLD_FILES, check_data_set, fetch_sciworld

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}


def test_offline_everything_that_is_missing_is_named_with_what_to_do(tmp_path):
    command = [sys.executable, "-m", "eval_agent.trajectories.download", "pairs", "sciworld", "--output_dir", tmp_path]
    run = subprocess.run(command, cwd=ROOT, env=NOWHERE, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2
    assert "error: not everything came:" in run.stderr and "Traceback" not in run.stderr
    assert "pairs: zjunlp/WKM_pair_data: cannot be fetched" in run.stderr and "$HF_ENDPOINT" in run.stderr
    assert "sciworld: https://raw.githubusercontent.com/" in run.stderr and "copy the folder over" in run.stderr


def test_an_unknown_part_is_named():
    command = [sys.executable, "-m", "eval_agent.trajectories.download", "pears"]
    run = subprocess.run(command, cwd=ROOT, env=NOWHERE, capture_output=True, text=True)
    assert run.returncode == 2 and 'nothing is called "pears" here, expected some of' in run.stderr


def test_a_data_set_is_checked(tmp_path):
    with pytest.raises(InputError, match="no .json or .jsonl file in it"):
        check_data_set(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "alfworld.json").write_text('[{"id": 1}, {"id": 2}]')
    (tmp_path / "more.jsonl").write_text('{"id": 3}\n')
    assert check_data_set(tmp_path) == {"data/alfworld.json": 2, "more.jsonl": 1}
    (tmp_path / "more.jsonl").write_text('{"id": 3')  # as a broken download leaves it
    with pytest.raises(InputError, match="more.jsonl, line 1: malformed JSON"):
        check_data_set(tmp_path)


@pytest.fixture
def publisher(tmp_path):
    """Address and folder of a local web server with ScienceWorld's files."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, count in SCIWORLD_FILES.items():
        (folder / name).write_text(json.dumps([["task-1-boil", n] for n in range(count or 30)]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_sciworld_files_are_fetched_once_and_counted(publisher, tmp_path):
    address, folder = publisher
    target = fetch_sciworld(tmp_path / "data", address)
    assert len(json.loads((target / "dev_indices.json").read_text())) == 194
    (folder / "dev_indices.json").unlink()
    assert fetch_sciworld(tmp_path / "data", address) == target
    (target / "dev_indices.json").unlink()
    with pytest.raises(InputError, match="404"):
        fetch_sciworld(tmp_path / "data", address)
    (folder / "dev_indices.json").write_text("[]")
    with pytest.raises(InputError, match="dev_indices.json: 0 entries, expected 194"):
        fetch_sciworld(tmp_path / "data", address)
