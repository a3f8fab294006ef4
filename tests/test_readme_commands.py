"""The main README's command lines, run as it prints them, in a copy of the repository.

The quickstart and the tests are what .ci/run calls. Commands that need a GPU or a download are run on a machine that has
neither: they say so in a sentence.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from alfworld_pairs import make_pairs

from eval_agent.demo.games import make_game, plan
from eval_agent.envs import ProcessEnv
from eval_agent.files import read_json, write_json
from tests.conftest import SERVE_PORTS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = [block.replace("\\\n", " ") for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)]
QUICKSTART, GPU, TABLES, RELEASE = ([" ".join(line.partition("  #")[0].split()) for line in block.strip().split("\n")]
                                    for block in BLOCKS)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The tracked files as they are now, with one unseen game and two pairs."""
    folder = tmp_path_factory.mktemp("clone") / "wkm"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).exists() and not name.startswith("data/results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (slot, *_) = [slot for slot in plan(seed=0) if slot.split == "valid_unseen"]
    with ProcessEnv("AlfWorldEnv") as env:
        make_game(env, slot, folder / "games" / "json_2.1.1")
    write_json(folder / "pairs.json", make_pairs())
    return folder


def environment(copy: Path) -> dict:
    """The tests' interpreter as "python", the game as ALFWorld's, and no way to any other machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SCIWORLD", "OPENAI"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    offline = {"HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,127.0.0.1"}
    return {**kept, **offline, "PATH": path, "ALFWORLD_DATA": str(copy / "games"), "OMP_NUM_THREADS": "1"}


def run(copy: Path, command: str, code: int = 0, **more: str) -> str:
    """Run a command line as printed; what it says, which is never a traceback."""
    done = subprocess.run(["bash", "-c", command], cwd=copy, env={**environment(copy), **more}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == code and "Traceback" not in done.stdout, f"{command}\n{done.stdout[-3000:]}"
    return done.stdout


def filled_in(command: str) -> str:
    """README: "paths and names filled in"."""
    return command.replace("/base/model/path", "data/tiny-mistral")


def test_the_readme_prints_what_is_run_here():
    assert len(BLOCKS) == 4
    assert [line.split()[1] for line in QUICKSTART] == ["scripts/quickstart.sh"] * 3 + ["scripts/test.sh"]
    assert [line.split()[0] for line in GPU] == ["bash", "export", "export", "bash"]
    assert [line.split()[1] for line in TABLES] == [f"scripts/{name}.sh" for name in ("table1", "paper", "reproduce_paper")]
    assert len(RELEASE) == 7


def test_the_quickstart_and_the_tests_are_the_gate_s():
    gate = (ROOT / ".ci" / "run").read_text()
    assert QUICKSTART[0] in gate and QUICKSTART[-1] in gate


def test_the_release_s_command_lines_run_one_after_another(copy, serve_ports):
    """knowledge, data, state base, two adapters, controller, worker, one game planned with the world model."""
    knowledge, data, base, train, controller, worker, evaluate = map(filled_in, RELEASE)
    run(copy, knowledge)
    run(copy, knowledge.replace("task_knowledge", "state_knowledge").replace("pairs_task", "pairs_state")
        .replace("pairs.json", "pairs_task.json"))
    for old, new in (("agent_model", "agent_model"), ("agent_model", "world_model")):
        run(copy, data.replace(old, new))
        run(copy, train.replace(old, new))
    run(copy, base)
    servers = [subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=copy, env=environment(copy), stderr=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL) for command in (controller, worker)]
    try:
        wait_for({"agent_model", "world_model"})
        said = run(copy, evaluate)
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    folder = re.search(r"^results in (\S+)$", said, re.MULTILINE).group(1)
    assert folder == "outputs/agent_model/alfworld_eval/test"
    summary = read_json(copy / folder / "summary.json")
    assert summary["games"] == 1 and summary["failures"] == []
    planned = run(copy, f"python -m eval_agent.report.decisions {folder}")
    assert "decisions of the planner in 1 finished games" in planned


def wait_for(models: set[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if models <= set(requests.post(f"http://localhost:{SERVE_PORTS[0]}/list_models", timeout=5).json()["models"]):
                return
        except requests.RequestException:
            pass
        time.sleep(0.3)
    raise AssertionError("the worker did not register")


def test_a_table_command_lists_its_runs(copy):
    said = run(copy, TABLES[0])
    assert re.search(r"alfworld/test +wkm +1 episodes +missing", said)


def test_what_needs_a_7b_model_or_a_download_says_so_where_there_is_none(copy, tmp_path):
    nothing_here = {"HOME": str(tmp_path), "ALFWORLD_DATA": str(tmp_path)}
    said = run(copy, TABLES[1], code=1, **nothing_here)
    assert "cannot be played: sciworld/dev: data/downloads/sciworld/dev_indices.json: no such index file" in said
    assert "wrote outputs/paper/mistral-7b/fig3" in said  # with what the paper has
    said = run(copy, TABLES[2], code=2, **nothing_here)
    assert "hours" in said and "error: not everything came" in said
    assert "error: not everything came" in run(copy, GPU[0], code=2, **nothing_here)
    assert "no such folder" in run(copy, "; ".join(GPU[1:]), code=2, **nothing_here)
