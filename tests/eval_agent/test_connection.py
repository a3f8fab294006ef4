"""What a request may meet instead of an answer: one sentence for each, and loopback past any proxy."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eval_agent.connection import ConnectionFault, Reply, ask, ask_loopback_directly, checked_address, is_loopback
from eval_agent.errors import InputError
from tests.eval_agent.serving import ROOT, free_port


class Greeting(Reply):
    hello: str


@contextmanager
def answering(status: int, body: str):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fault(url: str, seconds=3) -> ConnectionFault:
    with pytest.raises(ConnectionFault) as raised:
        ask(f"{url}/hello", {}, Greeting, seconds)
    assert str(raised.value).startswith(f"{url}/hello: ") and "\n" not in str(raised.value)
    return raised.value


def test_the_answer_that_was_asked_for():
    with answering(200, '{"hello": "world", "more": 1}') as url:
        assert ask(f"{url}/hello", {}, Greeting) == Greeting(hello="world")


@pytest.mark.parametrize("status, body, said", [
    (401, "no key", "HTTP 401 Unauthorized: 'no key'"), (403, "no", "HTTP 403 Forbidden"),
    (404, "", "HTTP 404 Not Found"), (429, "slowly", "HTTP 429 Too Many Requests: 'slowly'"), (500, "oops", "HTTP 500"),
    (503, "", "an empty answer"),
    (200, "<html>\nWelcome</html>", "not the answer expected (no JSON): '<html> Welcome</html>'"),
    (200, "", "not the answer expected (no JSON): an empty answer"),
    (200, '{"models": []}', 'not the answer expected (field "hello": Field required)'),
    (200, '{"hello": 5}', 'field "hello": Input should be a valid string'),
    (200, "[1]", 'field "the whole"'), (200, "null", 'field "the whole"'),
])
def test_another_answer_is_told_by_status_or_field(status, body, said):
    with answering(status, body) as url:
        met = fault(url)
    assert said in str(met) and not met.refused and met.status == (status if status != 200 else None)


def test_nothing_that_listens_is_refused():
    met = fault(f"http://127.0.0.1:{free_port()}")
    assert met.refused and met.unreachable and "Connection refused: nothing listens there" in str(met)


def test_no_answer_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        met = fault(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.2)
    assert "no answer in time" in str(met) and not met.refused and not met.unreachable


def test_a_connection_that_is_dropped():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        met = fault(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert "the connection was dropped" in str(met) and met.unreachable


def test_a_name_that_does_not_resolve():
    assert 'the name "nowhere.invalid" does not resolve' in str(fault("http://nowhere.invalid:21001"))


def test_plain_http_where_tls_is_expected():
    with answering(200, "{}") as url:
        assert "no TLS connection" in str(fault(url.replace("http:", "https:")))


def test_a_proxy_that_is_down_is_named(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    said = str(fault("http://10.1.2.3:21001"))
    assert "the proxy http://127.0.0.1:9 does not let it through" in said and "put 10.1.2.3 into NO_PROXY" in said


def test_a_proxy_that_answers_in_the_server_s_place_is_named(monkeypatch):
    with answering(502, "no such host") as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        said = str(fault("http://10.1.2.3:21001"))
    assert "HTTP 502" in said and f"asked through {proxy}; NO_PROXY=10.1.2.3 goes past it" in said


@pytest.mark.parametrize("variables", [
    {"HTTP_PROXY": "http://127.0.0.1:9"}, {"http_proxy": "http://127.0.0.1:9", "NO_PROXY": "example.org"},
    {"ALL_PROXY": "socks5://127.0.0.1:9"}, {"all_proxy": "http://nowhere.invalid:1"},
])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_asked_past_any_proxy(monkeypatch, variables, host):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ask_loopback_directly()
    assert variables.get("NO_PROXY", "") in os.environ["no_proxy"]  # what was there stays
    with answering(200, '{"hello": "world"}') as url:
        assert ask(url.replace("127.0.0.1", host), {}, Greeting).hello == "world"


def test_every_tool_that_asks_servers_imports_it(monkeypatch):
    modules = ("eval_agent.serve.status", "eval_agent.serve.model_worker", "eval_agent.agents.fastchat",
               "eval_agent.agents.openai", "eval_agent.knowledge.llm", "eval_agent.knowledge.encoders")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    code = "import importlib, os, sys; importlib.import_module(sys.argv[1]); "
    code += "print('127.0.0.1' in os.environ['NO_PROXY'])"
    for module in modules:
        done = subprocess.run([sys.executable, "-c", code, module], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.strip().endswith("True"), (module, done.stderr)


@pytest.mark.parametrize("text", ["", "localhost:21001", "http://", "http://localhost:x", "http://a b", "http://a\n",
                                  "ftp://localhost:21001", "http://localhost:0", "http://localhost:99999"])
def test_an_address_that_is_none(text):
    with pytest.raises(InputError, match="--controller_address is .*, expected an address such as http://localhost"):
        checked_address(text, "--controller_address")


def test_addresses():
    assert checked_address("http://localhost:21001/", "x") == "http://localhost:21001"
    loopback = ["http://localhost:1", "http://127.0.0.1", "http://127.1.2.3:5", "http://[::1]:5", "https://0.0.0.0:1"]
    assert all(map(is_loopback, loopback))
    assert not any(map(is_loopback, ["http://10.0.0.1:1", "http://localhost.example.org", "http://gpu7:21020"]))
