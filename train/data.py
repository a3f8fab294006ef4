"""SFT conversations and ETO's pairs: which files dataset_info.json names, read and checked before anything long starts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.files import read_json, read_records
from eval_agent.trajectories.format import check_conversations

_SHAREGPT = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}


@dataclass(frozen=True)
class Conversation:
    """Checked turns (human first, a gpt turn last) and where they come from.

    A gpt turn with ``"loss": false`` is read but not learnt.
    """

    turns: list[dict]
    where: str


def dataset_files(dataset: str, dataset_dir: str) -> list[Path]:
    """Files of a comma list of data sets: names registered in ``dataset_dir``/dataset_info.json, or files.

    A name that ends in .json or .jsonl is a file, relative to ``dataset_dir`` or to the working directory.
    Raises InputError for an unknown name, an entry of another format and a file that is not there.
    """
    return [_dataset_file(name.strip(), Path(dataset_dir)) for name in dataset.split(",")]


def read_conversations(files: list[Path], max_samples: int | None) -> list[Conversation]:
    """Conversations of all files, the first ``max_samples`` of each. An unanswered last turn is left out.

    Raises InputError with file, record and field for malformed ones.
    """
    conversations = []
    for record, where, named in _records(files, max_samples):
        turns = check_conversations(record, where)
        turns = turns[: len(turns) // 2 * 2]
        _check_learnt(turns, where)
        conversations.append(Conversation(turns, named))
    return conversations


def _records(files: list[Path], max_samples: int | None) -> Iterator[tuple[dict, str, str]]:
    """(record, where it stands, the same with its own name), the first ``max_samples`` of each file."""
    for path in files:
        for index, record in enumerate(read_records(path)[:max_samples]):
            where = f"{path}: record {index}"
            name = record.get("id", record.get("game_file"))
            yield record, where, where if name is None else f"{where} ({name})"


def _check_learnt(turns: list[dict], where: str) -> None:
    for index, turn in enumerate(turns):
        if not isinstance(turn.get("loss", True), bool):
            raise InputError(f"{where}: conversations[{index}].loss is not true or false")
    if not any(turn.get("loss", True) for turn in turns[1::2]):
        raise InputError(f"{where}: conversations has no gpt turn to learn")


def _dataset_file(name: str, folder: Path) -> Path:
    if name.endswith((".json", ".jsonl")):
        path = folder / name
        path = path if path.is_file() else Path(name)
    else:
        path = folder / _registered(name, folder / "dataset_info.json")
    if not path.is_file():
        raise InputError(f'data set "{name}": no file {path}')
    return path


def _registered(name: str, registry: Path) -> str:
    entries = read_json(registry)
    entry = entries.get(name) if isinstance(entries, dict) else None
    if not isinstance(entry, dict):
        raise InputError(f'{registry}: no data set "{name}", registered are: {", ".join(entries)}')
    if not isinstance(entry.get("file_name"), str):
        raise InputError(f'{registry}: {name}: field "file_name" is missing, only local files are read')
    if entry.get("formatting") != "sharegpt":
        raise InputError(f'{registry}: {name}: field "formatting" is not "sharegpt"')
    if entry.get("columns", {}).get("messages", "conversations") != "conversations":
        raise InputError(f'{registry}: {name}: columns.messages is not "conversations"')
    for tag, value in _SHAREGPT.items():
        if entry.get("tags", {}).get(tag, value) != value:
            raise InputError(f'{registry}: {name}: tags.{tag} is not "{value}"')
    return entry["file_name"]


SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Pair:
    """Two conversations that share their first ``prompt_turns`` turns, and where they come from."""

    chosen: Conversation
    rejected: Conversation
    prompt_turns: int
    where: str


def read_pairs(files: list[Path], max_samples: int | None) -> list[Pair]:
    """Pairs of all files: ``{"conversations": [human, ..., human], "chosen": [gpt, ...], "rejected": ...}``.

    Raises InputError with file, record and field for malformed ones.
    """
    pairs = []
    for record, where, named in _records(files, max_samples):
        prompt = check_conversations(record, where)
        if len(prompt) % 2 == 0:
            raise InputError(f"{where}: conversations, the prompt, has to end with a human turn")
        sides = [Conversation(_joined(record, prompt, side, where), named) for side in SIDES]
        pairs.append(Pair(*sides, len(prompt), named))
    return pairs


def _joined(record: dict, prompt: list[dict], side: str, where: str) -> list[dict]:
    if not isinstance(record.get(side), list) or not record[side]:
        raise InputError(f'{where}: field "{side}" is missing or empty, expected the turns after the prompt')
    turns = check_conversations({"conversations": prompt + record[side]}, f"{where}: conversations + {side}")
    return turns[: len(turns) // 2 * 2]
