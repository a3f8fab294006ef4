"""--help of the shell scripts: what they begin with, and nothing is done."""

import subprocess

import pytest

from tests.conftest import ROOT

SOURCED = ("help.sh", "settings.sh", "serve_vllm.sh", "vllm_env.sh")
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.sh") if path.name not in SOURCED)
OWN = [path for path in SCRIPTS if not any(name in path.read_text() for name in ("/paper.sh\" ", "report.paper", "report.doctor"))
       and path.name != "check_vllm.sh"]


def test_most_scripts_tell_of_themselves():
    assert len(OWN) > 20 and {"01_expert_trajectories.sh", "train.sh", "serve.sh", "quickstart.sh"} <= {path.name for path in OWN}


@pytest.mark.parametrize("script", OWN, ids=lambda path: path.name)
def test_help_is_what_the_script_begins_with(script, tmp_path):
    done = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True, timeout=20,
                          env={"PATH": "/usr/bin:/bin", "OUT": str(tmp_path / "out")})
    assert done.returncode == 0, done.stderr
    first = script.read_text().splitlines()[1].removeprefix("# ")
    assert done.stdout.startswith(f"{first}\n") and done.stdout.rstrip().endswith("scripts/settings.sh lists them.")
    assert not (tmp_path / "out").exists()
