"""Which runs a table needs, how often, where their results lie, and which of them exist."""

import pytest

from eval_agent.agents.chat_format import format_of_recipe
from eval_agent.config import load_method
from eval_agent.errors import InputError
from eval_agent.report.experiment import Experiment
from eval_agent.report.experiment import names as names_of_experiments
from eval_agent.report.paper import describe, to_lines
from eval_agent.report.paper_model import PaperModel
from eval_agent.report.runs import Plan
from tests.eval_agent.toy_paper import ROOT, change_model, episode, of_sciworld, write_json, write_run


def plan_of(name, model="toy"):
    return Plan(Experiment.load(name), PaperModel.load(model))


def names(plan):
    return [run.exp_name for run in plan.runs_of(None) if run.split == "dev"]


def test_a_run_is_repeated_where_the_agent_s_temperature_is_above_zero(toy_paper):
    assert names(plan_of("table2")) == ["sft", "nat", "eto", "knowagent", "wkm", "wkm_run2"]
    cells = plan_of("table2").cells
    assert [len(cells["WKM", column]) for column in ("sciworld/dev", "webshop/test")] == [2, 0]


def test_a_run_s_folder_and_flags_are_the_contract_s(toy_paper):
    plan = plan_of("table7")
    run, = [run for run in plan.runs_of(None) if run.exp_name == "wkm_gamma0.3_run2" and run.split == "dev"]
    assert str(run.folder) == "out/sciworld/agent_model/sciworld_toy_wkm_gamma0.3_run2/dev"
    assert run.served == ("agent_model", "world_model") and len(plan.games_of(run)) == 4
    flags = " ".join(run.arguments)
    assert "--method wkm --exp_config sciworld_toy --exp_name wkm_gamma0.3_run2 --split dev" in flags
    assert "--seed 2 --agent_config toy --gamma 0.3 --state_base out/sciworld/state_base --share_gammas" in flags


def test_another_training_run_plays_with_adapters_of_its_own_in_a_folder_of_its_own(toy_paper):
    of_sciworld(toy_paper / "configs/paper/training_runs.json")
    plan = plan_of("training_runs")
    assert names(plan)[:4] == ["sft_warm", "w_task", "w_state", "wkm"] and len(names(plan)) == 5 * 3 * 2
    run, = [run for run in plan.runs_of(None) if run.exp_name == "w_state_train3_run2" and run.split == "dev"]
    assert (run.training, run.repetition) == (3, 2)
    assert str(run.folder) == "out/sciworld/experienced_agent_seed3/sciworld_toy_w_state_train3_run2/dev"
    assert run.served == ("experienced_agent_seed3", "world_model_seed3")
    flags = " ".join(run.arguments)
    assert "--seed 2 --agent_config toy --agent_model_name experienced_agent_seed3 --world_model_name world_model_seed3" in flags
    assert "--state_base out/sciworld/state_base" in flags


def test_the_task_s_own_gamma_is_the_wkm_s_run(toy_paper):
    cells = plan_of("table7").cells
    assert cells["γ = 0.7", "sciworld/dev"] == cells["WKM (the task's γ)", "sciworld/dev"]
    assert names(plan_of("table7")).count("wkm") == 1 and "wkm_gamma0.7" not in names(plan_of("table7"))
    assert {"wkm_gamma0", "wkm_gamma1", "wkm_gamma0.1_run2"} <= set(names(plan_of("table7")))


def test_another_encoder_has_a_state_base_of_its_own(toy_paper):
    runs = {run.exp_name: run for run in plan_of("ablations").runs_of(None)}
    assert "out/sciworld/state_base_wkm-hidden" in runs["wkm_hidden"].arguments
    assert "out/sciworld/state_base_all-MiniLM-L6-v2" in runs["wkm_minilm"].arguments  # a folder's name, not its path
    assert "--n_neighbours 10" in " ".join(runs["wkm_n10"].arguments)


def test_explored_triplets_have_a_state_base_of_their_own(toy_paper):
    of_sciworld(toy_paper / "configs/paper/variants.json")
    plan = plan_of("variants")
    runs = {run.exp_name: run for run in plan.runs_of(None)}
    assert "out/sciworld/state_base_explored" in runs["wkm_explored_outcome"].arguments
    assert "out/sciworld/state_base" in runs["wkm_outcome"].arguments
    (line,) = [line for line in to_lines(plan, "sciworld") if "sciworld/dev wkm_explored\t" in line]
    assert line.split("\t")[3] == "explored"


def test_the_dry_run_counts_episodes_and_says_what_is_there(toy_paper):
    plan = plan_of("table2")
    runs = {(run.exp_name, run.split): run for run in plan.runs_of(None)}
    write_run(runs["sft", "test"], [episode(game) for game in plan.games_of(runs["sft", "test"])])
    games = plan.games_of(runs["nat", "dev"])
    write_run(
        runs["nat", "dev"], [episode(games[0]), episode(games[1], finished=False), episode("of no split")]
    )
    told = describe(plan).splitlines()
    shown = {
        (line.split()[0], line.split()[1]): " ".join(line.split()[2:]) for line in told if line[0] == " "
    }
    assert shown["sciworld/test", "sft"] == "2 episodes finished"
    assert shown["sciworld/dev", "nat"] == "4 episodes partly: 1 of 4"
    assert shown["sciworld/dev", "wkm_run2"] == "4 episodes missing"
    assert "12 runs, 36 episodes, 33 of them to be played" in told
    assert any(
        line.startswith("cannot be played: alfworld/dev: nowhere/valid_seen: no such folder") for line in told
    )
    assert "cannot be played: webshop/test: toy has no task webshop" in told


def test_a_strong_agent_is_the_model_config_s_or_missing(toy_paper):
    assert not plan_of("table4").runs_of(None)
    change_model(
        toy_paper,
        strong={"backbone": "GPT-4", "agent_model_name": "gpt-4"},
        tasks={"alfworld": {"exp_config": "sciworld_toy"}},
    )
    runs = {run.exp_name: run for run in plan_of("table4").runs_of(None) if run.split == "dev"}
    alone, guided = runs["react_strong"], runs["weak_guide_strong"]
    assert str(alone.folder) == "out/alfworld/gpt-4/sciworld_toy_react_strong/dev"
    assert alone.served == () and guided.served == ("world_model",)
    assert "--agent_config openai_chat --agent_model_name gpt-4 --world_config toy" in " ".join(
        guided.arguments
    )


def test_every_row_s_method_is_one_of_the_configs(monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = [row for name in names_of_experiments() for row in Experiment.load(name).rows]
    assert all(load_method(row.method).agent_model or row.strong for row in rows)
    unused = {path.stem for path in (ROOT / "configs" / "method").glob("*.json")} - {
        row.method for row in rows
    }
    assert unused == set()


def test_results_without_the_games_at_hand_are_shown_and_not_played(toy_paper):
    folder = toy_paper / "out" / "alfworld" / "agent_model" / "alfworld_toy_wkm" / "dev"
    write_json(folder / "game 1.json", episode("game 1"))
    write_json(folder / "run.json", {})
    plan = plan_of("table3")
    assert plan.games == {"alfworld/dev": ["game 1"], "alfworld/test": []} and plan.runs_of(None) == []
    assert plan.played()[["row", "task_id"]].values.tolist() == [["WKM", "game 1"]]


def test_what_a_person_has_to_mend_is_named(toy_paper):
    with pytest.raises(InputError, match="no such experiment .there are ablations, fig3"):
        Experiment.load("table5")
    with pytest.raises(InputError, match='--task "webshop": toy has alfworld, sciworld'):
        plan_of("table2").runs_of("webshop")
    with pytest.raises(InputError, match='fastchat.json: field "paper" is missing'):
        (toy_paper / "configs/model/fastchat.json").write_text((ROOT / "configs/model/fastchat.json").read_text())
        PaperModel.load("fastchat")
    change_model(toy_paper, repetitions=0)
    with pytest.raises(InputError, match='"paper.repetitions" is 0, expected greater than 0'):
        PaperModel.load("toy")
    change_model(toy_paper, repetitions=1, tasks={"alfworld": 3})
    with pytest.raises(InputError, match='"paper.tasks.alfworld" is 3, expected an object'):
        PaperModel.load("toy")


def test_a_plan_for_a_script_has_a_task_s_settings_and_then_its_runs(toy_paper):
    lines = [line.split("\t") for line in to_lines(plan_of("table2"), "sciworld")]
    alfworld, sciworld, *runs = lines
    assert alfworld[:2] == ["task", "alfworld"] and sciworld[:3] == ["task", "sciworld", "TASK=sciworld"]
    assert f"RECIPE={toy_paper}/other.json" in sciworld and "OUT=out/sciworld" in sciworld
    assert [run[1] for run in runs[:2]] == ["sciworld/dev sft", "sciworld/test sft"]
    wkm, = [run for run in runs if run[1] == "sciworld/dev wkm_run2"]
    assert wkm[2:6] == ["agent_model,world_model", "-", "--method", "wkm"] and "--state_base" in wkm


def test_what_is_trained_anew_lies_in_folders_of_its_own_and_takes_nothing_that_is_shipped(toy_paper):
    change_model(toy_paper, tasks={"sciworld": {"exp_config": "sciworld_toy", "shipped": "shipped"}})
    first, anew = (Plan(Experiment.load("table2"), PaperModel.load("toy", retrained)) for retrained in (False, True))
    assert "SHIPPED=shipped" in to_lines(first)[0].split("\t") and "SHIPPED=" in to_lines(anew)[0].split("\t")
    folders = [str(plan.runs_of(None)[0].folder) for plan in (first, anew)]
    assert folders == [f"{out}/sciworld/experienced_agent/sciworld_toy_sft/dev" for out in ("out", "out_retrained")]


def test_a_model_says_how_many_train_games_its_data_come_from_and_the_environment_says_otherwise(toy_paper, monkeypatch):
    part = {"exp_config": "sciworld_toy", "train_games": 250}
    change_model(toy_paper, tasks={"sciworld": part, "alfworld": {"exp_config": "alfworld_toy"}})

    def limits():
        return [line.split("\t")[-1] for line in to_lines(plan_of("table2")) if line.startswith("task")]

    assert limits() == ["TRAIN_LIMIT=250", "TRAIN_LIMIT="]
    monkeypatch.setenv("TRAIN_LIMIT", "12")
    assert limits() == ["TRAIN_LIMIT=12", "TRAIN_LIMIT=12"]


def test_games_that_are_not_the_paper_s_are_named_in_the_column(toy_paper):
    change_model(toy_paper, tasks={"sciworld": {"exp_config": "sciworld_toy", "games": "toy"}})
    columns = plan_of("fig3").outline().set_index(["task", "split"])["column"]
    assert set(columns["sciworld", "test"]) == {"ScienceWorld (toy) unseen"}
    assert set(columns["webshop", "test"]) == {"WebShop"}


@pytest.mark.parametrize("name", ["tiny", "tiny_held_out", "tiny_joint", "mistral-7b", "gemma-7b", "llama3-8b"])
def test_the_model_configs_name_recipes_and_task_configs_that_exist(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    model = PaperModel.load(name)
    for task in model.tasks:
        assert model.recipe_value(task, "template") == format_of_recipe(model.recipe(task)).template
        assert model.recipe_value(task, "model_name_or_path")
        assert (ROOT / "configs" / "task" / f"{model.exp_config(task)}.json").is_file()
