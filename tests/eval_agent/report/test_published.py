"""The published numbers of configs/paper: whole, and the same wherever the paper prints them twice."""

import json

import pytest

from eval_agent.errors import InputError
from eval_agent.report import published
from eval_agent.report.published import Experiment, names, published_measures

EXPERIMENTS = {name: Experiment.load(name) for name in names()}


def numbers(name, label, backbone="Mistral-7B"):
    (row,) = [row for row in EXPERIMENTS[name].rows if row.label == label]
    return dict(zip(EXPERIMENTS[name].columns, row.published[backbone]))


def test_every_table_and_figure_has_a_script_and_a_config():
    scripts = {
        "table1",
        "table2",
        "table3",
        "table4",
        "table7",
        "fig3",
        "fig4",
        "fig5",
        "fig6",
        "fig9",
        "ablations",
    }
    assert set(names()) == scripts
    for name in scripts:
        assert f'paper_results.sh" {name} "$@"' in open(f"scripts/{name}.sh").read()


@pytest.mark.parametrize(
    "name, label",
    [
        ("fig3", "w/ task & state (WKM)"),
        ("table7", "WKM (the task's γ)"),
        ("fig6", "WKM"),
        ("fig5", "WKM, one a task"),
        ("fig4", "instance-level knowledge (WKM)"),
    ],
)
def test_the_wkm_s_reward_is_table_1_s(name, label):
    wkm = numbers("table1", "WKM")
    assert all(wkm[column] == number for column, number in numbers(name, label).items())


def test_other_numbers_that_the_paper_prints_twice_agree():
    assert numbers("table7", "γ = 1") == numbers("fig3", "w/ task")
    assert numbers("fig6", "WKM w/o state").items() <= numbers("fig3", "w/ task").items()
    assert numbers("table1", "SFT (w/o all)") == numbers("fig3", "w/o all (SFT)")
    (alone,) = [row for row in EXPERIMENTS["table4"].rows if row.method == "react_strong"]
    (main,) = [row for row in EXPERIMENTS["table1"].rows if row.method == "react_strong"]
    assert all(main.published[name][:2] == values for name, values in alone.published.items())
    # win rates of one benchmark are shares of its games
    columns = zip(*(row.published["Mistral-7B"] for row in EXPERIMENTS["fig9"].rows))
    assert [sum(column) for column in columns] == pytest.approx([100] * 5, abs=0.11)


def test_a_benchmark_s_published_measures_are_gathered_from_the_tables():
    measures = published_measures("alfworld")
    assert measures["Mistral-7B", "WKM"]["test"] == {
        "average_reward": 76.87,
        "average_steps": 17.92,
        "hallucination_rate": 29.85,
    }
    assert measures["Gemma-7B", "ETO"] == {
        "dev": {"average_reward": 66.43},
        "test": {"average_reward": 68.66},
    }
    assert published_measures("sciworld")["Mistral-7B", "w/ state"]["dev"] == {"average_reward": 55.04}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"measure": "luck"}, 'measure "luck"'),
        ({"rows": [{"label": "x", "method": "wkm"}] * 2}, "two rows have the same label"),
        (
            {"rows": [{"label": "x", "method": "wkm", "published": {"GPT-4": [1]}}]},
            "GPT-4: 1 numbers for 5 columns",
        ),
        ({"references": ["sft", "γ = 2"]}, 'reference "γ = 2" is no row\'s method or label'),
        ({"rows": [{"label": "x"}]}, "not an experiment of the paper .*method"),
    ],
)
def test_a_faulty_config_is_named(change, message, tmp_path, monkeypatch):
    content = json.loads((published.FOLDER / "table1.json").read_text()) | change
    (tmp_path / "broken.json").write_text(json.dumps(content))
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=f"broken.json: .*{message}"):
        Experiment.load("broken")
