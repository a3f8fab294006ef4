"""A name is published when it can be used, and only then: real controllers and real workers."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from eval_agent.agents.replies import WorkerStatus
from eval_agent.connection import ask
from eval_agent.errors import InputError
from eval_agent.serve.registration import Registration, check_namesakes, check_own_address
from tests.eval_agent.serving import CONTROLLER, WORKER, Servers, free_port

PROMPT = {"prompt": "[INST] a mug [/INST]", "temperature": 0.0, "max_new_tokens": 8, "echo": False}


def names(controller: str) -> set[str]:
    return set(requests.post(f"{controller}/list_models", timeout=5).json()["models"])


def wait_until(true, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not within time"
        time.sleep(0.1)


def status_of(worker) -> WorkerStatus:
    return ask(f"{worker.address}/worker_get_status", {}, WorkerStatus)


@pytest.fixture
def quick_heartbeats(monkeypatch):
    monkeypatch.setenv("FASTCHAT_WORKER_HEART_BEAT_INTERVAL", "1")


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


def start_worker(servers, adapter, *flags):
    worker = servers.start(WORKER, "--model-path", str(adapter), *flags)
    worker.wait("/worker_get_status")
    wait_until(lambda: flags[-1] in names(servers.controller.address))
    return worker


def test_a_second_worker_on_a_taken_port_never_registers_and_disturbs_nobody(served, adapters):
    before, port = names(served.controller), served.worker.address.rpartition(":")[2]
    second = served.servers.start(WORKER, "--model-path", str(adapters["agent_model"]), "--model-names", "second",
                                  "--port", port, "--worker-address", served.worker.address)
    texts = set()
    while second.process.poll() is None:
        texts.add(served.ask("/worker_generate", model="agent_model", **PROMPT)["text"])
        assert "second" not in names(served.controller) >= before  # the stock worker may still be starting
    holder = f"--port {port} is taken by process {served.worker.process.pid} "
    assert second.process.returncode == 2
    assert re.fullmatch(f"error: {holder}.*", second.log.read_text().strip())
    assert texts == {served.ask("/worker_generate", model="agent_model", **PROMPT)["text"]}
    assert "second" not in names(served.controller) >= before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_that_is_ended_finishes_its_requests_and_unregisters(servers, adapters, number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("these tests run under nohup, which a worker honours")
    controller = servers.start_controller().address
    worker = start_worker(servers, adapters["agent_model"], "--model-names", "mortal")
    ended = []

    def ask_long() -> str:
        request = {**PROMPT, "max_new_tokens": 300, "stop_token_ids": []}
        return requests.post(f"{worker.address}/worker_generate", json=request, timeout=60).json()["text"]

    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(ask_long)
        time.sleep(0.3)
        worker.process.send_signal(number)
        ended.append(worker.process.wait(60))
        assert len(text.result()) > 20
    assert ended == [128 + number] and "mortal" not in names(controller)
    assert "Traceback" not in worker.log.read_text()


def test_a_controller_that_was_started_anew_hears_of_the_worker(servers, adapters, quick_heartbeats):
    controller = servers.start_controller()
    start_worker(servers, adapters["agent_model"], "--model-names", "known")
    controller.process.kill()
    controller.process.wait()
    time.sleep(1.5)  # a heartbeat that nobody hears
    port = controller.address.rpartition(":")[2]
    again = servers.start(CONTROLLER, "--port", port)
    again.address = controller.address
    again.wait("/test_connection", "get")
    wait_until(lambda: "known" in names(controller.address))


def test_without_a_controller_nothing_is_loaded(adapters, tmp_path):
    servers = Servers(tmp_path)
    servers.controller = type("Nobody", (), {"address": f"http://127.0.0.1:{free_port()}"})
    worker = servers.start(WORKER, "--model-path", str(adapters["agent_model"]))
    assert worker.process.wait(90) == 2
    said = worker.log.read_text().strip()
    assert said.startswith(f"error: no controller at {servers.controller.address}") and "\n" not in said
    assert "Connection refused" in said


def test_workers_share_a_name_where_they_hold_the_same_weights(served, adapters):
    told = status_of(served.worker)
    other = "http://localhost:1"
    check_namesakes(served.controller, other, told.made_of)  # the same weights: a second worker for the same traffic
    check_namesakes(served.controller, other, {"new": "weights"})
    check_namesakes(served.controller, served.worker.address, {"agent_model": "retrained"})  # its own entry
    said = f'"agent_model" is served by {served.worker.address} already, from other weights'
    with pytest.raises(InputError, match=said):
        check_namesakes(served.controller, other, {"agent_model": told.made_of["world_model"]})


def test_names_with_equal_weights_have_equal_digests(served):
    digests = status_of(served.worker).made_of
    assert digests["agent_model"] == digests["gemma_agent"]  # a copy
    assert len({digests[name] for name in ("agent_model", "world_model", "base")}) == 3


def test_an_address_that_leads_elsewhere_is_not_registered(served):
    assert check_own_address(served.worker.address, status_of(served.worker).worker_id)
    assert not check_own_address("http://nowhere.invalid:1", "behind a mapping")  # the controller then looks for itself
    with pytest.raises(InputError, match="leads to another worker, which serves agent_model"):
        check_own_address(served.worker.address, "this one")
    with pytest.raises(InputError, match="does not lead to this worker: .*Connection refused"):
        check_own_address(f"http://127.0.0.1:{free_port()}", "this one")
    with pytest.raises(InputError, match="does not lead to this worker: .*HTTP 404"):
        check_own_address(served.controller + "/other", "this one")


class Worker:
    """What a registration asks of FastChat's worker."""

    def __init__(self):
        self.model_names = ["ghost"]

    def get_status(self):
        return {"model_names": self.model_names, "speed": 1, "queue_length": 0}

    def get_queue_length(self):
        return 0


def test_an_exception_after_registering_takes_the_name_back(served):
    with pytest.raises(RuntimeError, match="out of memory"):
        with Registration(served.controller, "http://localhost:1", Worker()):
            assert "ghost" in names(served.controller)
            raise RuntimeError("out of memory")
    assert "ghost" not in names(served.controller)
    time.sleep(0.2)
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}


def test_an_address_that_cannot_be_seen_from_here_is_looked_for_by_the_controller(served):
    with pytest.raises(InputError, match="does not reach this worker at --worker-address http://localhost:2"):
        Registration(served.controller, "http://localhost:2", Worker(), seen=False).__enter__()
    assert "ghost" not in names(served.controller)


def test_registering_where_no_controller_is_says_so():
    with pytest.raises(InputError, match="cannot register: .*Connection refused"):
        Registration(f"http://127.0.0.1:{free_port()}", "http://localhost:1", Worker()).__enter__()


def test_behind_a_proxy_loopback_is_asked_directly(served, adapters):
    """With a proxy that is dead and one of a kind that is not installed, status and a whole worker work as without."""
    environment = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
                   "ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    command = ["-m", "eval_agent.serve.status", "agent_model", "--controller_address", served.controller]
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{served.controller} serves agent_model\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        worker = served.servers.start(WORKER, "--model-path", str(adapters["agent_model"]), "--model-names", "proxied")
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        wait_until(lambda: "proxied" in names(served.controller), 60)
    worker.process.terminate()
    worker.process.wait()
