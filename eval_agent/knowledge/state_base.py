"""The state knowledge base B = {(s, a_pre, a_next)}: triplets, their FAISS cache, and retrieval.

A cache folder holds one exact inner-product index per pre-action verb (so that the constraint a_pre = a_t
comes before the N nearest are taken) and meta.json, which ties it to one triplets file and one encoder.
Written last, meta.json is also the sign that the cache is whole. Nothing here is pickled.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np

from eval_agent.errors import InputError, warn
from eval_agent.files import Lock, file_digest, read_json, read_records, write_bytes, write_json
from eval_agent.knowledge.encoders import Encoder
from eval_agent.trajectories.format import action_verb, expert_of, known_steps, one_line

FIRST_PRE_ACTION = "look"
# what must be equal, beside the first word, of a triplet's pre-action and the last action: (action, whether it failed)
_RULES = {"verb": None, "exact": lambda action, failed: action, "outcome": lambda action, failed: failed}
_FIELDS = ("pre_action", "state", "action")
_META = "meta.json"
_REBUILD = "build it with state_base_build.py"


def make_triplets(records: list[dict], source: str) -> list[dict]:
    """One {"pre_action", "state", "action"} per step of every expert trajectory, in their order.

    Raises InputError naming record and turn where state knowledge or an action is missing.
    """
    triplets = []
    for index, record in enumerate(records):
        triplets += _triplets_of(*expert_of(record, f"{source}: record {index}"))
    return triplets


def explored_triplets(records: list[dict], source: str) -> list[dict]:
    """The triplets of explored trajectories (see trajectories/explored.py), made as those of experts, with two marks:
    "explored", and "failed" where the pre-action was refused. An action that was refused is no advice: its triplet is
    left out.

    Raises InputError naming record and turn where state knowledge or an action is missing.
    """
    triplets = []
    for index, record in enumerate(records):
        trajectory, where = expert_of(record, f"{source}: record {index}")
        refused = set(trajectory.get("invalid_steps", ()))
        for step, triplet in enumerate(_triplets_of(trajectory, where)):
            if step not in refused:
                triplets.append({**triplet, "explored": True, **({"failed": True} if step - 1 in refused else {})})
    return triplets


def _triplets_of(trajectory: dict, where: str) -> Iterator[dict]:
    pre_action = FIRST_PRE_ACTION
    for step in known_steps(trajectory, 0, where):
        action = _without_argument(step.action)
        yield {"pre_action": pre_action, "state": one_line(step.state_knowledge), "action": action}
        pre_action = action


def read_triplets(path: str | Path) -> list[dict]:
    """The triplets of a JSON list. Raises InputError with record and field where one is missing."""
    triplets = read_records(path)
    for index, triplet in enumerate(triplets):
        for field in _FIELDS:
            if not isinstance(triplet.get(field), str):
                raise InputError(f'{path}: record {index}: field "{field}" is missing or not a string')
    return triplets


def build_cache(
    triplets_path: str | Path, cache: str | Path, encoder: Encoder, encoder_model: str | None
) -> dict:
    """Embed the triplets' states, write the cache folder and give its metadata.

    ``encoder_model`` is kept for :func:`recorded_encoder_model`.
    """
    triplets, cache = read_triplets(triplets_path), Path(cache)
    vectors = encoder.encode([triplet["state"] for triplet in triplets])
    cache.mkdir(parents=True, exist_ok=True)
    for stale in (cache / _META, *cache.glob("*.faiss")):
        stale.unlink(missing_ok=True)
    groups = {}
    for number, (verb, rows) in enumerate(_rows_by_verb(triplets).items()):
        index = _new_index(vectors.shape[1])
        index.add(vectors[rows])
        groups[verb] = {"file": f"{number:03d}.faiss", "rows": len(rows)}
        # not faiss.write_index: it dies of a full disk with a RuntimeError in C++'s words
        write_bytes(cache / groups[verb]["file"], faiss.serialize_index(index).tobytes())
    meta = {
        "encoder": encoder.identity,
        "encoder_model": encoder_model,
        "dimension": vectors.shape[1],
        "triplets": os.path.relpath(Path(triplets_path).resolve(), cache.resolve()),
        "triplets_sha256": file_digest(triplets_path),
        "groups": groups,
    }
    write_json(cache / _META, meta)
    return meta


def _new_index(dimension: int) -> faiss.Index:
    """Exact inner product. One inverted list holds everything: read twice as fast as IndexFlatIP for one query."""
    single = faiss.IndexFlatIP(dimension)
    single.add(np.zeros((1, dimension), dtype=np.float32))  # the centre of that list: nothing is left to train
    return faiss.IndexIVFFlat(single, dimension, 1, faiss.METRIC_INNER_PRODUCT)


def recorded_encoder_model(cache: str | Path) -> str | None:
    """The model that the cache's encoder was loaded from, for a config that leaves encoder_model null."""
    return _read_meta(Path(cache))["encoder_model"]


class StateBase:
    """Retrieval over a loaded cache; made by :meth:`load`."""

    def __init__(self, encoder: Encoder, groups: dict[str, "_Group"], explored: bool):
        self._encoder = encoder
        self._groups = groups
        self.explored = explored
        """Whether there are triplets of explored trajectories in it."""

    @classmethod
    def load(cls, cache: str | Path, encoder: Encoder, rule: str = "verb") -> "StateBase":
        """Load a cache folder; a_pre = a_t means equal first words ("verb"), wholly equal ("exact"), or equal first
        words that both failed or both did not ("outcome").

        An index that is broken is built anew, which is said. Raises InputError where there is no cache, or one that was
        built with another encoder or triplets file.
        """
        if rule not in _RULES:
            raise InputError(f'unknown pre_action_rule "{rule}", expected one of {", ".join(_RULES)}')
        cache = Path(cache)
        meta = _read_meta(cache)
        if meta["encoder"] != encoder.identity:
            raise InputError(
                f"{cache}: built with encoder {meta['encoder']}, but the one in use is {encoder.identity}: "
                f"use the same encoder or {_REBUILD}"
            )
        triplets_path = cache / meta["triplets"]
        if not triplets_path.is_file():
            raise InputError(
                f"{cache}: its triplets file {triplets_path.resolve()} is gone; put it back or {_REBUILD}"
            )
        if file_digest(triplets_path) != meta["triplets_sha256"]:
            raise InputError(
                f"{cache}: {triplets_path.resolve()} has changed since the cache was built; {_REBUILD}"
            )
        triplets = read_triplets(triplets_path)
        by_verb = {verb: [triplets[row] for row in rows] for verb, rows in _rows_by_verb(triplets).items()}
        try:
            groups = {verb: _Group.load(cache, meta, verb, part, rule) for verb, part in by_verb.items()}
        except _Broken as broken:
            warn(f"{cache}: {broken}; embedding its {len(triplets)} states anew")
            with Lock(cache):
                meta = build_cache(triplets_path, cache, encoder, meta["encoder_model"])
            groups = {verb: _Group.load(cache, meta, verb, part, rule) for verb, part in by_verb.items()}
        return cls(encoder, groups, any(triplet.get("explored") for triplet in triplets))

    def __len__(self) -> int:
        """Number of triplets."""
        return sum(len(group.actions) for group in self._groups.values())

    def next_actions(self, state_text: str, pre_action: str, n: int, failed: bool = False,
                     min_similarity: float | None = None) -> list[str]:
        """a_next of the n triplets nearest to ``state_text`` among those with this pre-action, nearest first.

        All of them where there are fewer than n, [] where there is none; of these only those whose similarity, the
        cosine, is at least ``min_similarity``. ``failed``: whether the pre-action was refused.
        """
        pre_action = _without_argument(pre_action)
        group = self._groups.get(action_verb(pre_action))
        if group is None:
            return []
        return group.nearest(self._encoder.encode([state_text]), n, pre_action, failed, min_similarity)


class _Broken(Exception):
    """An index file that is not what build_cache wrote."""


class _Group:
    """The triplets of one pre-action verb."""

    def __init__(self, index: faiss.Index, triplets: list[dict], rule: str):
        self.actions = [triplet["action"] for triplet in triplets]
        self._index, self._key = index, _RULES[rule]
        self._rows: dict[str | bool, list[int]] = {}
        for row, triplet in enumerate(triplets if self._key else ()):
            self._rows.setdefault(self._key(triplet["pre_action"], triplet.get("failed", False)), []).append(row)

    @classmethod
    def load(cls, cache: Path, meta: dict, verb: str, triplets: list[dict], rule: str) -> "_Group":
        try:
            index = faiss.read_index(str(cache / meta["groups"][verb]["file"]))
        except (KeyError, TypeError, RuntimeError):
            raise _Broken(f'the index of pre-action verb "{verb}" cannot be read') from None
        if (index.ntotal, index.d) != (len(triplets), meta["dimension"]):
            raise _Broken(f'the index of pre-action verb "{verb}" is of another size')
        return cls(index, triplets, rule)

    def nearest(self, query: np.ndarray, n: int, pre_action: str, failed: bool, floor: float | None) -> list[str]:
        """Next actions of the n nearest to ``query`` [1, d] that the rule allows, without those below ``floor``."""
        parameters, size = None, len(self.actions)
        if self._key:
            rows = self._rows.get(self._key(pre_action, failed), [])
            selector = faiss.IDSelectorBatch(np.array(rows, dtype=np.int64))
            parameters, size = faiss.SearchParametersIVF(sel=selector), len(rows)
        if not size:
            return []
        (similarities,), (found,) = self._index.search(query, min(n, size), params=parameters)
        if floor is not None:
            found = found[similarities >= floor]
        return [self.actions[row] for row in found.tolist()]


def _without_argument(action: str) -> str:
    """An action as the base keeps it: without WebShop's "[...]", as published bases have it."""
    return action.split("[", 1)[0].strip()


def _rows_by_verb(triplets: list[dict]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, triplet in enumerate(triplets):
        rows.setdefault(action_verb(triplet["pre_action"]), []).append(row)
    return rows


def _read_meta(cache: Path) -> dict:
    if not (cache / _META).is_file():
        raise InputError(f"{cache}: no state base (no {_META}); {_REBUILD}")
    try:
        meta = read_json(cache / _META)
    except InputError as error:
        raise InputError(f"{error}; {_REBUILD}") from None
    if not isinstance(meta, dict):
        raise InputError(f"{cache / _META}: no object; {_REBUILD}")
    missing = {"encoder", "encoder_model", "dimension", "triplets", "triplets_sha256", "groups"} - set(meta)
    if missing:
        raise InputError(f"{cache / _META}: lacks {', '.join(sorted(missing))}; {_REBUILD}")
    return meta
