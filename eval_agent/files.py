"""Reading and writing of the project's files: early errors, no half-written results, nothing done twice.

Text is UTF-8, with a byte order mark or without; lines end at "\\n" and nowhere else. JSON is what RFC 8259 says: no NaN, no
field twice in one object. A lone surrogate (half of a character, which cannot be written) becomes U+FFFD.
What is kept for another run is kept under a :func:`cache_key` of everything that it depends on. Who writes where another
process could write too holds a :class:`Lock`.
"""

import codecs
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval_agent.errors import InputError, warn

_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_REPLACEMENT = "\ufffd"
_NOT_UTF8 = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
             codecs.BOM_UTF16_BE: "UTF-16", b"\x1f\x8b": "a gzip file", b"PK\x03\x04": "a zip file",
             b"PAR1": "a Parquet file", b"version https://git-lfs": "a Git LFS pointer, not the file itself"}


def read_json(path: str | Path) -> Any:
    """Parse one JSON file. Raises InputError with the file, line and column of a fault."""
    text = _read_text(path)
    return _cleaned(_parse(text, str(path)), text, path)


def read_records(path: str | Path) -> list[dict]:
    """Records of a JSON list or of JSON Lines (one object a line), at least one; which of them, the content says.

    Raises InputError where the file is missing, empty, malformed or holds anything but objects.
    """
    text = _read_text(path)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if _are_lines(lines, Path(path).suffix == ".jsonl"):
        records = [_parse(line, f"{path}, line {n}") for n, line in lines]
    else:
        records = _parse(text, str(path))
    if isinstance(records, dict):
        raise InputError(f"{path}: expected a JSON list of records, found one object ({_names(records)})")
    if not isinstance(records, list):
        raise InputError(f"{path}: expected a JSON list of records, found {_kind(records)}")
    if not records:
        raise InputError(f"{path}: the data set is empty")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{path}: record {index} is {_kind(record)}, expected an object")
    return _cleaned(records, text, path)


def _are_lines(lines: list[tuple[int, str]], called_so: bool) -> bool:
    """Whether the first line holds an object of its own: JSON Lines, whatever the file is called."""
    if not lines[0][1].lstrip().startswith("{"):
        return False
    try:
        json.loads(lines[0][1])
    except (ValueError, RecursionError):  # a malformed line, or the beginning of one object over several lines
        return called_so or len(lines) > 1 and lines[1][1].lstrip().startswith("{")
    return True


def clean_text(text: str) -> tuple[str, int]:
    """``text`` without lone surrogates, which no file can hold, and how many of them became U+FFFD.

    ("a \\ud83d mug" -> "a \\ufffd mug", 1). The two halves of one character, side by side, become that character.
    """
    if not _SURROGATE.search(text):
        return text, 0
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole, whole.count(_REPLACEMENT) - text.count(_REPLACEMENT)


def clean_value(value: Any) -> tuple[Any, int]:
    """:func:`clean_text` of every text in a JSON value, the names of fields too."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        pairs = [(clean_text(name), clean_value(part)) for name, part in value.items()]
        return {name: part for (name, _), (part, _) in pairs}, sum(a + b for (_, a), (_, b) in pairs)
    if isinstance(value, list | tuple):
        parts = [clean_value(part) for part in value]
        return [part for part, _ in parts], sum(count for _, count in parts)
    return value, 0


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON beside ``path`` and rename, so that a reader never sees half a file."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write text beside ``path`` and rename, so that a reader never sees half a file. No lone surrogate is written."""
    write_bytes(path, clean_text(text)[0].encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes beside ``path`` and rename, so that a reader never sees half a file; a device is written to as it is.

    Raises OSError naming ``path`` where that does not work (a full disk); what was written by then is removed.
    """
    path = Path(path)
    with naming(path):
        _make(path.parent)
        if _is_device(path):  # /dev/stdout: a rename would put a file in its place
            path.write_bytes(content)
            return
        path = Path(os.path.realpath(path))  # the file that a link points to, not the link
        handle, temporary = _beside(path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def check_output(path: str | Path) -> None:
    """Raise OSError, before the long work, where a file ``path`` could not be written after it. Makes its folder."""
    path = Path(path)
    with naming(path):
        _make(path.parent)
        if os.path.lexists(path) and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder, expected the name of a file")
        _check_name(path)
        if not _is_device(path):
            _try(Path(os.path.realpath(path)).parent)


def check_output_folder(folder: str | Path) -> None:
    """Raise OSError where no file could be written into ``folder``, which is made."""
    with naming(folder):
        _make(Path(folder))
        _try(folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file, expected a folder") from None


def _try(folder: str | Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".wkm.")
    os.close(handle)
    os.unlink(temporary)


def _check_name(path: Path) -> None:
    """Raises OSError where ``path`` is too long, which os.path.exists keeps to itself."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass


def _beside(path: Path) -> tuple[int, str]:
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")


def _is_device(path: Path) -> bool:
    return path.exists() and not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An OSError inside names ``path``, not a temporary file or nothing at all."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from None


def cache_place(name: str) -> Path:
    """Where a cache of this user lies, whether it is there or not. Raises RuntimeError for a user without a home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wkm" / name


def cache_folder(name: str) -> Path | None:
    """:func:`cache_place`, made; None, said in one line, where there can be none."""
    try:
        folder = cache_place(name)
        check_output_folder(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        reason = error.strerror if isinstance(error, OSError) else error
        where = getattr(error, "filename", None) or "~/.cache"
        warn(f"{where}: no cache can be kept there ({reason}); going on without, $XDG_CACHE_HOME names another place")
        return None
    return folder


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


class Lock:
    """The right to write ``path``, held as ``path``.lock (of a folder: .lock in it); a context manager, or release it.

    An operating system's lock: it ends with the process, however that ends. A child process does not inherit it. Raises
    InputError naming the process that holds it. Where the file system has no locks, goes on with a warning.
    """

    _mine: dict[str, tuple[int, int]] = {}  # lock file -> (descriptor, how often this process holds it)
    _guard = threading.Lock()

    def __init__(self, path: str | Path, remedy: str = "wait until it has ended, or name another place"):
        path = Path(path)
        self.file = os.path.realpath(path / ".lock" if path.is_dir() else path.with_name(path.name + ".lock"))
        with Lock._guard:
            descriptor, times = Lock._mine.get(self.file, (None, 0))
            if descriptor is None:
                descriptor = self._acquire(path, remedy)
            Lock._mine[self.file] = descriptor, times + 1
        self._pid = os.getpid()

    def _acquire(self, path: Path, remedy: str) -> int:
        with naming(path):
            _make(Path(self.file).parent)
            while True:
                descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    if error.errno in (errno.EACCES, errno.EAGAIN):
                        holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
                        os.close(descriptor)
                        raise InputError(f"{path}: {holder} is at work on it; {remedy}") from None
                    warn(f"{path}: cannot be locked ({error.strerror}): start nothing else on it")
                    return descriptor
                if self._is_current(descriptor):
                    break
                os.close(descriptor)  # its last holder has just removed it
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.file), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self._pid != os.getpid():  # released before, or the copy of a forked child
            return
        self._pid = None
        with Lock._guard:
            descriptor, times = Lock._mine.pop(self.file)
            if times > 1:
                Lock._mine[self.file] = descriptor, times - 1
                return
            if self._is_current(descriptor):
                os.unlink(self.file)
            os.close(descriptor)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_) -> None:
        self.release()


class Journal:
    """An append-only cache in a JSON Lines file: ``{"key", "value"}``, the value any JSON but null.

    Every value is in the file when ``add`` returns, so a killed run redoes nothing that it finished; a last line that the
    kill cut short, or one that was damaged since, is dropped with a warning. With keys from :func:`cache_key`, entries
    made from other inputs are never taken. Threads may share it; processes may not, see :class:`Lock`.
    """

    def __init__(self, path: str | Path):
        """Raises InputError for a file that is no journal, or that another process writes; OSError."""
        self.path = Path(path)
        check_output(self.path)
        self._lock = threading.Lock()
        self._held = Lock(self.path)
        try:
            self._values = self._read()
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            self._held.release()
            raise

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        values, damaged = {}, 0
        for line in whole.split(b"\n")[:-1]:
            try:
                entry = json.loads(line)
                values[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged += 1
        if whole and not values:
            raise InputError(f"{self.path}: not a journal of this program; move it away")
        if len(whole) < len(data):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        if damaged or len(whole) < len(data):
            cut = damaged + (len(whole) < len(data))
            warn(f"{self.path}: {cut} damaged or unfinished {'line' if cut == 1 else 'lines'} left out, to be made anew")
        return values

    def get(self, key: str) -> Any:
        """The value of ``key``, None where there is none."""
        return self._values.get(key)

    def add(self, key: str, value: Any) -> None:
        """Keep ``value``, in the file too when this returns. Raises OSError naming the file; no half line stays."""
        line = json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n"
        left = memoryview(clean_text(line)[0].encode("utf-8"))
        with self._lock, naming(self.path):
            before = os.fstat(self._file.fileno()).st_size
            try:
                while left:
                    left = left[self._file.write(left):]
            except OSError:
                self._file.truncate(before)
                raise
            self._values[key] = value

    def close(self) -> None:
        self._file.close()
        self._held.release()


def _read_text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a JSON file") from None
    except ValueError as error:  # a path with a NUL character
        raise InputError(f"{path!r}: no name of a file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text, fault = None, str(error)
    looks = next((what for start, what in _NOT_UTF8.items() if data.startswith(start)), None)
    if looks:
        raise InputError(f"{path}: looks like {looks}, expected JSON in UTF-8")
    if text is None:
        raise InputError(f"{path}: not UTF-8 text ({fault})")
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    return text


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_field_twice)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: malformed JSON at {place}: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{where}: malformed JSON: nested too deeply") from None
    except ValueError as error:  # of the three functions below, and an integer of more than 4,300 digits
        raise InputError(f"{where}: malformed JSON: {str(error).partition(';')[0]}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f'field "{next(n for n in names if names.count(n) > 1)}" stands twice in one object')
    return fields


def _cleaned(value: Any, text: str, path: str | Path) -> Any:
    """``value`` without lone surrogates, with a warning. Only an escape can bring one: UTF-8 has none."""
    if not _SURROGATE_ESCAPE.search(text):
        return value
    clean, count = clean_value(value)
    if count:
        warn(f"{path}: {count} lone surrogate{'s' * (count > 1)} (half of a character) replaced by U+FFFD")
    return clean


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


def _names(record: dict) -> str:
    return "fields " + ", ".join(list(record)[:6]) + (", ..." if len(record) > 6 else "")
