"""SFT conversations and ETO's pairs: which files dataset_info.json names, read and checked before anything long starts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.files import read_json, read_records
from eval_agent.trajectories.format import IDENTITIES, check_conversations, learnt, warn_of_unused

TRAINED_TURN_FIELDS = {"from", "value", "loss"}
_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
_COLUMNS = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}  # and "system": any name
_ENTRY = ("file_name", "formatting", "ranking", "columns", "tags")
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class DataSet:
    """A data file, and the field of its records that holds a system text, if any."""

    path: Path
    system: str | None = None


@dataclass(frozen=True)
class Conversation:
    """Checked turns (human first, a gpt turn last), where they come from, and the system text before them.

    A gpt turn with ``"loss": false`` is read but not learnt.
    """

    turns: list[dict]
    where: str
    system: str | None = None


@dataclass(frozen=True)
class Pair:
    """Two conversations that share their first ``prompt_turns`` turns, and where they come from."""

    chosen: Conversation
    rejected: Conversation
    prompt_turns: int
    where: str


def data_sets(dataset: str, dataset_dir: str) -> list[DataSet]:
    """The data sets of a comma list: names registered in ``dataset_dir``/dataset_info.json, or files.

    A name that ends in .json or .jsonl is a file, relative to ``dataset_dir`` or to the working directory.
    Raises InputError for an unknown name, an entry of another format and a file that is not there.
    """
    names = [name.strip() for name in dataset.split(",")]
    if not all(names):
        raise InputError(f'--dataset "{dataset}": an empty name, expected a comma list of data sets or files')
    return [_data_set(name, Path(dataset_dir)) for name in names]


def read_conversations(sets: list[DataSet], max_samples: int | None) -> list[Conversation]:
    """Conversations of all files, the first ``max_samples`` of each. An unanswered last turn is left out.

    Warns of fields that are not used. Raises InputError with file, record and field for malformed ones.
    """
    conversations = []
    for record, where, named, system in _records(sets, max_samples, {"conversations"}):
        if isinstance(record.get("chosen"), list):
            raise InputError(f'{where}: a preference record (field "chosen"), which is for --stage dpo')
        turns = check_conversations(record, where)
        turns = turns[: len(turns) // 2 * 2]
        _check_learnt(turns, where)
        conversations.append(Conversation(turns, named, system))
    return conversations


def read_pairs(sets: list[DataSet], max_samples: int | None) -> list[Pair]:
    """Pairs of all files: ``{"conversations": [human, ..., human], "chosen": [gpt, ...], "rejected": ...}``.

    Warns of fields that are not used. Raises InputError with file, record and field for malformed ones.
    """
    pairs = []
    for record, where, named, system in _records(sets, max_samples, {"conversations", *SIDES}):
        prompt = check_conversations(record, where)
        if len(prompt) % 2 == 0:
            raise InputError(f"{where}: conversations, the prompt, has to end with a human turn")
        sides = [Conversation(_joined(record, prompt, side, where), named, system) for side in SIDES]
        pairs.append(Pair(*sides, len(prompt), named))
    return pairs


def _records(sets: list[DataSet], most: int | None, used: set[str]) -> Iterator[tuple[dict, str, str, str | None]]:
    """(record, where it stands, the same with its own name, its system text), the first ``most`` of each file."""
    for data_set in sets:
        records = read_records(data_set.path)[:most]
        for index, record in enumerate(records):
            where = f"{data_set.path}: record {index}"
            name = next((record[field] for field in IDENTITIES if field in record), None)
            yield record, where, where if name is None else f"{where} ({name})", _system(record, data_set.system, where)
        names = used | {*IDENTITIES, data_set.system}
        warn_of_unused(records, str(data_set.path), names, TRAINED_TURN_FIELDS)  # of what was found to be well-formed


def _system(record: dict, field: str | None, where: str) -> str | None:
    system = record.get(field) if field else None
    if system is not None and not isinstance(system, str):
        raise InputError(f'{where}: field "{field}" is no text, expected the system text (columns.system)')
    return system or None


def _check_learnt(turns: list[dict], where: str) -> None:
    if not any(learnt(turn) for turn in turns[1::2]):
        raise InputError(f"{where}: conversations has no gpt turn to learn")
    _check_not_empty(turns, 0, where, "conversations")


def _check_not_empty(turns: list[dict], first: int, where: str, name: str) -> None:
    for index, turn in enumerate(turns):
        if index % 2 and index >= first and learnt(turn) and not turn["value"].strip():
            raise InputError(f"{where}: {name}[{index - first}].value is empty, expected a reply to learn")


def _joined(record: dict, prompt: list[dict], side: str, where: str) -> list[dict]:
    if not isinstance(record.get(side), list) or not record[side]:
        raise InputError(f'{where}: field "{side}" is missing or empty, expected the turns after the prompt')
    turns = check_conversations({"conversations": prompt + record[side]}, f"{where}: conversations + {side}")
    turns = turns[: len(turns) // 2 * 2]
    if not any(learnt(turn) for turn in turns[len(prompt)::2]):
        raise InputError(f"{where}: {side} has no gpt turn to learn")
    _check_not_empty(turns, len(prompt), where, side)
    return turns


def _data_set(name: str, folder: Path) -> DataSet:
    if name.endswith((".json", ".jsonl")):
        path = folder / name
        data_set = DataSet(path if path.is_file() else Path(name))
    else:
        data_set = _registered(name, folder)
    if not data_set.path.is_file():
        raise InputError(f'data set "{name}": no file {data_set.path}')
    return data_set


def _registered(name: str, folder: Path) -> DataSet:
    registry = folder / "dataset_info.json"
    entries = read_json(registry)
    if not isinstance(entries, dict):
        raise InputError(f"{registry}: expected an object of data sets by name")
    entry = entries.get(name)
    if not isinstance(entry, dict):
        raise InputError(f'{registry}: no data set "{name}", registered are: {", ".join(entries)}')
    where = f"{registry}: {name}"
    entry = {field: value for field, value in entry.items() if value is not None}  # null is as absent, everywhere here
    if not isinstance(entry.get("file_name"), str):
        raise InputError(f'{where}: field "file_name" is missing, only local files are read')
    if entry.get("formatting") != "sharegpt":
        found = entry.get("formatting", "alpaca, which it is where it is missing")
        raise InputError(f'{where}: field "formatting" is not "sharegpt" but {found}')
    _check_known(entry, _ENTRY, where, "")
    columns, tags = (_named_so(entry, section, where) for section in ("columns", "tags"))
    system = columns.pop("system", None)
    for section, values, expected in (("columns", columns, _COLUMNS), ("tags", tags, _TAGS)):
        _check_known(values, expected, where, f"{section}.")
        for field, value in values.items():
            if value != expected[field]:
                raise InputError(f'{where}: {section}.{field} is not "{expected[field]}" but "{value}", which is not offered')
    return DataSet(folder / entry["file_name"], system)


def _named_so(entry: dict, section: str, where: str) -> dict[str, str]:
    values = entry.get(section, {})
    if not isinstance(values, dict):
        raise InputError(f'{where}: field "{section}" is no object')
    values = {field: value for field, value in values.items() if value is not None}
    for field, value in values.items():
        if not isinstance(value, str):
            raise InputError(f"{where}: {section}.{field} is {value!r}, expected a text")
    return values


def _check_known(values: dict, known: Iterable[str], where: str, prefix: str) -> None:
    for field in values:
        if field not in known:
            raise InputError(f'{where}: field "{prefix}{field}" is not offered here, only {", ".join(known)}')
