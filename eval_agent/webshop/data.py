"""From a shop's files to its store and goals: built where they are asked for first, found again afterwards."""

import os
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.files import cache_key, cache_place, file_digest, read_json, write_json
from eval_agent.webshop.build import META, build_store, source_of
from eval_agent.webshop.catalogue import PACKED
from eval_agent.webshop.goals import (
    Goal,
    human_goals,
    indices_of,
    read_goal_list,
    read_human_instructions,
    shuffled,
    split_by_product,
    synthetic_goals,
    with_splits,
)
from eval_agent.webshop.nouns import noun_source
from eval_agent.webshop.store import Shop

DOWNLOADED = "data/downloads/webshop"  # where scripts/download_data.sh puts the published files


def data_path(text: str) -> Path:
    """``data_path`` of a config with ~ and variables filled in; $WEBSHOP_DATA is the download by default."""
    default = os.environ.get("WEBSHOP_DATA") or DOWNLOADED
    return Path(os.path.expandvars(text.replace("$WEBSHOP_DATA", default))).expanduser()


def data_file(folder: Path, name: str) -> Path:
    """``name`` in ``folder``, plain or packed. Raises InputError where there is neither."""
    for suffix in ("", *PACKED):
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise InputError(f"{folder / name}: no such file; fetch it with bash scripts/download_data.sh webshop, or set "
                     "WEBSHOP_DATA to the folder that has it")


def ready_store(products: Path, attributes: Path | None, nouns: str | None = None,
                folder: Path | None = None, num_workers: int | None = None) -> Path:
    """The folder of a whole store of these files, built where it is missing: in ``folder``, or in the user's cache.

    Raises InputError (see build_store).
    """
    if folder is None:
        plan = source_of(products, attributes, nouns or noun_source(), _known_digest)
        folder = cache_place("webshop") / cache_key(**plan)[:20]
        if (folder / META).is_file():
            return folder
    build_store(products, attributes, folder, nouns, num_workers, _known_digest)
    return folder


def _known_digest(path: Path) -> str:
    """A file's digest, kept in the user's cache: the full product file takes long to read."""
    status = os.stat(path)
    name = cache_key(path=str(Path(path).resolve()), size=status.st_size, changed=status.st_mtime_ns)
    note = cache_place("webshop") / "digests" / f"{name}.json"
    if note.is_file():
        return read_json(note)["sha256"]
    digest = file_digest(path)
    try:
        write_json(note, {"path": str(path), "sha256": digest})
    except OSError:
        pass  # reckoned anew the next time
    return digest


def load_goals(shop: Shop, goals_file: Path | None) -> list[Goal]:
    """All goals by index: synthetic ones without a file, else human ones (a JSON object) or a goal list.

    Raises InputError where they ask for products that the shop does not have.
    """
    if goals_file is None:
        goals = shuffled(synthetic_goals(shop.products(), shop.price))
        if not goals:
            raise InputError(f"{shop.folder}: no goals: none of its products has an instruction (attributes file)")
        return with_splits(goals, split_by_product(goals))
    if _first_character(goals_file) == "{" and goals_file.suffix != ".jsonl":
        instructions = read_human_instructions(goals_file)
        goals = shuffled(human_goals(shop.in_file_order(instructions), instructions, shop.price))
        if not goals:
            raise InputError(f"{goals_file}: none of its products is among the {len(shop)} of {shop.folder}: goals and "
                             "products are of different sets")
        return goals
    goals = read_goal_list(goals_file)
    shop.check_goals(goals, str(goals_file))
    return goals


def goals_of_split(goals: list[Goal], split: str, folder: Path) -> list[int]:
    """Indices of a split: of an index file in ``folder``, or the goals with that split's name. Raises InputError."""
    if split.endswith(".json"):
        return indices_of(data_file(folder, split), len(goals))
    found = [index for index, goal in enumerate(goals) if goal.split == split]
    if not found:
        names = sorted({goal.split for goal in goals if goal.split})
        raise InputError(f'no goal is of split "{split}"; those of the goals: {", ".join(names) or "none"}')
    return found


def _first_character(path: Path) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(100).lstrip()[:1]

