"""WebShop's files from a local web server: whole or not at all, and on from where a download broke."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eval_agent.errors import InputError
from eval_agent.trajectories.download_webshop import SOURCES, Source, blob_id, fetch_file

CONTENT = b'[{"asin": "B000000001"}, {"asin": "B000000002"}]'


class Handler(BaseHTTPRequestHandler):
    asked: list = []

    def do_GET(self):
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.asked.append((self.path, begin))
        if self.path == "/page":
            self.answer(200, b"<html>Quota exceeded</html>", "text/html; charset=utf-8")
        elif self.path == "/gone":
            self.answer(404, b"", "text/plain")
        else:
            content = CONTENT if self.path == "/file" else b'[{"asin": "other"}]'
            self.answer(206 if begin else 200, content[begin:], "application/json")

    def answer(self, code, body, kind):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def source(address, *paths, blob=None):
    return Source("items.json", tuple(address + path for path in paths), blob)


def test_git_s_own_id_is_reckoned(tmp_path):
    (tmp_path / "empty").touch()
    assert blob_id(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_file_comes_whole_and_once(address, tmp_path):
    (tmp_path / "same").write_bytes(CONTENT)
    wanted = source(address, "/file", blob=blob_id(tmp_path / "same"))
    assert fetch_file(wanted, tmp_path).read_bytes() == CONTENT
    fetch_file(wanted, tmp_path)
    assert Handler.asked == [("/file", 0)] and not list(tmp_path.glob("*.part"))


def test_a_broken_download_goes_on_where_it_was(address, tmp_path):
    (tmp_path / "items.json.part").write_bytes(CONTENT[:20])
    assert fetch_file(source(address, "/file"), tmp_path).read_bytes() == CONTENT
    assert Handler.asked == [("/file", 20)]


def test_another_file_is_refused_and_the_next_address_asked(address, tmp_path):
    (tmp_path / "same").write_bytes(CONTENT)
    blob = blob_id(tmp_path / "same")
    assert fetch_file(source(address, "/gone", "/other", "/file", blob=blob[:8]), tmp_path).read_bytes() == CONTENT
    (tmp_path / "items.json").write_bytes(b"[]")
    with pytest.raises(InputError, match=f"items.json: has git blob id .*, expected {blob}; remove it"):
        fetch_file(source(address, "/file", blob=blob), tmp_path)
    assert (tmp_path / "items.json").read_bytes() == b"[]"  # not ours to remove


def test_what_each_address_answered_is_told(address, tmp_path):
    with pytest.raises(InputError, match="items.json: .*/page: a web page came, .*; .*/gone: 404"):
        fetch_file(source(address, "/page", "/gone"), tmp_path)
    nowhere = Source("items.json", ("http://127.0.0.1:9/items.json",), None)
    with pytest.raises(InputError, match="items.json: http://127.0.0.1:9/items.json: no way to it from here"):
        fetch_file(nowhere, tmp_path)


def test_every_file_of_the_task_configs_has_a_source():
    names = {source.name for part in SOURCES.values() for source in part}
    assert {"items_shuffle.json", "items_ins_v2.json", "items_human_ins.json", "items_shuffle_1000.json",
            "items_ins_v2_1000.json", "train_indices.json", "test_indices.json"} <= names
