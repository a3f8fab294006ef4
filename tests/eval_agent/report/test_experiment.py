"""The published numbers of configs/paper: whole, and the same wherever the paper prints them twice."""

import json

import pytest

from eval_agent.errors import InputError
from eval_agent.report import experiment
from eval_agent.report.experiment import Experiment, names, published_rows

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
        "training_runs",
        "variants",
    }
    assert set(names()) == scripts
    for name in scripts:
        assert f'paper.sh" {name} "$@"' in open(f"scripts/{name}.sh").read()


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


def test_a_benchmark_s_published_rows_are_gathered_from_the_tables():
    rows = published_rows("alfworld", "Mistral-7B")
    wkm = rows[(rows["row"] == "WKM") & (rows["split"] == "test")].set_index("measure")["published"]
    assert wkm.to_dict() == {"average_reward": 76.87, "average_steps": 17.92, "hallucination_rate": 29.85}
    rows = published_rows("sciworld", "Mistral-7B")
    assert rows[(rows["row"] == "w/ state") & (rows["split"] == "dev")]["published"].tolist() == [55.04]
    with pytest.raises(InputError, match='no published numbers of backbone "Mistral-8B" .*Llama-3-8B'):
        published_rows("alfworld", "Mistral-8B")


def test_a_stronger_agent_has_a_row_for_each_backbone_and_one_is_measured():
    table = EXPERIMENTS["table4"].of_model("Mistral-7B", strong="GPT-4")
    assert [(row.label, row.measured) for row in table.rows] == [
        ("GPT-3.5-Turbo ReAct", False), ("GPT-4 ReAct", True),
        ("GPT-3.5-Turbo WKM w/o state", False), ("GPT-4 WKM w/o state", True),
    ]  # fmt: skip
    assert [row.label for row in table.reference_rows] == ["GPT-4 ReAct"]
    assert table.published(table.rows[3], "alfworld/test") == 47.01
    other = EXPERIMENTS["table1"].of_model("Gemma-7B", strong="Qwen")
    assert "Qwen ReAct" in [row.label for row in other.rows]
    wkm, = [row for row in other.rows if row.label == "WKM"]
    assert other.published(wkm, "alfworld/dev") == 70.71


@pytest.mark.parametrize(
    "change, message",
    [
        ({"measures": ["luck"]}, 'field "measures.0" is \'luck\''),
        ({"rows": [{"label": "x", "method": "wkm"}] * 2}, "two rows have the same label"),
        (
            {"rows": [{"label": "x", "method": "wkm", "published": {"GPT-4": [1]}}]},
            "GPT-4: 1 numbers for 5 columns",
        ),
        ({"references": ["sft", "γ = 2"]}, 'reference "γ = 2" is no row\'s method or label'),
        ({"rows": [{"label": "x"}]}, 'field "rows.0.method" is missing'),
    ],
)
def test_a_faulty_config_is_named(change, message, tmp_path, monkeypatch):
    content = json.loads((experiment.FOLDER / "table1.json").read_text()) | change
    (tmp_path / "broken.json").write_text(json.dumps(content))
    monkeypatch.setattr(experiment, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=f"broken.json: .*{message}"):
        Experiment.load("broken")
