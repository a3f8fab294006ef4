"""The download step: what it says offline, and that a broken or missing file is found."""

import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eval_agent.errors import InputError
from eval_agent.files import file_digest
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
def serve_folder(tmp_path):
    """Starts web servers over folders: ``serve_folder(handler) -> address``."""
    started = []

    def start(handler) -> str:
        started.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_sciworld_files_are_fetched_once_and_checked_by_their_hash(serve_folder, tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "dev_indices.json").write_text('[["task-1-boil", 14]]')
    files = {"dev_indices.json": file_digest(folder / "dev_indices.json")}
    address = serve_folder(partial(SimpleHTTPRequestHandler, directory=folder))
    target = fetch_sciworld(tmp_path / "data", address, files)
    assert (target / "dev_indices.json").read_bytes() == (folder / "dev_indices.json").read_bytes()
    (folder / "dev_indices.json").write_text('[["task-1-boil", 15]]')
    assert fetch_sciworld(tmp_path / "data", address, files) == target  # it is there
    (target / "dev_indices.json").write_text("[]")
    with pytest.raises(InputError, match="dev_indices.json: is not the published file"):
        fetch_sciworld(tmp_path / "data", address, files)
    (target / "dev_indices.json").unlink()
    with pytest.raises(InputError, match="is not the published file .* not kept"):
        fetch_sciworld(tmp_path / "data", address, files)
    assert not list(target.iterdir())
    (folder / "dev_indices.json").unlink()
    with pytest.raises(InputError, match="404"):
        fetch_sciworld(tmp_path / "data", address, files)


def test_the_hashes_are_those_of_the_published_files(sciworld_indices):
    assert {name: file_digest(sciworld_indices / name) for name in SCIWORLD_FILES} == SCIWORLD_FILES


GOOD = b'[{"id": 1}]'


class Hub(BaseHTTPRequestHandler):
    """A hub with one data set of two files: what it says of "flipped.json" is not what it sends."""

    sent = {"small.json": GOOD, "flipped.json": GOOD.replace(b"1", b"2")}
    etags = {"small.json": hashlib.sha1(b"blob 11\0" + GOOD).hexdigest(), "flipped.json": hashlib.sha256(GOOD).hexdigest()}

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if self.path.startswith("/api/"):
            content = json.dumps({"id": "zjunlp/pairs", "sha": "a" * 40, "siblings": [{"rfilename": n} for n in self.sent]}).encode()
        else:
            content = self.sent[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        if name in self.etags:
            self.send_header("ETag", f'"{self.etags[name]}"')
            self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


def test_a_file_that_is_not_what_the_hub_says_is_removed(serve_folder, tmp_path):
    program = f"""if True:
        from pathlib import Path
        from eval_agent.trajectories.download import fetch_from_hub
        fetch_from_hub("zjunlp/pairs", Path({str(tmp_path)!r}), "dataset")"""
    environment = {"HF_ENDPOINT": serve_folder(Hub), "HF_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "flipped.json: did not come as the hub has it" in run.stderr
    assert (tmp_path / "pairs" / "small.json").read_bytes() == GOOD
    assert not (tmp_path / "pairs" / "flipped.json").exists()
