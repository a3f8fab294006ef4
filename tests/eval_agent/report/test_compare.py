"""The table of a few runs over episode files written here: counts that can be checked by hand."""

import csv
import json
import subprocess
import sys

import pytest

from tests.eval_agent.toy_paper import episode

WON = {"reward": 1.0, "steps": 10}


def write_run(folder, *episodes):
    (folder / "dev").mkdir(parents=True)
    (folder / "dev" / "run.json").write_text("{}")
    for one in episodes:
        (folder / "dev" / f"{one['meta']['task_id']}.json").write_text(json.dumps(one))
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(
        tmp_path / "agent" / "alfworld_eval", episode("a", **WON), episode("b", invalid=3), episode("c", invalid=1),
        episode("d", reward=1.0, steps=30), episode("e", finished=False),
    )


def compare(*arguments):
    command = [sys.executable, "-m", "eval_agent.report.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_writes_markdown_csv_and_a_plot(run, tmp_path):
    other = write_run(tmp_path / "wkm" / "alfworld_eval", episode("a", **WON), episode("b", **WON), episode("f", **WON))
    output = tmp_path / "report"
    runs = ["--run", f"SFT={run}", "--run", f"WKM, gamma=1={other}"]
    done = compare(*runs, "--output_dir", output, "--published", "Mistral-7B")
    assert done.returncode == 0, done.stderr
    lines = (output / "table.md").read_text().splitlines()
    sft, = [line for line in lines if line.startswith("| SFT | ALFWorld seen |")]
    assert "| 50.00 [0.0, 100.0] * | 50.00 [0.0, 100.0] * | 30.00 [" in sft  # of four finished games out of six
    assert "| SFT | ALFWorld unseen | missing | missing | missing | missing |" in lines
    assert "| WKM (Mistral-7B, paper) | ALFWorld seen | 73.57 | - | 17.66 | 32.86 |" in lines
    assert "\\* ALFWorld seen: 4 of 6 episodes of SFT; 2 games without any are not counted." in lines
    assert "| WKM, gamma=1 | +50.00 [+0.0, +100.0] (1 up, 0 down of 2) |" in lines  # the games that both finished
    rows = {(row["row"], row["measure"]): row for row in csv.DictReader((output / "table.csv").open()) if row["split"] == "dev"}
    assert float(rows["WKM, gamma=1", "success_rate"]["mean"]) == 100 and rows["SFT", "hallucination_rate"]["mean"] == "50.0"
    assert (output / "table.png").read_bytes().startswith(b"\x89PNG")


def test_webshop_has_one_split_and_a_sentence_below(tmp_path):
    run = write_run(tmp_path / "agent" / "webshop_eval", episode("a", reward=0.5))
    (run / "dev").rename(run / "test")
    output = tmp_path / "report"
    done = compare("--task", "webshop", "--run", f"SFT={run}", "--output_dir", output, "--note", "A blind buyer earns 9.")
    assert done.returncode == 0, done.stderr
    text = (output / "table.md").read_text()
    assert "| SFT | WebShop | 50.00 [" in text and "seen" not in text and "\nA blind buyer earns 9.\n" in text


def test_episodes_that_a_full_context_ended_are_named_beside_average_steps(tmp_path):
    short = write_run(tmp_path / "agent", episode("a", steps=40), episode("b", steps=4, reason="context_overflow"))
    assert compare("--run", f"KnowAgent={short}", "--output_dir", tmp_path).returncode == 0
    text = (tmp_path / "table.md").read_text()
    assert "| 22.00 [4.0, 40.0] (1 cut short) |" in text and "\nCut short: " in text
    assert next(csv.DictReader((tmp_path / "table.csv").open()))["cut_short"] == "1"


def test_bad_input_is_named(run, tmp_path):
    def message(*arguments):
        done = compare(*arguments, "--output_dir", tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        return done.stderr

    assert 'run "SFT": no folder /nowhere' in message("--run", "SFT=/nowhere")
    assert 'expected "LABEL=FOLDER"' in message("--run", "SFT")
    assert 'label "SFT" is given twice' in message("--run", f"SFT={run}", "--run", f"SFT={run}")
    assert 'no published numbers of backbone "GPT-9"' in message("--run", f"SFT={run}", "--published", "GPT-9")
    (run / "dev" / "a.json").write_text('{"meta": {"task_id": "a"}}')
    assert 'a.json: field "meta.task_type" is missing' in message("--run", f"SFT={run}")
