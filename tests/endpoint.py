"""Local endpoints that answer like a language model's."""

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eval_agent.files import cache_key


class JsonHandler(BaseHTTPRequestHandler):
    """Takes and gives JSON, and logs nothing."""

    def read(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def page(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Endpoint(ThreadingHTTPServer):
    """For knowledge synthesis: /v1/models and /v1/chat/completions; ``answer(messages)``: a text, or a (status, message) error.

    An answer of None drops the connection, a dict is the whole body, bytes are a web page.
    ``most`` is the number of requests that were in flight at once.
    """

    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.requests: list[dict] = []
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.address = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(JsonHandler):
    server: Endpoint

    def do_GET(self):
        assert self.path == "/v1/models"
        self.reply(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

    def do_POST(self):
        assert self.path == "/v1/chat/completions"
        request = self.read()
        with self.server.lock:
            self.server.requests.append(request)
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        answer = self.server.answer(request["messages"])
        with self.server.lock:
            self.server.now -= 1
        if answer is None:
            return self.connection.close()
        if isinstance(answer, dict):
            return self.reply(200, answer)
        if isinstance(answer, bytes):
            return self.page(answer)
        if isinstance(answer, tuple):
            return self.reply(answer[0], {"error": {"message": answer[1]}})
        choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        self.reply(
            200, {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]}
        )


class Replay(ThreadingHTTPServer):
    """Gives a server's recorded answers to the same requests: entries of path, body (or its digest), status and answer.

    ``change(path, answer)``: an answer in its place, or a (status, message) error. Unknown requests are refused (418).
    """

    daemon_threads = True

    def __init__(self, recording: list[dict], change=None):
        super().__init__(("127.0.0.1", 0), ReplayHandler)
        self.known = {_known(entry["path"], entry.get("body")): entry for entry in recording}
        self.change = change or (lambda path, answer: answer)
        self.asked: list[tuple[str, dict]] = []
        self.address = f"http://127.0.0.1:{self.server_port}/v1"


class ReplayHandler(JsonHandler):
    server: Replay

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(self.read())

    def answer(self, body: dict | None):
        self.server.asked.append((self.path, body))
        entry = self.server.known.get(_known(self.path, body))
        if entry is None:
            return self.reply(418, {"error": {"message": f"{self.path}: no such request was recorded"}})
        answer = self.server.change(self.path, copy.deepcopy(entry["answer"]))
        if isinstance(answer, tuple):
            return self.reply(answer[0], {"error": {"message": answer[1]}})
        self.reply(entry["status"], answer)


def _known(path: str, body: dict | None) -> tuple[str, str]:
    return path, (body or {}).get("sha256") or cache_key(**(body or {}))
