"""The estimate of time and disk: what is there costs nothing, the rest by count and rate."""

import pytest

from eval_agent.report.estimate import stages, to_text
from eval_agent.report.experiment import Experiment, names
from eval_agent.report.paper_model import PaperModel
from eval_agent.report.runs import Plan
from tests.eval_agent.toy_paper import ROOT, change_model, of_sciworld, write_json


@pytest.fixture
def model(toy_paper, monkeypatch):
    (toy_paper / "configs" / "estimate.json").write_bytes((ROOT / "configs" / "estimate.json").read_bytes())
    monkeypatch.setenv("TRAIN_LIMIT", "10")
    return lambda: PaperModel.load("toy")


def by_name(model):
    return {stage.name: stage for stage in stages(model())}


def test_training_is_reckoned_from_tokens_and_the_limit_on_train_games(model):
    training = by_name(model)["sciworld: training of merge"]
    assert training.seconds == pytest.approx(10 * 2 * 2000 * 3 / 100)  # games, both roles, tokens, epochs, rate
    assert (training.gigabytes, training.finished) == (0.5, False)


def test_a_model_whose_data_come_from_part_of_the_train_games_is_reckoned_with_these(model, toy_paper, monkeypatch):
    monkeypatch.delenv("TRAIN_LIMIT")
    change_model(toy_paper, tasks={"sciworld": {"exp_config": "sciworld_toy", "train_games": 20}})
    assert by_name(model)["sciworld: training of merge"].seconds == pytest.approx(20 * 2 * 2000 * 3 / 100)
    assert "sciworld: expert trajectories of 20 games" in by_name(model)


def test_a_unified_world_model_is_reckoned_once_and_only_where_the_tasks_share_a_base(model, toy_paper):
    assert not any("unified" in name for name in by_name(model))
    change_model(toy_paper, tasks={task: {"exp_config": f"{task}_toy"} for task in ("alfworld", "sciworld")})
    found = by_name(model)
    for task in ("alfworld", "sciworld"):  # each task's data once, as its own world model's
        share = found[f"{task}: training of unified_world_model"].seconds
        assert share == found[f"{task}: training of world_model"].seconds


def test_what_exists_counts_nothing_in_the_sum(model, toy_paper):
    before = to_text(stages(model()), model().settings.rates).splitlines()[-2]
    write_json(toy_paper / "out" / "sciworld" / "peft" / "merge" / "train_results.json", {})
    found = by_name(model)
    assert found["sciworld: training of merge"].finished
    after = to_text(list(found.values()), model().settings.rates).splitlines()[-2]
    assert float(before.split()[0]) - float(after.split()[0]) == pytest.approx(10 * 2 * 2000 * 3 / 100 / 3600, abs=0.011)


def test_a_shipped_adapter_is_there_unless_all_is_to_be_trained_anew(model, toy_paper):
    tasks = {"sciworld": {"exp_config": "sciworld_toy", "recipe": str(toy_paper / "other.json"), "shipped": "shipped"}}
    change_model(toy_paper, tasks=tasks)
    write_json(toy_paper / "shipped" / "nat" / "train_results.json", {})
    assert by_name(model)["sciworld: training of nat"].finished
    anew = {stage.name: stage for stage in stages(PaperModel.load("toy", retrained=True))}
    assert not anew["sciworld: training of nat"].finished
    assert not by_name(model)["sciworld: exploration"].finished  # other adapters still need it


def test_other_training_runs_are_priced_like_the_first(model, toy_paper):
    of_sciworld(toy_paper / "configs/paper/training_runs.json")
    found = by_name(model)
    assert found["sciworld: training of world_model_seed3"].seconds == found["sciworld: training of world_model"].seconds
    assert [stage.name for stage in stages(model(), "alfworld")] == [
        stage.name for stage in stages(model()) if not stage.name.startswith("sciworld")]


def test_runs_that_several_tables_share_count_once(model):
    evaluation = next(name for name in by_name(model) if name.startswith("sciworld: evaluation"))
    tables = [set(Plan(Experiment.load(name), model()).runs_of("sciworld")) for name in names()]
    assert f"{len(set.union(*tables))} runs" in evaluation
    assert len(set.union(*tables)) < sum(map(len, tables))


def test_games_that_are_not_at_hand_are_not_counted_as_finished(model):
    evaluation = by_name(model)["alfworld: evaluation, not counted: its games are not here yet"]
    assert not evaluation.finished
