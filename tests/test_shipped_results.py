"""The tables of data/results/tiny are what the report makes of the episodes beside them, byte for byte."""

import tarfile
from pathlib import Path

import pytest

from eval_agent.paper_results import main

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data/results/tiny"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with the shipped episodes where the evaluation would have written them."""
    folder = tmp_path_factory.mktemp("shipped")
    for name in ("configs", "data", "eval_agent"):
        (folder / name).symlink_to(ROOT / name)
    for run in (RESULTS / "episodes").glob("*.tar.xz"):
        with tarfile.open(run) as archive:
            archive.extractall(folder / "outputs/tiny/alfworld", filter="data")
    return folder


@pytest.mark.parametrize("table", sorted(path.stem for path in RESULTS.glob("*.md") if path.stem != "README"))
def test_a_shipped_table_can_be_made_again_from_its_episodes(table, unpacked, monkeypatch):
    monkeypatch.chdir(unpacked)
    monkeypatch.setenv("ALFWORLD_DATA", "/nowhere")
    assert main([table, "tiny", "--no_run"]) == 0
    for shipped in [RESULTS / f"{table}.md", *RESULTS.glob(f"{table}*.csv")]:
        assert (unpacked / "outputs/paper/tiny" / shipped.name).read_bytes() == shipped.read_bytes(), shipped.name
