"""What kill -9 at random moments costs: finished work lost or done again, and another result at the end (see the .sh).

    bash scripts/bench/faults.sh --kills 20 --only training
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import requests

from eval_agent.command_line import Parser
from eval_agent.files import read_json, write_json
from eval_agent.report.table import grid
from eval_agent.trajectories.episodes import RUN, SUMMARY, digest
from scripts.bench.knowledge import Handler, make_pair

PAIRS, LATENCY = 150, 0.1  # of synthesis: so many answers, each after so many seconds
EPOCHS, SAVE_STEPS = 4, 2  # of training
ADAPTERS = ("experienced_agent", "agent_model", "world_model")
Records = dict[str, str]  # what is finished, by name; the value changes when it is made again
SUPERSEDED = "by a later checkpoint"


@dataclass
class Work:
    """One kind of work: its command, which goes on where a killed one was, and what it leaves in its folder."""

    name: str
    command: Callable[[Path], list[str]]
    finished: Callable[[Path], Records]
    result: Callable[[Path], str]  # equal for equal results
    victim: "Server | None" = None  # what is killed in place of the command, and started again
    ready: Callable[[], None] = lambda: None  # waits until the command can be started anew


@dataclass
class Tally:
    """What the kills of one kind of work did."""

    kills: int = 0
    finished_before: int = 0  # records, summed over the kills
    lost: int = 0
    redone: int = 0
    results: int = 0
    equal: int = 0

    def compare(self, before: Records, after: Records) -> None:
        self.lost += sum(name not in after for name in before)
        self.redone += sum(after.get(name) not in (None, SUPERSEDED, value) for name, value in before.items())

    @property
    def row(self) -> list:
        return [self.kills, self.finished_before, self.lost, self.redone, f"{self.equal} of {self.results}"]


@dataclass
class Server:
    """A server on a port of its own that can be killed and started again in the same place."""

    module: str
    log: Path
    flags: list[str] = field(default_factory=list)
    port: int = 0
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", self.module, "--host", "127.0.0.1", "--port", str(self.port), *self.flags]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def start_work(work: Work, folder: Path) -> subprocess.Popen:
    work.ready()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        return subprocess.Popen(work.command(folder), stdout=log, stderr=log, start_new_session=True)


def finish(work: Work, folder: Path) -> str:
    """Run the command until it has ended well (exit code 1: something is left for the next one); the result."""
    for _ in range(10):
        code = start_work(work, folder).wait()
        if code == 0:
            return work.result(folder)
        if code != 1:
            break
    raise SystemExit(f"{work.name} ended with exit code {code}, see {folder}.log")


def campaign(work: Work, folder: Path, kills: int, rng: random.Random) -> Tally:
    """Kill ``work`` so often, each time between its start and the time that an undisturbed run took."""
    started = time.monotonic()
    expected = finish(work, folder / "undisturbed")
    seconds = time.monotonic() - started
    tally = Tally()
    while tally.kills < kills:
        shutil.rmtree(folder / "disturbed", ignore_errors=True)
        disturb(work, folder / "disturbed", kills, seconds, rng, tally)
        before = work.finished(folder / "disturbed")
        got = finish(work, folder / "disturbed")
        tally.compare(before, work.finished(folder / "disturbed"))
        tally.results += 1
        tally.equal += got == expected
    print(f"{work.name}: {seconds:.0f} s undisturbed; {tally}", flush=True)
    return tally


def disturb(work: Work, folder: Path, kills: int, seconds: float, rng: random.Random, tally: Tally) -> None:
    """Start the work, kill, look what is finished, start again; until it is done or was killed often enough."""
    process, before = start_work(work, folder), {}
    while tally.kills < kills:
        try:
            process.wait(rng.uniform(0, seconds))
            break
        except subprocess.TimeoutExpired:
            pass
        tally.kills += 1
        if work.victim is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:
            work.victim.kill()
        now = work.finished(folder)
        tally.compare(before, now)
        tally.finished_before += len(now)
        before = now
        if work.victim is None:
            process = start_work(work, folder)
        else:
            work.victim.start()
    process.wait()


def journal_lines(folder: Path) -> Records:
    """Finished answers of a synthesis: each key with the number of its lines in the journal."""
    path = folder / "pairs.json.journal.jsonl"
    whole = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    keys = [json.loads(line)["key"] for line in whole]
    return {key: str(keys.count(key)) for key in keys}


def file_identity(path: Path) -> str:
    status = path.stat()
    return f"{status.st_ino} {status.st_mtime_ns}"


def checkpoints(folder: Path) -> Records:
    """A training run's checkpoints up to the newest; only that one is kept, the others' work is in it."""
    there = {int(path.parent.name.split("-")[1]): file_identity(path) for path in folder.glob("checkpoint-*/files.json")}
    return {str(step): there.get(step, SUPERSEDED) for step in range(SAVE_STEPS, max(there, default=0) + 1, SAVE_STEPS)}


def episode_files(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*.json") if path.name not in (RUN, SUMMARY))
    return [path for path in files if read_json(path)["meta"]["finished"]]


def episodes(folder: Path) -> Records:
    return {path.stem: file_identity(path) for path in episode_files(folder)}


def dialogues(folder: Path) -> str:
    return json.dumps({path.stem: digest(read_json(path)) for path in sorted(episode_files(folder))})


def file_hash(name: str, folder: Path) -> str:
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


class Endpoint(ThreadingHTTPServer):
    """Says nothing of clients that were killed while they waited."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def synthesis(folder: Path) -> Work:
    endpoint = Endpoint(("127.0.0.1", 0), partial(Handler, LATENCY))
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    write_json(folder / "to_do.json", [make_pair(number) for number in range(PAIRS)])
    command = [
        sys.executable, "world_knowledge_build.py", "--dataset_path", str(folder / "to_do.json"), "--task", "alfworld",
        "--gen", "task_knowledge", "--model_name", "model", "--concurrency", "4",
        "--api_base", f"http://127.0.0.1:{endpoint.server_port}/v1",
    ]
    return Work("synthesis", lambda out: [*command, "--output_path", str(out / "pairs.json")], journal_lines,
                partial(file_hash, "pairs.json"))


def training(quickstart: Path) -> Work:
    command = [
        "accelerate", "launch", "--quiet", "--config_file", "configs/accelerate/single_config.yaml",
        "train/train_bash.py", "configs/train/tiny_lora_sft.json", "--dataset_dir", str(quickstart / "sft"),
        "--dataset", "agent_model.json", "--num_train_epochs", str(EPOCHS), "--save_steps", str(SAVE_STEPS),
    ]
    return Work("training", lambda out: [*command, "--output_dir", str(out)], checkpoints,
                partial(file_hash, "adapter_model.safetensors"))


def playing(name: str, controller: Server, config: Path, flags: list[str], victim: Server | None = None) -> Work:
    command = [
        sys.executable, "-m", "eval_agent.eto_multi_main_probs", "--agent_config", str(config),
        "--exp_config", "alfworld_demo", "--num_workers", "4", *flags,
    ]
    return Work(name, lambda out: [*command, "--output_dir", str(out)], episodes, dialogues, victim,
                partial(wait_until_served, controller))


def start_servers(quickstart: Path, folder: Path) -> tuple[Server, Server, Path]:
    """Controller, worker with the quickstart's adapters, and a model config with the controller's address."""
    controller = Server("fastchat.serve.controller", folder / "controller.log")
    controller.start()
    models = [flag for name in ADAPTERS for flag in
              ("--model-path", str(quickstart / "peft" / name), "--model-names", name)]
    worker = Server("eval_agent.serve.model_worker", folder / "worker.log")
    worker.flags = ["--device", "cpu", "--controller-address", controller.address, *models]
    worker.start()
    config = folder / "served.json"
    write_json(config, {"agent_class": "FastChatAgent", "config": {"model_name": None, "controller_address": controller.address}})
    return controller, worker, config


def wait_until_served(controller: Server) -> None:
    """A new controller hears of its worker at the next heartbeat: up to 45 s."""
    while True:
        try:
            if requests.post(f"{controller.address}/list_models", timeout=5).json()["models"]:
                return
        except requests.RequestException:
            pass
        time.sleep(0.5)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--quickstart", type=Path, required=True, help="folder of a finished quickstart")
    parser.add_argument("--kills", type=int, default=20, help="of each kind of work")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--only", help="one kind of work")
    parser.add_argument("--work_dir", type=Path, default=Path("outputs/bench/faults"), help="made anew")
    args = parser.parse_args()
    shutil.rmtree(args.work_dir, ignore_errors=True)
    args.work_dir.mkdir(parents=True)
    controller, worker, config = start_servers(args.quickstart, args.work_dir)
    plan = ["--split", "dev", "--agent_model_name", "agent_model", "--world_model_name", "world_model",
            "--state_base", str(args.quickstart / "state_base")]
    explore = ["--split", "train", "--agent_model_name", "experienced_agent"]
    works = [
        synthesis(args.work_dir), training(args.quickstart),
        playing("exploration", controller, config, explore), playing("evaluation", controller, config, plan),
        playing("worker", controller, config, plan, worker), playing("controller", controller, config, plan, controller),
    ]
    try:
        tallies = {
            work.name: campaign(work, args.work_dir / work.name, args.kills, random.Random(args.seed))
            for work in works if args.only in (None, work.name)
        }
    finally:
        worker.kill()
        controller.kill()
    report(tallies)


def report(tallies: dict[str, Tally]) -> None:
    """The table, then the JSON line."""
    head = ["killed", "kills", "records finished at them", "lost", "redone", "equal results"]
    print(grid(head, [[name, *tally.row] for name, tally in tallies.items()]))
    print(json.dumps({
        "kills": sum(tally.kills for tally in tallies.values()), "lost": sum(tally.lost for tally in tallies.values()),
        "redone": sum(tally.redone for tally in tallies.values()),
        "equal": all(tally.equal == tally.results for tally in tallies.values()),
    }))


if __name__ == "__main__":
    main()
