"""Episodes as a table, and the CSV that stands for results folders."""

from pathlib import Path

import pytest

from eval_agent.errors import InputError
from eval_agent.files import write_json
from eval_agent.report.episodes import csv_reader, read_out, read_run, write_csv
from tests.eval_agent.toy_paper import episode


@pytest.fixture
def out(tmp_path):
    """Two runs, a game of the second without a result."""
    for run, finished in (("toy_sft", True), ("toy_wkm", False)):
        folder = tmp_path / "out" / "sciworld" / "agent" / run / "dev"
        for one in (episode("0_0", reward=1 / 3), episode("3_1", "melt", finished=finished, reason=None)):
            write_json(folder / f"{one['meta']['task_id']}.json", one)
        write_json(folder / "run.json", {})
    return tmp_path / "out"


def test_a_run_is_a_row_an_episode_named_after_its_folders(out):
    table = read_run(out / "sciworld/agent/toy_wkm/dev")
    assert list(table["task_id"]) == ["0_0", "3_1"] and list(table["finished"]) == [True, False]
    assert set(table["task"] + "/" + table["agent"] + "/" + table["run"] + "/" + table["split"]) == {
        "sciworld/agent/toy_wkm/dev"
    }
    assert table["digest"].str.fullmatch("[0-9a-f]{8}").all()
    assert read_run(out / "nowhere").empty


def test_the_csv_stands_for_the_folders(out, tmp_path):
    write_csv(read_out(out), tmp_path / "episodes.csv.xz")
    read = csv_reader(tmp_path / "episodes.csv.xz")
    for run in ("toy_sft", "toy_wkm"):
        folder = Path("elsewhere/sciworld/agent") / run / "dev"
        written = read(folder).reset_index(drop=True)
        assert written.equals(read_run(out / "sciworld/agent" / run / "dev"))
    assert read(Path("sciworld/agent/toy_nat/dev")).empty
    first = (tmp_path / "episodes.csv.xz").read_bytes()
    write_csv(read_out(out), tmp_path / "episodes.csv.xz")
    assert (tmp_path / "episodes.csv.xz").read_bytes() == first


def test_what_is_no_csv_of_episodes_is_named(tmp_path):
    (tmp_path / "plain.csv").write_text("task,agent\n")
    (tmp_path / "broken.csv.xz").write_text("task,agent\n")
    for name in ("nowhere.csv.xz", "plain.csv", "broken.csv.xz"):
        with pytest.raises(InputError, match=f"{name}: not a CSV of episodes"):
            csv_reader(tmp_path / name)
    with pytest.raises(InputError, match="no run in it"):
        read_out(tmp_path)
