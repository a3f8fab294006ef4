"""Real servers for tests: FastChat's controller and workers as processes on free ports."""

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import transformers

from eval_agent.files import write_json

ROOT = Path(__file__).resolve().parents[2]
CONTROLLER, STOCK, WORKER = (
    "fastchat.serve.controller", "fastchat.serve.model_worker", "eval_agent.serve.model_worker",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One server process."""

    address: str
    process: subprocess.Popen
    log: Path
    controller: str | None = None  # where it registers, if it does

    def _is_up(self, route: str, method: str) -> bool:
        """Whether it answers and, if it is a worker, its controller knows it, which comes a moment later."""
        if not requests.request(method, self.address + route, json={}, timeout=5).ok:
            return False
        beat = {"worker_name": self.address, "queue_length": 0}
        known = self.controller and requests.post(f"{self.controller}/receive_heart_beat", json=beat, timeout=5)
        return not self.controller or known.json()["exist"]

    def wait(self, route: str, method: str = "post", seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self._is_up(route, method):
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"no answer from {self.address}:\n{self.log.read_text()[-3000:]}")


@dataclass
class Servers:
    """Starts servers of one controller, and stops them all at the end."""

    logs: Path
    started: list[Server] = field(default_factory=list)

    def start(self, module: str, *flags: str) -> Server:
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        if "model_worker" in module:
            places = ("--controller-address", self.controller.address, "--worker-address", address)
            flags = ("--device", "cpu", *places, *flags)
        log = self.logs / f"{port}.log"
        # fastchat writes its own log files into LOGDIR, none where it is empty
        python_path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "LOGDIR": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": python_path}
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), *flags],
                stdout=output, stderr=subprocess.STDOUT, cwd=self.logs, env=environment,
            )
        registers = "model_worker" in module and "--no-register" not in flags
        server = Server(address, process, log, self.controller.address if registers else None)
        self.started.append(server)
        return server

    def start_controller(self) -> Server:
        self.controller = self.start(CONTROLLER)
        self.controller.wait("/test_connection", "get")
        return self.controller

    def stop(self) -> None:
        for server in self.started:
            server.process.kill()
            server.process.wait()


@dataclass
class Served:
    """``worker`` serves both adapters and the base; ``stock`` is FastChat's own, with one adapter."""

    servers: Servers
    controller: str
    worker: Server
    stock: Server

    def ask(self, route: str, **request) -> dict:
        """POST to our worker."""
        return requests.post(self.worker.address + route, json=request, timeout=60).json()

    def need_stock(self) -> str:
        """Address of FastChat's own worker once it is up; skips where it cannot start."""
        if int(transformers.__version__.split(".")[0]) >= 5:
            pytest.skip("FastChat 0.2.36's own worker does not start under transformers 5")
        self.stock.wait("/worker_get_status")
        return self.stock.address


def trained_with(template: str, adapters, tmp_path_factory) -> Path:
    """A copy of agent_model as checkpoint-2 of a training run with this chat format."""
    folder = tmp_path_factory.mktemp("trained")
    write_json(folder / "run_settings.json", {"template": template})
    return shutil.copytree(adapters["agent_model"], folder / "checkpoint-2")


@pytest.fixture(scope="session")
def served(base_model, adapters, tmp_path_factory):
    """agent_model, world_model, base and gemma_agent from one worker, stock_agent from a stock worker.

    stock_agent and gemma_agent are agent_model; gemma_agent lies in a training run's checkpoint-2 and claims to have
    been trained in Gemma's chat format.
    """
    servers = Servers(tmp_path_factory.mktemp("logs"))
    try:
        controller = servers.start_controller()
        paths = {**adapters, "base": base_model, "gemma_agent": trained_with("gemma", adapters, tmp_path_factory)}
        flags = [flag for name in paths for flag in ("--model-path", str(paths[name]), "--model-names", name)]
        worker = servers.start(WORKER, *flags)
        adapter = str(adapters["agent_model"])
        stock = servers.start(STOCK, "--model-path", adapter, "--model-names", "stock_agent")
        worker.wait("/worker_get_status")
        yield Served(servers, controller.address, worker, stock)
    finally:
        servers.stop()
