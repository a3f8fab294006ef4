"""The tables of data/results/tiny* are what the report makes of the episodes' summaries beside them, byte for byte."""

import shlex
from pathlib import Path

import pandas as pd
import pytest

from eval_agent.report.episodes import RUN, TYPES, csv_reader
from eval_agent.report.paper import main
from eval_agent.report.viewer import read_runs, write_page
from eval_agent.trajectories.episodes import digest, read_episodes

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data/results/tiny"
EPISODES = RESULTS / "episodes.csv.xz"


@pytest.mark.parametrize("model, table", sorted(
    (path.parent.name, path.stem) for path in RESULTS.parent.glob("tiny*/*.md") if path.stem != "README"
))  # fmt: skip
def test_a_shipped_table_can_be_made_again_from_its_episodes(model, table, tmp_path, monkeypatch):
    results = RESULTS.parent / model
    for name in ("configs", "data", "eval_agent"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALFWORLD_DATA", "/nowhere")
    assert main([table, model, "--episodes", str(results / EPISODES.name)]) == 0
    for shipped in [results / f"{table}.md", *results.glob(f"{table}*.csv")]:
        assert (tmp_path / "outputs/paper" / model / shipped.name).read_bytes() == shipped.read_bytes(), shipped.name


@pytest.mark.parametrize("agent, method", [("experienced_agent", "sft"), ("agent_model", "w_task"), ("agent_model", "wkm")])
def test_the_sample_episodes_are_those_of_the_tables(agent, method):
    run = csv_reader(EPISODES)(Path(f"outputs/tiny/alfworld/{agent}/alfworld_tiny_{method}/dev")).set_index("task_id")
    samples = read_episodes(RESULTS / "samples" / method)
    assert len(samples) == 2 and list(run.reset_index().columns) != RUN and set(TYPES) - {"task_id"} == set(run.columns)
    for sample in samples:
        meta, row = sample["meta"], run.loc[sample["meta"]["task_id"]]
        assert (row["steps"], row["success"], row["invalid_actions"], row["digest"]) == (
            meta["steps"], meta["success"], meta["invalid_actions"], digest(sample))


def test_the_shipped_viewer_is_what_the_readme_s_command_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = (RESULTS / "README.md").read_text().replace("\\\n", " ").split("\n")
    (line,) = [line for line in commands if line.startswith("python -m eval_agent.report.viewer")]
    runs, output = shlex.split(line)[3:-2], shlex.split(line)[-1]
    write_page(read_runs(runs), tmp_path / "viewer.html")
    assert (tmp_path / "viewer.html").read_bytes() == Path(output).read_bytes(), line


@pytest.mark.parametrize("path", sorted(RESULTS.parent.glob("tiny*/*.csv")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_interval_reaches_further_than_a_mean_can(path):
    table = pd.read_csv(path)
    table = table[table["measure"] != "average_steps"]
    assert not (table["low"] < 0).any() and not (table["high"] > 100).any()
    for end in table.columns[table.columns.str.contains("^difference_.*_(?:low|high)$")]:
        assert not (table[end].abs() > 100).any(), end
