"""Reading and writing of the project's JSON files: early errors, no half-written results."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from eval_agent.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


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


def checked(kind: type[Model], value: object, where: str | Path) -> Model:
    """``value`` as a pydantic model. Raises InputError naming ``where``, the field at fault and what it should be."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        field, expected = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "missing":
            raise InputError(f'{where}: field "{field}" is missing') from None
        if not field:
            raise InputError(f"{where}: {expected}") from None
        raise InputError(f'{where}: field "{field}" is {fault["input"]!r}: {expected}') from None


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON beside ``path`` and rename, so that a reader never sees half a file."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write text beside ``path`` and rename, so that a reader never sees half a file."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes beside ``path`` and rename, so that a reader never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


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
