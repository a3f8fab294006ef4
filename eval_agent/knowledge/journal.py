"""An append-only journal of finished results, so that a killed run redoes nothing that it finished."""

import json
import threading
from pathlib import Path

from eval_agent.errors import InputError


class Journal:
    """``{"key", "value"}`` lines in a JSONL file; a last line that a kill cut short is dropped.

    Keys say what a value was made from, so entries of other inputs are never taken. Threads may share it.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._values = self._read()
        self._file = self.path.open("a", encoding="utf-8")

    def _read(self) -> dict[str, str]:
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

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def add(self, key: str, value: str) -> None:
        """Keep ``value``, in the file too when this returns."""
        line = json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n"
        with self._lock:
            self._values[key] = value
            self._file.write(line)
            self._file.flush()

    def close(self) -> None:
        self._file.close()
