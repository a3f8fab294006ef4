"""Reading and writing of the project's files: early errors, no half-written results, nothing done twice.

What is kept for another run is kept under a :func:`cache_key` of everything that it depends on.
"""

import hashlib
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from eval_agent.errors import InputError


def read_json(path: str | Path) -> Any:
    """Parse one JSON file. Raises InputError with the file, line and column of a fault."""
    path = Path(path)
    return _parse(_read_text(path), str(path))


def read_records(path: str | Path) -> list[dict]:
    """Records of a JSON list or of a JSONL file (one object a line), at least one.

    Raises InputError where the file is missing, empty, malformed or holds anything but objects.
    """
    path = Path(path)
    text = _read_text(path)
    if path.suffix == ".jsonl":
        numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        records = [_parse(line, f"{path}, line {n}") for n, line in numbered]
    else:
        records = _parse(text, str(path))
    if not isinstance(records, list):
        raise InputError(f"{path}: expected a JSON list of records, found {type(records).__name__}")
    if not records:
        raise InputError(f"{path}: the data set is empty")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{path}: record {index} is a {type(record).__name__}, expected an object")
    return records


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON beside ``path`` and rename, so that a reader never sees half a file."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write text beside ``path`` and rename, so that a reader never sees half a file."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes beside ``path`` and rename, so that a reader never sees half a file.

    Raises OSError where that does not work (a full disk); what was written by then is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def cache_key(**parts: Any) -> str:
    """The key of a value made from ``parts``: SHA-256 of their names and values as canonical JSON.

    Name everything that the value depends on: texts and settings as they are, files and source code by their
    :func:`file_digest`. Raises TypeError for what JSON does not have.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of what a file holds; its name and place do not count."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Journal:
    """An append-only cache in a JSON Lines file: ``{"key", "value"}``, the value any JSON but null.

    Every value is in the file when ``add`` returns, so a killed run redoes nothing that it finished; a last
    line that the kill cut short is dropped. With keys from :func:`cache_key`, entries made from other inputs
    are never taken. Threads may share it.
    """

    def __init__(self, path: str | Path):
        """Raises InputError for a file that is no journal."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._values = self._read()
        self._file = self.path.open("a", encoding="utf-8")

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        try:
            entries = [json.loads(line) for line in whole.splitlines()]
            return {entry["key"]: entry["value"] for entry in entries}
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.path}: not a journal of this program; move it away") from None

    def get(self, key: str) -> Any:
        """The value of ``key``, None where there is none."""
        return self._values.get(key)

    def add(self, key: str, value: Any) -> None:
        """Keep ``value``, in the file too when this returns."""
        line = json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n"
        with self._lock:
            self._values[key] = value
            self._file.write(line)
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a JSON file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error})") from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: malformed JSON at {place}: {error.msg}") from None
