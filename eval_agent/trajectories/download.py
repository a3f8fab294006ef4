"""Fetch the published data into data/downloads/ and check that what came can be read.

    python -m eval_agent.trajectories.download                      # all but adapters and webshop_full
    python -m eval_agent.trajectories.download pairs action_base    # these only

What there is: trajectories (ETO's expert trajectories), train_data, pairs and action_base (the authors' SFT
conversations, pairs and state bases), adapters (their LoRA adapters for Mistral-7B, on request only), alfworld
(its games, into $ALFWORLD_DATA), sciworld (index files of its splits), webshop (the 1,000 products, the human goals
and the paper's index files), webshop_full (all 1.18 million products, on request only). What is there already is not
fetched again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import requests
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import read_json, read_records, write_text
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
SCIWORLD_FILES = {
    "train_indices.json": 1483, "dev_indices.json": 194, "test_indices.json": 211,
    "max_steps.json": None, "taskname2id.json": None,
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
    return target


def check_data_set(folder: Path) -> dict[str, int]:
    """Records of each JSON file under ``folder``. Raises InputError for one that cannot be read, or for none."""
    files = sorted(path for suffix in ("json", "jsonl") for path in folder.glob(f"**/*.{suffix}")
                   if ".cache" not in path.parts)
    if not files:
        raise InputError(f"{folder}: no .json or .jsonl file in it, expected the data set's records")
    return {str(path.relative_to(folder)): len(read_records(path)) for path in files}


def fetch_sciworld(folder: Path, source: str = SCIWORLD) -> Path:
    """ScienceWorld's index files in ``folder``/sciworld. Raises InputError where one does not come whole."""
    target = folder / "sciworld"
    for name, count in SCIWORLD_FILES.items():
        path = target / name
        if not path.exists():
            try:
                answer = requests.get(f"{source}/{name}", timeout=30)
                answer.raise_for_status()
                json.loads(answer.text)
            except requests.ConnectionError:
                raise InputError(f"{source}/{name}: {_OFFLINE}") from None
            except (requests.RequestException, ValueError) as error:
                raise InputError(f"{source}/{name}: {error}") from None
            write_text(path, answer.text)
        found = len(read_json(path))
        if count not in (None, found):
            raise InputError(f"{path}: {found} entries, expected {count}; remove it and run this again")
    return target


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
    elif subprocess.run([Path(sys.executable).with_name("alfworld-download")], check=False).returncode:
        raise InputError(f"alfworld-download failed: see above; {_OFFLINE}")


@exit_on_input_error
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--output_dir", type=Path, default=Path("data/downloads"))
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        raise InputError(f'nothing is called "{unknown[0]}" here, expected some of {", ".join(PARTS)}')
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
