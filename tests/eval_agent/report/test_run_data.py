"""A run's data for a notebook, made from the shipped sample episodes and read back as a person would."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

from eval_agent.report.run_data import DECISIONS, EPISODES, columns
from eval_agent.report.steps import overruled, planned
from eval_agent.trajectories.episodes import read_episodes

WKM = Path(__file__).resolve().parents[3] / "data/results/tiny/samples/wkm"


def export(*arguments):
    command = [sys.executable, "-m", "eval_agent.report.export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    done = export(WKM, "--output_dir", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote episodes.csv (2 rows) and decisions.parquet (44 rows) to {folder}\n"
    return folder


def test_a_row_an_episode(written):
    table = pd.read_csv(written / "episodes.csv")
    assert list(table) == list(EPISODES)
    assert list(table["steps"]) == [40, 4] and list(table["success"]) == [False, True]
    assert list(table["run"] + "/" + table["split"]) == ["samples/wkm"] * 2
    played = read_episodes(WKM)
    assert list(table["overruled"]) == [sum(map(overruled, planned(one))) for one in played]
    assert table["gamma"][0] == 0.4 and list(table["planned"]) == [39, 3]


def test_a_row_a_step(written):
    table, played = pd.read_parquet(written / "decisions.parquet"), read_episodes(WKM)
    assert len(table) == sum(one["meta"]["steps"] for one in played)
    assert len(table.query("overruled")) == sum(overruled(made) for one in played for made in planned(one)) > 0
    assert table["invalid"].sum() == sum(one["meta"]["invalid_actions"] for one in played)
    made = next(one for one in planned(played[0]) if one["p_know"])
    row = table.query(f"step == {made['step']}").iloc[0]
    assert (row.task_id, row.verb, row.state_knowledge) == (played[0]["meta"]["task_id"], made["verb"], made["state_knowledge"])
    assert dict(row.p_agent) == made["p_agent"] and dict(row.p_know) == made["p_know"] and dict(row.blend) == made["blend"]
    first = table.iloc[0]
    assert (first.step, first.p_agent, first.overruled) == (0, None, False) and "Your task is to" in first.observation


def test_the_columns_are_documented_in_the_file_and_in_the_help(written):
    kept = parquet.read_schema(written / "decisions.parquet")
    assert [field.name for field in kept] == [field.name for field in DECISIONS]
    assert all(field.metadata[b"description"] for field in kept)
    assert columns() in export("--help").stdout
    assert all(f"  {name}: " in columns() for name in [*EPISODES, *DECISIONS.names])


def test_a_run_of_an_agent_alone_has_no_decisions(tmp_path):
    assert export(WKM.parent / "sft", "--output_dir", tmp_path).returncode == 0
    table = pd.read_parquet(tmp_path / "decisions.parquet")
    assert len(table) == 12 and table["p_agent"].isna().all() and not table["overruled"].any() and table["action"].all()
