"""WebShop's published files: where they are, and how to tell that they came whole.

The small set, the human goals and the paper's index files are checked by their git blob ids; of the full product set
only its form is known (5 GB at Google Drive, which is often over its quota). A broken download goes on where it was.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import requests

from eval_agent.errors import InputError
from eval_agent.progress import tqdm

_RAW = "https://raw.githubusercontent.com"
_SMALL = (f"{_RAW}/ZihanWang314/webshop-minimal/ec82552d2458efb486701b138c9d038e1759489c/webshop_minimal/data",
          f"{_RAW}/WooooDyy/AgentGym/3ef9235d23e6/agentenv-webshop/webshop/data")
_INDICES = (f"{_RAW}/Yifan-Song793/ETO/9cd80875322d255db0c9e20600b22f88450ca0d6/eval_agent/data/webshop",
            f"{_RAW}/zjunlp/KnowSelf/439032eca1e7ea6e6feb662826cd4d108a0697d0/eval_agent/data/webshop")
_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file and where it may be had; ``blob`` is (the start of) its git blob id, None where none is known."""

    name: str
    urls: tuple[str, ...]
    blob: str | None


SOURCES = {
    "webshop": (
        Source("items_shuffle_1000.json", (f"{_SMALL[0]}/small/items_shuffle_1000.json",
                                           f"{_SMALL[1]}/items_shuffle_1000.json"), "08dfda9a"),
        Source("items_ins_v2_1000.json", (f"{_SMALL[0]}/small/items_ins_v2_1000.json",
                                          f"{_SMALL[1]}/items_ins_v2_1000.json"),
               "22837ad99f3173712fc9cb1cce7de6b75fe90595"),
        Source("items_human_ins.json", (f"{_SMALL[0]}/items_human_ins.json", f"{_SMALL[1]}/items_human_ins.json"),
               "b2ab7479b9798e0b62ea394e065f3d506875f090"),
        Source("train_indices.json", tuple(f"{url}/train_indices.json" for url in _INDICES),
               "3d7f478ac1dc18dfe778e8806d4aa775d58f61de"),
        Source("test_indices.json", tuple(f"{url}/test_indices.json" for url in _INDICES),
               "ba96b583dab424a13781862c2431819113fe90ed"),
    ),
    "webshop_full": (
        Source("items_shuffle.json", (f"{_DRIVE}1A2whVgOO0euk5O13n2iYDM0bQRkkRduB",), None),
        Source("items_ins_v2.json", (f"{_DRIVE}1s2j6NgHljiZzQNL3veZaAiyW_qDEgBNi",), None),
    ),
}


def fetch_files(part: str, folder: Path) -> Path:
    """The files of a part of SOURCES in ``folder``/webshop; those that are there are checked and kept.

    Raises InputError where one does not come whole.
    """
    target = folder / "webshop"
    target.mkdir(parents=True, exist_ok=True)
    for source in SOURCES[part]:
        fetch_file(source, target)
    return target


def fetch_file(source: Source, folder: Path) -> Path:
    """One file, from the first address that has it. Raises InputError with what each of them answered."""
    path = folder / source.name
    if path.exists():
        _check(path, source)
        return path
    failed = []
    for url in source.urls:
        try:
            unfinished = folder / f"{source.name}.part"
            _download(url, unfinished)
            _check(unfinished, source)
            unfinished.replace(path)
            return path
        except requests.ConnectionError:
            failed.append(f"{url}: no way to it from here")
        except (requests.RequestException, OSError, InputError) as error:
            failed.append(f"{url}: {error}")
    raise InputError(f"{source.name}: " + "; ".join(failed))


def _download(url: str, path: Path) -> None:
    """Into ``path``, going on behind what is there already."""
    have = path.stat().st_size if path.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # it was there in full
        answer.raise_for_status()
        if "text/html" in answer.headers.get("Content-Type", ""):
            raise InputError("a web page came, not the file (Google Drive over its quota?); fetch it by hand")
        goes_on = have and answer.status_code == requests.codes.partial_content
        total = int(answer.headers.get("Content-Length", 0)) + (have if goes_on else 0)
        with (open(path, "ab" if goes_on else "wb") as file,
              tqdm(total=total or None, initial=have if goes_on else 0, unit="B", unit_scale=True, desc=path.stem) as bar):
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _check(path: Path, source: Source) -> None:
    """Raises InputError, and removes an unfinished file, where it is not the one that it should be."""
    if source.blob is None:
        fault = None if _looks_whole(path) else "does not end as JSON does"
    else:
        found = blob_id(path)
        fault = None if found.startswith(source.blob) else f"has git blob id {found}, expected {source.blob}"
    if fault:
        if path.suffix == ".part":
            path.unlink()
        raise InputError(f"{path}: {fault}; remove it and run this again")


def blob_id(path: Path) -> str:
    """The id that git gives to a file with this content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _looks_whole(path: Path) -> bool:
    """Whether a large JSON file begins and ends as one."""
    with open(path, "rb") as file:
        first = file.read(100).lstrip()[:1]
        file.seek(max(0, path.stat().st_size - 100))
        last = file.read().rstrip()[-1:]
    return (first, last) in ((b"[", b"]"), (b"{", b"}"))


def describe(path: Path) -> str:
    """A line on a file of this module: its size, and how many entries a small one has."""
    size = path.stat().st_size
    entries = f", {len(json.loads(path.read_bytes()))} entries" if size < 10 * _CHUNK else ""
    return f"{path}: {size:,} bytes{entries}"
