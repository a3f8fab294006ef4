"""A port that is held before the model is loaded, and answers from then on: 503 until the worker is ready.

    sockets = listen("localhost", 21002)        # InputError where it is taken, before anything else is done
    with serving(app, sockets) as gate:         # in a thread of its own; every answer is 503
        ...                                     # load the model
        gate.open()                             # requests reach the app
"""

import asyncio
import errno
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil
import uvicorn
from fastapi.responses import JSONResponse
from fastchat.constants import ErrorCode

from eval_agent.errors import InputError

_BACKLOG = 2048
_MOST_BYTES = 2**26  # of a request's body: 64 MB, far more than any context holds
_LEAVING_SECONDS = 30  # for requests that are being answered while the worker ends


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that hold ``port`` on all addresses of ``host``. Raises InputError, naming who holds it if that shows."""
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise InputError(f"--host {host}: the name does not resolve") from None
    sockets: list[socket.socket] = []
    try:
        for family, *_, place in dict.fromkeys(places):
            with suppress(_NotHere):
                sockets.append(_hold(family, place))
    except InputError:
        for held in sockets:
            held.close()
        raise
    if not sockets:
        raise InputError(f"--host {host}: not an address of this machine")
    return sockets


class _NotHere(Exception):
    """An address of a kind that this machine does not have, such as ::1 without IPv6."""


def _hold(family: int, place: tuple) -> socket.socket:
    """Bound and listening: only that keeps others off the port."""
    try:
        held = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        raise _NotHere from None
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        held.bind(place)
        held.listen(_BACKLOG)
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _NotHere from None
        if error.errno == errno.EADDRINUSE:
            holder = _holder(place[1])
            raise InputError(f"--port {place[1]} is taken{holder}: stop that, or give another port") from None
        raise InputError(f"--port {place[1]}: {error.strerror}") from None
    return held


def _holder(port: int) -> str:
    """' by process 4711 (python -m ...)'; empty where the system does not tell."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f" by process {connection.pid} ({command[:100]})"
    return ""


class Gate:
    """An ASGI app before another one: it answers until that is ready, and lets only JSON objects through."""

    def __init__(self, app, ended: threading.Event):
        self._app, self._ended = app, ended
        self._open = False

    def open(self) -> None:
        self._open = True

    def wait(self) -> None:
        """Returns when the server has ended."""
        self._ended.wait()  # Thread.join forgets its thread where a signal's handler raises

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if not self._open:
            text = "the worker is loading its model"
            return await _refuse(503, ErrorCode.ENGINE_OVERLOADED, text)(scope, receive, send)
        if scope["method"] == "POST":
            body = await _body(receive)
            fault = _body_fault(body)
            if fault:
                return await fault(scope, receive, send)
            receive = _once(body or b"{}", receive)
        return await self._app(scope, receive, send)


async def _body(receive) -> bytes:
    parts, more, size = [], True, 0
    while more:
        message = await receive()
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
        if size <= _MOST_BYTES:
            parts.append(message.get("body", b""))
    return b"".join(parts) if size <= _MOST_BYTES else b" " * (_MOST_BYTES + 1)


def _body_fault(body: bytes) -> JSONResponse | None:
    if len(body) > _MOST_BYTES:
        return _refuse(413, ErrorCode.PARAM_OUT_OF_RANGE, f"a request has at most {_MOST_BYTES} bytes")
    try:
        sound = not body or isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        sound = False
    return None if sound else _refuse(400, ErrorCode.VALIDATION_TYPE_ERROR, "a request is one JSON object")


def _refuse(status: int, code: ErrorCode, text: str) -> JSONResponse:
    return JSONResponse({"text": text, "error_code": int(code)}, status)


def _once(body: bytes, receive):
    """The app's ``receive``: the body that was read already, then whatever comes (the client's leaving)."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay():
        return messages.pop() if messages else await receive()

    return replay


class _Server:
    def __init__(
        self, gate: Gate, ended: threading.Event, sockets: list[socket.socket], threads: int, **settings
    ):
        config = uvicorn.Config(gate, log_level="info", timeout_graceful_shutdown=_LEAVING_SECONDS, **settings)
        self._server, self._sockets, self._threads = uvicorn.Server(config), sockets, threads
        self._ended = ended
        threading.Thread(target=self._run, daemon=True, name="server").start()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ended.set()

    async def _serve(self) -> None:
        # asyncio's own pool has four threads more than the machine has cores: too few for a batch
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="request")
        asyncio.get_running_loop().set_default_executor(pool)
        await self._server.serve(sockets=self._sockets)

    def stop(self) -> None:
        self._server.should_exit = True
        self._ended.wait(_LEAVING_SECONDS + 5)


@contextmanager
def serving(app, sockets: list[socket.socket], threads: int, **settings):
    """Answer at ``sockets`` in a thread; gives a :class:`Gate` to open, and to wait for the server's end with.

    ``settings`` are uvicorn's. At the end requests that are being answered are finished.
    """
    ended = threading.Event()
    gate = Gate(app, ended)
    server = _Server(gate, ended, sockets, threads, **settings)
    try:
        yield gate
    finally:
        server.stop()
