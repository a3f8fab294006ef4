"""scripts/serve.sh with real servers: it says "served" when all names answer, and leaves nothing behind otherwise."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import SERVE_PORTS, free

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def serve_sh(tmp_path, serve_ports):
    """Runs the script with an OUT and a lock of its own, and stops what it started."""
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "agent_model").symlink_to(ROOT / "data" / "results" / "tiny" / "peft" / "agent_model")

    def run(*arguments, **variables) -> subprocess.CompletedProcess:
        own = {"OUT": str(tmp_path), "TMPDIR": str(tmp_path), "DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **own, **variables}
        return subprocess.run(["bash", ROOT / "scripts" / "serve.sh", *arguments], env=environment, capture_output=True,
                              text=True, timeout=300)

    yield run
    run("stop")


def test_start_twice_and_stop_behind_a_dead_proxy(serve_sh, tmp_path):
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "example.org"}
    started = serve_sh("start", "agent_model", "base", **proxies)
    assert (started.returncode, started.stderr) == (0, "")
    assert started.stdout.splitlines()[-1].startswith("served after")
    assert serve_sh("served", "agent_model", "base", **proxies).returncode == 0
    pids = (tmp_path / "logs" / "serve.pids").read_text()
    again = serve_sh("start", "agent_model")
    said = "error: a server runs already: http://localhost:21001 serves agent_model; stop it first (serve.sh stop"
    assert again.returncode == 2 and again.stderr.startswith(said)
    assert (tmp_path / "logs" / "serve.pids").read_text() == pids and serve_sh("served", "base").returncode == 0
    assert serve_sh("stop").returncode == 0
    assert all(map(free, SERVE_PORTS)) and not (tmp_path / "logs" / "serve.pids").exists()


def test_two_workers_share_the_memory_for_known_prompts(serve_sh, tmp_path):
    assert serve_sh("start", "base", SERVE_WORKERS="2").returncode == 0
    pids = (tmp_path / "logs" / "serve.pids").read_text().split()
    commands = [Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in pids]
    shares = [int(words[words.index("--prefix-cache-mb") + 1]) for words in commands if "--prefix-cache-mb" in words]
    assert len(shares) == 2 and 0 < sum(shares) <= psutil.virtual_memory().total / 2**20 / 3


def test_a_start_that_fails_says_why_and_leaves_nothing(serve_sh, tmp_path):
    failed = serve_sh("start", "agent_model", "nobody")
    assert failed.returncode == 2
    assert failed.stderr == f"error: --model-path {tmp_path}/peft/nobody: no such folder\n"
    assert all(map(free, SERVE_PORTS)) and not (tmp_path / "logs" / "serve.pids").exists()


def test_a_number_on_file_that_is_another_s_by_now_is_not_killed(serve_sh, tmp_path):
    stranger = subprocess.Popen(["sleep", "60"])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "serve.pids").write_text(f"{stranger.pid}\n")
    assert serve_sh("stop").returncode == 0 and stranger.poll() is None
    stranger.kill()
    stranger.wait()


VLLM = """#!{python}
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
words = sys.argv
if "--broken" in words:
    sys.exit("(EngineCore pid=7) ValueError: no memory\\nRuntimeError: Engine core initialization failed.")
begin = words.index("--lora-modules") + 1
names = ["base", *(json.loads(word)["name"] for word in words[begin:] if word.startswith("{{"))]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({{"data": [{{"id": name}} for name in names]}}).encode())
HTTPServer(("127.0.0.1", int(words[words.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def vllm_env(tmp_path):
    """In vLLM's place a server that is started the same way and lists what it was told to serve."""
    if not free(8000):
        pytest.skip("port 8000 is in use on this machine")
    folder = tmp_path / "vllm-env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(VLLM.format(python=sys.executable))
    (folder / "bin" / "python").chmod(0o755)
    (folder / "installed").write_text("vllm 0.32.0 cpu\n")
    return {"ENGINE": "vllm", "VLLM_ENV": str(folder), "RECIPE": "configs/train/tiny_official.json"}


def test_vllm_is_started_in_the_worker_s_place(serve_sh, vllm_env, tmp_path):
    started = serve_sh("start", "agent_model", "base", **vllm_env)
    assert (started.returncode, started.stderr) == (0, "")
    assert started.stdout.startswith("starting vLLM for: agent_model base") and "served after" in started.stdout
    assert serve_sh("served", "agent_model", "base", **vllm_env).returncode == 0
    assert serve_sh("served", "nobody", **vllm_env).returncode == 1
    again = serve_sh("start", "agent_model", **vllm_env)
    assert again.returncode == 2 and "a server runs already: http://localhost:8000/v1 serves agent_model" in again.stderr
    assert serve_sh("stop", COLUMNS="20").returncode == 0 and free(8000)


def test_vllm_that_does_not_start_says_the_root_cause(serve_sh, vllm_env, tmp_path):
    failed = serve_sh("start", "agent_model", **vllm_env, VLLM_FLAGS="--broken")
    assert failed.returncode == 1 and free(8000) and not (tmp_path / "logs" / "serve.pids").exists()
    cause, advice = failed.stderr.splitlines()
    assert cause.endswith("ValueError: no memory") and advice == f"error: vLLM ended, see {tmp_path}/logs/vllm.out"
    refused = serve_sh("start", "agent_model", **{**vllm_env, "RECIPE": "configs/train/gemma.json"})
    assert refused.returncode == 2 and 'chat format is "mistral_v02"' in refused.stderr
    many = serve_sh("start", "agent_model", **vllm_env, SERVE_WORKERS="2")
    assert many.returncode == 2 and many.stderr.startswith("error: SERVE_WORKERS is for our worker")


def test_bad_settings_are_one_line(serve_sh, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, variables, said in (
        (("start",), {}, "error: serve.sh start needs the names to serve, such as agent_model"),
        (("start", "base"), {"OUT": str(tmp_path / "file")}, f"error: OUT={tmp_path}/file: mkdir: "),
        (("start", "base"), {"ENGINE": "sglang"}, 'error: ENGINE is "sglang", expected fastchat or vllm'),
        (("begin",), {}, "usage: serve.sh start NAME... | served NAME... | stop"),
    ):
        done = serve_sh(*arguments, **variables)
        assert done.returncode == 2 and done.stderr.startswith(said) and done.stderr.count("\n") == 1


def test_a_port_that_something_else_holds_is_told(serve_sh):
    with socket.create_server(("127.0.0.1", 21001)):
        done = serve_sh("start", "agent_model")
    assert done.returncode == 2 and done.stderr.startswith("error: no FastChat controller: http://localhost:21001/")
