"""Building a shop's store: the product file is read once, in parts that several processes analyse side by side.

A finished part is one .npz file, renamed into place; a killed build goes on behind the last of them. When all parts
are there, their postings are merged into one index (see store.py for the folder). Memory holds a few parts, the asins
and one vocabulary at a time, never the file.
"""

import errno
import heapq
import json
import multiprocessing
import os
import shutil
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap

from eval_agent.errors import InputError
from eval_agent.files import file_digest, read_json, write_json
from eval_agent.progress import tqdm
from eval_agent.webshop.analyser import terms
from eval_agent.webshop.catalogue import PACKED, Product, RawRecord, is_product, raw_attributes, raw_records
from eval_agent.webshop.nouns import IN_FILE, noun_source, nouns_of
from eval_agent.webshop.search import length_byte

FORMAT = 1
META = "meta.json"
PARTS, INDEX = "parts", "index"
PART_SIZE = 5_000  # products of a part
_PLAN = "building.json"
_BLOCK = 1 << 22  # postings that are sorted at once
_GROWTH, _PACKED = 1.6, 9  # bytes of a store for one of its files, plain; of an unpacked file for one packed


def build_store(products_file: str | Path, attributes_file: str | Path | None, folder: str | Path,
                nouns: str | None = None, num_workers: int | None = None,
                digest: Callable[[str | Path], str] = file_digest) -> dict:
    """Build the store of a product file in ``folder``, unless it is there; gives its metadata.

    ``nouns`` names where title nouns come from (see nouns.py; default: the model, where there is one). Raises
    InputError for a file that is no product file, a folder with the store of other files, or too little space.
    """
    folder = Path(folder)
    plan = source_of(products_file, attributes_file, nouns or noun_source(), digest)
    with _disk_faults_told(folder), _locked(folder):
        if (folder / META).is_file():
            return checked_meta(folder, plan)
        _check_space(folder, products_file, attributes_file)
        _begin(folder, plan)
        skipped = _analyse_all(folder, products_file, attributes_file, plan["nouns"], num_workers or _cores())
        meta = {**plan, **_merge(folder), "skipped": skipped}
        write_json(folder / META, meta)
        _clean_up(folder)
        return meta


def source_of(products_file: str | Path, attributes_file: str | Path | None, nouns: str,
              digest: Callable[[str | Path], str] = file_digest) -> dict:
    """What a store depends on. Raises InputError where a file is missing."""
    for path in filter(None, (products_file, attributes_file)):
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file (get it with bash scripts/download_data.sh webshop)")
    return {
        "format": FORMAT,
        "products": digest(products_file),
        "attributes": digest(attributes_file) if attributes_file else None,
        "nouns": nouns,
    }


def checked_meta(folder: Path, plan: dict | None = None) -> dict:
    """The metadata of a whole store. Raises InputError for another one than ``plan`` says."""
    if not (folder / META).is_file():
        raise InputError(f"{folder}: no built shop (build it with python -m eval_agent.webshop.prepare)")
    meta = read_json(folder / META)
    for key in ("format", *(plan or ())):
        wanted = FORMAT if key == "format" else plan[key]
        if meta.get(key) != wanted:
            raise InputError(f"{folder}: built with {key} {meta.get(key)}, but {wanted} is asked for: "
                             "remove the folder or name another one")
    return meta


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_space(folder: Path, *files: str | Path | None) -> None:
    sizes = [os.path.getsize(file) * (_PACKED if str(file).endswith(PACKED) else 1) for file in files if file]
    needed, free = _GROWTH * sum(sizes), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(f"{folder}: no space: it takes about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One build at a time; who comes later waits and finds it done."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


@contextmanager
def _disk_faults_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = "no space left; free some and run it again: it goes on where it was"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            told = "cannot be written; set XDG_CACHE_HOME (or task.shop.store) to a folder that can"
        else:
            raise
        raise InputError(f"{folder}: {told}") from None


def _begin(folder: Path, plan: dict) -> None:
    """Keep the parts of an earlier try for the same files, remove those of others."""
    plan = {**plan, "part_size": PART_SIZE}
    if not (folder / _PLAN).is_file() or read_json(folder / _PLAN) != plan:
        shutil.rmtree(folder / PARTS, ignore_errors=True)
        (folder / PARTS).mkdir()
        write_json(folder / _PLAN, plan)
    shutil.rmtree(folder / INDEX, ignore_errors=True)


def _clean_up(folder: Path) -> None:
    for path in (folder / PARTS).glob("*.npz"):
        path.unlink()
    (folder / _PLAN).unlink(missing_ok=True)


def part_file(folder: Path, number: int, suffix: str = ".jsonl") -> Path:
    return folder / PARTS / f"{number:05d}{suffix}"


# ------------------------------------------------------------------------------------------------- parts


def _analyse_all(folder: Path, products_file: str | Path, attributes_file: str | Path | None, nouns: str,
                 num_workers: int) -> int:
    """Write all parts that are missing; the number of records that are no products."""
    with closing(_Attributes(folder, attributes_file)) as attributes, _Workers(num_workers) as workers:
        parts = _Parts(folder, products_file)
        with tqdm(desc="products", unit="product", delay=1.0) as bar:
            for number, records, is_last in parts:
                bar.update(len(records) if records else parts.done)
                if not records:
                    continue
                work = [(record.text, attributes.of(record.value["asin"])) for record in records]
                where = f"{products_file}: product"
                job = (folder, number, work, (records[-1].end, parts.skipped), nouns, where)
                workers.run(job, alone=is_last and number == 0)
    return parts.skipped


class _Parts:
    """(number, its records, whether it is the last one) of the parts; those that are finished have no records."""

    def __init__(self, folder: Path, products_file: str | Path):
        self._folder, self._file = folder, products_file
        self._seen: set[str] = set()
        self.skipped = 0
        self.done = 0  # products of the finished part that came last

    def __iter__(self) -> Iterator[tuple[int, list[RawRecord], bool]]:
        number, place = 0, 0
        while part_file(self._folder, number, ".npz").is_file():
            place = self._take_finished(number)
            yield number, [], False
            number += 1
        records = self._products(place)
        part = _next(records)
        if not part and number == 0:
            raise InputError(f"{self._file}: no products in it")
        while part:
            following = _next(records)
            yield number, part, not following
            number, part = number + 1, following

    def _take_finished(self, number: int) -> int:
        with np.load(part_file(self._folder, number, ".npz")) as part:
            asins, (place, self.skipped) = part["asins"], part["until"].tolist()
        self._seen.update(asin.decode() for asin in asins.tolist())
        self.done = len(asins)
        return place

    def _products(self, place: int) -> Iterator[RawRecord]:
        for index, record in enumerate(raw_records(self._file, place)):
            asin = record.value.get("asin") if isinstance(record.value, dict) else None
            if not isinstance(asin, str):
                raise InputError(f'{self._file}: record {len(self._seen) + self.skipped}: field "asin" is missing, '
                                 "expected a product record")
            if not is_product(asin) or asin in self._seen:
                self.skipped += 1
                continue
            self._seen.add(asin)
            yield record


def _next(records: Iterator[RawRecord]) -> list[RawRecord]:
    part = []
    for record in records:
        part.append(record)
        if len(part) == PART_SIZE:
            break
    return part


class _Attributes:
    """The attributes file in a small data base beside the store: the full one would take a gigabyte of memory."""

    def __init__(self, folder: Path, path: str | Path | None):
        self._file = folder / "attributes.sqlite"
        self._file.unlink(missing_ok=True)
        self._base = sqlite3.connect(self._file)
        self._base.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        self._base.execute("CREATE TABLE attributes (asin TEXT PRIMARY KEY, entry TEXT) WITHOUT ROWID")
        if path:
            rows = ((asin, json.dumps(entry)) for asin, entry in raw_attributes(path))
            bar = tqdm(rows, desc="attributes", unit="product", delay=1.0)
            self._base.executemany("INSERT OR REPLACE INTO attributes VALUES (?, ?)", bar)

    def of(self, asin: str) -> str | None:
        found = self._base.execute("SELECT entry FROM attributes WHERE asin = ?", (asin,)).fetchone()
        return found[0] if found else None

    def close(self) -> None:
        self._base.close()
        self._file.unlink(missing_ok=True)


class _Workers:
    """Processes that analyse parts; few parts wait at a time. A build of one part needs no other process."""

    def __init__(self, number: int):
        self._number = number
        self._pool: ProcessPoolExecutor | None = None
        self._running: set = set()

    def run(self, job: tuple, alone: bool) -> None:
        if alone:
            analyse_part(*job)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._number, multiprocessing.get_context("spawn"))
        self._running.add(self._pool.submit(analyse_part, *job))
        if len(self._running) > self._number:
            self._wait(FIRST_COMPLETED)

    def _wait(self, until: str) -> None:
        done, self._running = wait(self._running, return_when=until)
        for future in done:
            future.result()

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, kind, *_) -> None:
        if self._pool is None:
            return
        try:
            while kind is None and self._running:
                self._wait(FIRST_COMPLETED)
        finally:
            self._pool.shutdown(cancel_futures=True)


def analyse_part(folder: Path, number: int, work: list[tuple[str, str | None]], until: tuple[int, int], nouns: str,
                 where: str) -> None:
    """Write a part: its products as JSON lines, and their postings. ``until`` tells a later build where to go on."""
    products = [_product(record, entry, nouns, where) for record, entry in work]
    if nouns != IN_FILE:
        found = nouns_of([product.title for product in products], nouns)
        products = [replace(product, nouns=words) for product, words in zip(products, found)]
    lines = [product.to_json().encode() + b"\n" for product in products]
    _write_beside(part_file(folder, number), lambda file: file.writelines(lines))
    arrays = {
        "asins": np.array([product.asin.encode() for product in products]),
        "sizes": np.array([len(line) for line in lines], dtype=np.int32),
        "until": np.array(until, dtype=np.int64),
        **_postings(products),
    }
    _write_beside(part_file(folder, number, ".npz"), lambda file: np.savez(file, **arrays))


def _product(record: str, entry: str | None, nouns: str, where: str) -> Product:
    value = json.loads(record)
    where = f'{where} {value["asin"]}'
    product = Product.of(value, json.loads(entry) if entry else None, where)
    if nouns == IN_FILE and product.nouns is None:
        raise InputError(f'{where}: field "nouns" is missing, expected the nouns of the title')
    return product


def _postings(products: list[Product]) -> dict[str, np.ndarray]:
    """The part's sorted terms, and for each of them its products (places in the part) and counts."""
    vocabulary: dict[str, int] = {}
    number_of, places, counts, lengths = array("i"), array("i"), array("i"), []
    for place, product in enumerate(products):
        words = terms(product.text)
        lengths.append(len(words))
        for term, count in Counter(words).items():
            number_of.append(vocabulary.setdefault(term, len(vocabulary)))
            places.append(place)
            counts.append(count)
    encoded = [term.encode("utf-8", "surrogatepass") for term in vocabulary]
    by_term = sorted(range(len(encoded)), key=encoded.__getitem__)
    rank = np.empty(len(encoded), dtype=np.int32)
    rank[by_term] = np.arange(len(encoded), dtype=np.int32)
    ranks = rank[np.frombuffer(number_of, dtype=np.int32)] if encoded else np.empty(0, dtype=np.int32)
    order = np.argsort(ranks, kind="stable")
    return {
        "lengths": np.array(lengths, dtype=np.int32),
        "terms": np.frombuffer(b"".join(encoded[number] for number in by_term), dtype=np.uint8),
        "term_sizes": np.array([len(encoded[number]) for number in by_term], dtype=np.int32),
        "with_term": np.bincount(ranks, minlength=len(encoded)).astype(np.int32),
        "places": np.array(places, dtype=np.int32)[order],
        "counts": np.minimum(np.array(counts, dtype=np.int32)[order], 0xFFFF).astype(np.uint16),
    }


def _write_beside(path: Path, write) -> None:
    temporary = path.with_name(f".{path.name}")
    with open(temporary, "wb") as file:
        write(file)
    os.replace(temporary, path)


# ------------------------------------------------------------------------------------------------- merge


def _merge(folder: Path) -> dict:
    """Merge the parts' postings into the index; gives its numbers."""
    files = sorted((folder / PARTS).glob("*.npz"))
    index = folder / f".{INDEX}"
    shutil.rmtree(index, ignore_errors=True)
    index.mkdir()
    numbers, lengths = _number_products(files, index)
    maps, with_term = _merge_terms(files, index)
    _merge_postings(files, index, numbers, maps, with_term)
    os.replace(index, folder / INDEX)
    return {
        "n_products": len(numbers),
        "n_indexed": int((lengths > 0).sum()),
        "n_tokens": int(lengths.sum(dtype=np.int64)),
        "n_terms": len(with_term),
        "n_postings": int(with_term.sum()),
    }


def _number_products(files: list[Path], index: Path) -> tuple[np.ndarray, np.ndarray]:
    """Number the products by asin and write where each one is; (number by place in the file, token counts)."""
    parts = [_arrays(file, "asins", "sizes", "lengths") for file in files]
    asins = np.concatenate([part["asins"] for part in parts])
    sizes = np.concatenate([part["sizes"] for part in parts])
    lengths = np.concatenate([part["lengths"] for part in parts])
    starts = np.concatenate([np.cumsum(part["sizes"], dtype=np.int64) - part["sizes"] for part in parts])
    part_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part["asins"]) for part in parts])
    order = np.argsort(asins, kind="stable")
    numbers = np.empty(len(order), dtype=np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    by_number = {"asins": asins, "sizes": sizes, "starts": starts, "parts": part_of, "lengths": length_byte(lengths)}
    for name, values in by_number.items():
        np.save(index / f"{name}.npy", values[order])
    np.save(index / "in_file_order.npy", numbers)
    return numbers, lengths


def _merge_terms(files: list[Path], index: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Write the sorted terms of all parts; (each part's terms -> their numbers, products by term)."""
    parts = [_arrays(file, "terms", "term_sizes", "with_term") for file in files]
    maps = [np.empty(len(part["term_sizes"]), dtype=np.int32) for part in parts]
    ends, with_term, last, size = array("q", [0]), array("q"), None, 0
    total = sum(len(part["term_sizes"]) for part in parts)
    with open(index / ".terms", "wb") as file:
        merged = heapq.merge(*(_terms_of(number, part) for number, part in enumerate(parts)))
        for term, number, place in tqdm(merged, desc="terms", total=total, unit="term", delay=1.0):
            if term != last:
                last, size = term, size + len(term)
                file.write(term)
                ends.append(size)
                with_term.append(0)
            maps[number][place] = len(with_term) - 1
            with_term[-1] += int(parts[number]["with_term"][place])
    np.save(index / "terms.npy", np.fromfile(index / ".terms", dtype=np.uint8))
    (index / ".terms").unlink()
    np.save(index / "term_starts.npy", np.array(ends, dtype=np.int64))
    return maps, np.array(with_term, dtype=np.int64)


def _terms_of(number: int, part: dict[str, np.ndarray]) -> Iterator[tuple[bytes, int, int]]:
    data, start = part["terms"].tobytes(), 0
    for place, size in enumerate(part["term_sizes"].tolist()):
        yield data[start:start + size], number, place
        start += size


def _merge_postings(files: list[Path], index: Path, numbers: np.ndarray, maps: list[np.ndarray],
                    with_term: np.ndarray) -> None:
    starts = np.concatenate([[0], np.cumsum(with_term)])
    np.save(index / "posting_starts.npy", starts)
    n_postings = int(starts[-1])
    products = open_memmap(index / "posting_products.npy", "w+", np.int32, (n_postings,))
    counts = open_memmap(index / "posting_counts.npy", "w+", np.uint16, (n_postings,))
    free, first = starts[:-1].copy(), 0
    for file, terms_of_part in zip(tqdm(files, desc="postings", unit="part", delay=1.0), maps):
        part = _arrays(file, "asins", "places", "counts", "with_term")
        before = np.cumsum(part["with_term"]) - part["with_term"]
        targets = np.repeat(free[terms_of_part] - before, part["with_term"]) + np.arange(len(part["places"]))
        products[targets] = numbers[first + part["places"]]
        counts[targets] = part["counts"]
        free[terms_of_part] += part["with_term"]
        first += len(part["asins"])
    _sort_by_product(products, counts, starts)
    products.flush()
    counts.flush()


def _sort_by_product(products: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> None:
    """Each term's postings in the order of their products, so that reading goes forward through memory."""
    first = 0
    while first < len(starts) - 1:
        end = max(int(np.searchsorted(starts, starts[first] + _BLOCK, side="right")) - 1, first + 1)
        block = slice(int(starts[first]), int(starts[end]))
        term = np.repeat(np.arange(end - first, dtype=np.int64), np.diff(starts[first:end + 1]))
        order = np.argsort(term << 32 | products[block], kind="stable")
        products[block], counts[block] = products[block][order], counts[block][order]
        first = end


def _arrays(file: Path, *names: str) -> dict[str, np.ndarray]:
    with np.load(file) as part:
        return {name: part[name] for name in names}
