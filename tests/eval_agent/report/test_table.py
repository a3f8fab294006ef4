"""The table over episode files written here: counts that can be checked by hand."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from eval_agent.errors import InputError
from eval_agent.report.paired import differences, sentence
from eval_agent.report.rows import measure_run, paper_rows
from eval_agent.report.summary import bootstrap_interval, summarize, summarize_by_type

PAPER = "alfworld"


def episode(task_id, success=False, steps=40, invalid=0, error=None, task_type="pick", reason="max_steps"):
    meta = {
        "task_id": task_id, "task_type": task_type, "split": "dev", "steps": steps, "reward": float(success),
        "finished": error is None, "success": success, "error": error, "invalid_actions": invalid,
        "terminate_reason": reason,
    }
    return {"meta": meta, "conversations": []}


def write_run(folder, **splits):
    for split, episodes in splits.items():
        (folder / split).mkdir(parents=True)
        (folder / split / "run.json").write_text("{}")
        for one in episodes:
            (folder / split / f"{one['meta']['task_id']}.json").write_text(json.dumps(one))
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "agent" / "alfworld_eval", dev=[
        episode("a", success=True, steps=10), episode("b", invalid=3), episode("c", invalid=1),
        episode("d", success=True, steps=30), episode("e", error="EnvError: gone"),
    ])


def test_the_measures_are_means_over_finished_episodes(run):
    seen, unseen = measure_run("SFT", run)
    assert (seen.games, seen.failures) == (4, 1)
    means = {name: measure.mean for name, measure in seen.measures.items()}
    assert means == {
        "average_reward": 50, "success_rate": 50, "average_steps": 30, "hallucination_rate": 50
    }
    assert (unseen.games, unseen.measures) == (0, {})


def test_methods_are_compared_on_the_games_that_both_finished(run, tmp_path):
    better = write_run(tmp_path / "wkm", dev=[
        episode("a", success=True), episode("b", success=True), episode("c", success=True), episode("d"),
        episode("f", success=True),
    ])
    (difference,) = differences({"SFT": run, "WKM": better})
    assert (difference.method, difference.reference, difference.split) == ("WKM", "SFT", "seen")
    gain, mean = difference.gain, difference.gain.estimate
    assert (gain.better, gain.worse, mean.games) == (2, 1, 4)
    assert mean.mean == 25 and mean.low < 0 < mean.high
    assert "average reward x 100 +25.00 [" in sentence(difference)


def test_a_summary_names_failures_and_splits_by_type():
    failed = episode("c", error="ModelError: off")
    episodes = [episode("a", success=True), episode("b", task_type="heat"), failed]
    summary = summarize(episodes)
    assert summary["games"] == 2 and summary["success_rate"] == 0.5
    assert summary["failures"] == [{"task_id": "c", "error": "ModelError: off"}]
    assert {kind: part["success_rate"] for kind, part in summarize_by_type(episodes).items()} == {
        "heat": 0.0, "pick": 1.0
    }
    assert summarize([])["average_steps"] is None


def test_the_bootstrap_interval_is_the_binomial_one_and_repeats():
    values = np.array([1.0] * 30 + [0.0] * 70)
    low, high = bootstrap_interval(values)
    # normal approximation of a share of 0.3 over 100 games: 0.3 +- 1.96 * sqrt(0.3 * 0.7 / 100)
    assert (low, high) == pytest.approx((0.21, 0.39), abs=0.011)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(np.ones(5)) == (1.0, 1.0)


def test_paper_rows_are_the_published_numbers():
    rows = {(row.method, row.split): row.measures for row in paper_rows(PAPER, "Mistral-7B")}
    wkm = rows["Mistral-7B WKM (paper)", "unseen"]
    assert {name: measure.mean for name, measure in wkm.items()} == {
        "average_reward": 76.87, "average_steps": 17.92, "hallucination_rate": 29.85
    }
    with pytest.raises(InputError, match="Llama-3-8B"):
        paper_rows(PAPER, "Mistral-8B")


def report(*arguments):
    command = [sys.executable, "-m", "eval_agent.report.table", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_writes_markdown_csv_and_a_plot(run, tmp_path):
    other = write_run(tmp_path / "wkm" / "alfworld_eval", dev=[episode("a", success=True)])
    output = tmp_path / "report"
    runs = ["--run", f"SFT={run}", "--run", f"WKM, gamma=1={other}"]
    done = report(*runs, "--output_dir", output, "--paper", PAPER)
    assert done.returncode == 0, done.stderr

    lines = (output / "table.md").read_text().splitlines()
    assert "| SFT | seen | 50.00 [0.0, 100.0] |" in lines[2] and lines[2].endswith("| 4 (+ 1 failed) |")
    assert lines[3] == "| SFT | unseen | missing | missing | missing | missing | 0 |"
    assert "| Mistral-7B WKM (paper) | seen | 73.57 | - | 17.66 | 32.86 | - |" in lines
    assert "Note: on seen the methods played different games." in lines

    rows = list(csv.DictReader((output / "table.csv").open()))
    assert rows[2]["method"] == "WKM, gamma=1" and float(rows[2]["success_rate"]) == 100
    assert (output / "table.png").read_bytes().startswith(b"\x89PNG")


def test_episodes_that_a_full_context_ended_are_told_beside_average_steps(tmp_path):
    short = write_run(tmp_path / "agent", dev=[episode("a", steps=40), episode("b", steps=4, reason="context_overflow")])
    assert report("--run", f"KnowAgent={short}", "--output_dir", tmp_path).returncode == 0
    told = (tmp_path / "table.md").read_text()
    assert "| 22.00 [4.0, 40.0] (1 cut short) |" in told and "\nCut short: " in told
    assert next(csv.DictReader((tmp_path / "table.csv").open()))["cut_short"] == "1"


def test_bad_input_is_named(run, tmp_path):
    missing = report("--run", "SFT=/nowhere", "--output_dir", tmp_path)
    assert missing.returncode == 2 and 'run "SFT": no folder /nowhere' in missing.stderr
    (run / "dev" / "a.json").write_text('{"meta": {"task_id": "a"}}')
    broken = report("--run", f"SFT={run}", "--output_dir", tmp_path)
    assert broken.returncode == 2 and 'a.json: field "meta.task_type"' in broken.stderr
