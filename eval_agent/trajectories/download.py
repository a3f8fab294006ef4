"""Fetch the published data into data/downloads/ and check that what came can be read.

    python -m eval_agent.trajectories.download                      # all but adapters and webshop_full
    python -m eval_agent.trajectories.download pairs action_base    # these only

What there is: trajectories (ETO's expert trajectories), train_data, pairs and action_base (the authors' SFT
conversations, pairs and state bases), adapters (their LoRA adapters for Mistral-7B, on request only), alfworld
(its games, into $ALFWORLD_DATA), sciworld (index files of its splits), webshop (the 1,000 products, the human goals
and the paper's index files), webshop_full (all 1.18 million products, on request only). What is there already is not
fetched again. Files are checked by their hash: ScienceWorld's by the ones below, WebShop's by their blob ids, those from
the hub by what the hub says of them. ALFWorld's own program fetches its games and checks no hash; each game is checked
as it is read.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import requests
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import check_output_folder, file_digest, read_records, write_bytes
from eval_agent.trajectories.download_webshop import SOURCES, describe, fetch_files

DATASETS = {
    "trajectories": "agent-eto/eto-sft-trajectory",
    "train_data": "zjunlp/WKM-train-data",
    "pairs": "zjunlp/WKM_pair_data",
    "action_base": "zjunlp/WKM_action_base",
}
ADAPTERS = [f"zjunlp/WKM-mistral-{task}{role}" for task in ("alfworld", "webshop", "sciworld")
            for role in ("", "-agent")]
# at the commit whose splits the paper uses
SCIWORLD = "https://raw.githubusercontent.com/Yifan-Song793/ETO/9cd80875322d255db0c9e20600b22f88450ca0d6/" \
           "eval_agent/data/sciworld"
SCIWORLD_FILES = {  # name -> SHA-256
    "train_indices.json": "c79eea7858383b829269986ee83d0d9a504533e7b4b3a5bc76e5bdc1e6999cd0",
    "dev_indices.json": "78084ef4393d2da87b21507451821e431daa1a70ab1a486fd1a964ab2404d741",
    "test_indices.json": "dfe4ab263824f04a49cf977b8f6d65af516ce13b8cfbef5736a97ed993da7152",
    "max_steps.json": "035592f47fbe1309b6ed1a260b392a50d94d3163de951508a74e985d93048f73",
    "taskname2id.json": "5b02636ef23caeb1da567814fa59ab1f62e2a9276b7f28f57ee4d7cfab784fe2",
}
ON_REQUEST = ("adapters", "webshop_full")
PARTS = (*DATASETS, "alfworld", "sciworld", "webshop", *ON_REQUEST)
_OFFLINE = ("there seems to be no way to it from here; run this where there is one and copy the folder over "
            "(for the Hugging Face hub, $HF_ENDPOINT can name a mirror)")


def fetch_from_hub(name: str, folder: Path, kind: str) -> Path:
    """A repository's files in ``folder``/name. Raises InputError where the hub does not give them."""
    target = folder / name.partition("/")[2]
    try:
        snapshot_download(name, repo_type=kind, local_dir=target, etag_timeout=30)
    except LocalEntryNotFoundError:
        raise InputError(f"{name}: cannot be fetched from the Hugging Face hub: {_OFFLINE}") from None
    except (HfHubHTTPError, requests.RequestException, OSError) as error:
        raise InputError(f"{name}: {type(error).__name__}: {error}") from None
    check_hashes(target)
    return target


def check_hashes(folder: Path) -> None:
    """Raise InputError where a file is not what the hub said it would send: its SHA-256, or git's SHA-1 of a small one.

    huggingface_hub keeps that (the ETag) beside the files it fetched, and compares sizes only. Such a file is removed, so
    that it is fetched anew.
    """
    notes = folder / ".cache" / "huggingface" / "download"
    for note in sorted(notes.rglob("*.metadata")):
        file = folder / note.relative_to(notes).with_suffix("")
        expected = note.read_text(encoding="utf-8").split("\n")[1].strip()
        if not file.is_file() or expected in (file_digest(file), _git_digest(file)):
            continue
        file.unlink()
        note.unlink()
        raise InputError(f"{file}: did not come as the hub has it (another hash than {expected[:12]}...): removed, run "
                         "the same command again to fetch it anew")


def _git_digest(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def check_data_set(folder: Path) -> dict[str, int]:
    """Records of each JSON file under ``folder``. Raises InputError for one that cannot be read, or for none."""
    files = sorted(path for suffix in ("json", "jsonl") for path in folder.glob(f"**/*.{suffix}")
                   if ".cache" not in path.parts)
    if not files:
        raise InputError(f"{folder}: no .json or .jsonl file in it, expected the data set's records")
    return {str(path.relative_to(folder)): len(read_records(path)) for path in files}


def fetch_sciworld(folder: Path, source: str = SCIWORLD, files: dict[str, str] = SCIWORLD_FILES) -> Path:
    """ScienceWorld's index files in ``folder``/sciworld. Raises InputError where one is not the one that is known."""
    target = folder / "sciworld"
    for name, digest in files.items():
        path = target / name
        if path.exists():
            if file_digest(path) != digest:
                raise InputError(f"{path}: is not the published file (SHA-256 differs); move it away to fetch that")
            continue
        try:
            answer = requests.get(f"{source}/{name}", timeout=30)
            answer.raise_for_status()
        except requests.ConnectionError:
            raise InputError(f"{source}/{name}: {_OFFLINE}") from None
        except requests.RequestException as error:
            raise InputError(f"{source}/{name}: {error}") from None
        if hashlib.sha256(answer.content).hexdigest() != digest:
            raise InputError(f"{source}/{name}: is not the published file (SHA-256 differs), so it is not kept")
        write_bytes(path, answer.content)
    return target


def fetch_alfworld() -> None:
    """ALFWorld's games by its own program. Raises InputError with the last line that it says where that fails."""
    program = Path(sys.executable).with_name("alfworld-download")
    done = subprocess.run([program], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise InputError(f"alfworld-download: {said}; {_OFFLINE}")


def fetch(part: str, folder: Path) -> None:
    """Fetch one of PARTS and print what came."""
    if part in DATASETS:
        target = fetch_from_hub(DATASETS[part], folder, "dataset")
        for name, count in check_data_set(target).items():
            print(f"{target / name}: {count} records")
    elif part == "adapters":
        for name in ADAPTERS:
            print(f"{fetch_from_hub(name, folder, 'model')}: a LoRA adapter")
    elif part == "sciworld":
        print(f"{fetch_sciworld(folder)}: {', '.join(SCIWORLD_FILES)}")
    elif part in SOURCES:
        target = fetch_files(part, folder)
        for source in SOURCES[part]:
            print(describe(target / source.name))
    elif part == "alfworld":
        fetch_alfworld()


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--output_dir", type=Path, default=Path("data/downloads"), help="all but ALFWorld's games")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        raise InputError(f'nothing is called "{unknown[0]}" here, expected some of {", ".join(PARTS)}')
    check_output_folder(args.output_dir)
    failed = []
    for part in args.parts or [part for part in PARTS if part not in ON_REQUEST]:
        try:
            fetch(part, args.output_dir)
        except InputError as error:
            failed.append(f"{part}: {error}")
    if failed:
        raise InputError("not everything came:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
