"""scripts/install.sh: the lock is that of requirements.txt, and a package that is not the one of the lock is not installed.

Here from a folder of two small packages, without a network, so by pip; .ci/run installs the real ones, by uv.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return {name.lower().replace("_", "-").replace(".", "-"): version for name, version in PIN.findall((ROOT / file).read_text())}


def test_the_lock_has_what_requirements_txt_pins():
    locked = pins("scripts/lock/packages.txt")
    assert locked == {name: version for name, version in pins("requirements.txt").items() if name != "torch"}
    for file in ("packages", "uv"):
        blocks = re.split(r"\n(?=\w)", (ROOT / "scripts" / "lock" / f"{file}.txt").read_text().strip())
        assert all("--hash=sha256:" in block for block in blocks if not block.startswith("#"))


def make_wheel(folder: Path, name: str) -> str:
    """A package without content; the SHA-256 of its wheel."""
    wheel, about = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def install(tmp_path):
    """Runs the script in a repository that needs torch and "small", of which the lock has this hash."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the install is for Python 3.11")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "scripts" / "lock").mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("torch==1.0\nsmall==1.0\n")
    for name in ("install.sh", "help.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    shutil.copy(ROOT / "scripts" / "lock" / "uv.txt", tmp_path / "scripts" / "lock")
    make_wheel(tmp_path / "wheels", "torch")
    true_digest = make_wheel(tmp_path / "wheels", "small")

    def run(digest: str = true_digest) -> subprocess.CompletedProcess:
        (tmp_path / "scripts" / "lock" / "packages.txt").write_text(f"small==1.0 \\\n    --hash=sha256:{digest}\n")
        no_index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_CONFIG_FILE": os.devnull,
                    "UV_OFFLINE": "1", "UV_NO_CACHE": "1", "PYTHON": sys.executable}
        return subprocess.run(["bash", tmp_path / "scripts" / "install.sh"], env={**os.environ, **no_index},
                              capture_output=True, text=True, timeout=300)

    return run


def test_it_says_what_it_installs_and_does_nothing_again(install, tmp_path):
    first = install()
    assert first.returncode == 0, first.stdout + first.stderr
    said = re.findall(r"^ +\d+ s: (.+)$", first.stdout, re.MULTILINE)
    assert said[0].startswith("making .venv with Python 3.11") and said[1].startswith("torch, by pip")
    assert said[-2] == "1 more packages, by pip, as uv did not work" and said[-1].startswith("installed, ")
    for name in ("torch", "small"):
        subprocess.run([tmp_path / ".venv" / "bin" / "python", "-c", f"import {name}"], check=True)
    again = install()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_package_that_is_another_one_ends_it(install, tmp_path):
    refused = install("0" * 64)
    assert refused.returncode != 0 and "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    assert not (tmp_path / ".venv" / "installed").exists()
    assert install().returncode == 0  # goes on
