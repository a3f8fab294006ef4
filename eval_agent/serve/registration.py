"""A worker's entry at FastChat's controller: made when the worker answers, kept alive, and taken back."""

import logging
import threading

from fastchat.constants import WORKER_HEART_BEAT_INTERVAL
from fastchat.serve.base_model_worker import BaseModelWorker

from eval_agent.agents.replies import Address, Known, WorkerStatus
from eval_agent.connection import ConnectionFault, ask, is_loopback, send
from eval_agent.errors import InputError

_log = logging.getLogger("model_worker")
_SOON = 5  # seconds to the next heartbeat after one that failed


def check_own_address(address: str, worker_id: str) -> bool:
    """Whether ``address``, which the controller will give out, was seen to lead to the worker of this id.

    Behind a mapping (a container's port) that may not show from here, and only the controller can tell. Raises
    InputError where another server answers there, or on loopback none does.
    """
    try:
        found = ask(f"{address}/worker_get_status", {}, WorkerStatus)
    except ConnectionFault as fault:
        if fault.answered or is_loopback(address):
            raise InputError(f"--worker-address does not lead to this worker: {fault}") from None
        return False
    if found.worker_id != worker_id:
        names = ", ".join(found.model_names)
        raise InputError(f"--worker-address {address} leads to another worker, which serves {names}")
    return True


def check_namesakes(controller: str, address: str, made_of: dict[str, str]) -> None:
    """Several workers may serve one name, and share its requests, as long as they answer alike.

    ``made_of``: a digest of the weights by name. Raises InputError where a worker has other weights under one of them.
    """
    for name, digest in made_of.items():
        try:
            other = ask(f"{controller}/get_worker_address", {"model": name}, Address).address
            if not other or other.rstrip("/") == address:
                continue
            theirs = ask(f"{other}/worker_get_status", {}, WorkerStatus).made_of.get(name)
        except ConnectionFault as fault:  # of a worker that is gone
            _log.info(f"not compared: {fault}")
            continue
        if theirs and theirs != digest:
            raise InputError(
                f'"{name}" is served by {other} already, from other weights, and the controller would mix the two: '
                "stop that worker, or give another --model-names"
            )


class Registration:
    """A context in which the controller knows the ``worker`` at ``address``.

    A controller that was started anew hears of the worker with
    the next heartbeat. At the end, however that comes, it is told that no model is served there any more (it has no
    other way to strike a worker off), and forgets the address when heartbeats stay away.

    ``seen``: see :func:`check_own_address`; where it is False the controller is asked to look for itself.
    """

    def __init__(self, controller: str, address: str, worker: BaseModelWorker, seen: bool = True):
        self._controller, self._address, self._worker, self._seen = controller, address, worker, seen
        self._over = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> "Registration":
        try:
            self._register(with_status=self._seen)
            known = self._known()
        except ConnectionFault as fault:
            raise InputError(f"cannot register: {fault}") from None
        if not known:
            raise InputError(f"the controller does not reach this worker at --worker-address {self._address}")
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()
        return self

    def __exit__(self, *exception) -> None:
        self._over.set()
        with self._lock:  # not while a heartbeat registers anew
            self._worker.model_names = []  # for whoever asks while the last requests are answered
            try:
                self._register()
            except ConnectionFault as fault:
                _log.info(f"not unregistered: {fault}")

    def _register(self, with_status: bool = True) -> None:
        status = self._worker.get_status() if with_status else None  # without one the controller asks the address
        entry = {"worker_name": self._address, "check_heart_beat": True, "worker_status": status, "multimodal": False}
        send(f"{self._controller}/register_worker", entry)

    def _beat(self) -> None:
        wait = WORKER_HEART_BEAT_INTERVAL
        while not self._over.wait(wait):
            with self._lock:
                if self._over.is_set():
                    return
                wait = WORKER_HEART_BEAT_INTERVAL
                try:
                    if not self._known():
                        self._register()
                except ConnectionFault as fault:
                    _log.error(f"heartbeat: {fault}")
                    wait = min(_SOON, wait)

    def _known(self) -> bool:
        beat = {"worker_name": self._address, "queue_length": self._worker.get_queue_length()}
        return ask(f"{self._controller}/receive_heart_beat", beat, Known).exist
