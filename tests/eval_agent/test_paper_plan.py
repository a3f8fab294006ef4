"""Which runs a table needs, how often, where their results lie, and which of them exist."""

import json

import pytest

from eval_agent.agents.chat_format import format_of_recipe
from eval_agent.config import load_method
from eval_agent.errors import InputError
from eval_agent.paper_plan import PaperModel, Plan, describe
from eval_agent.report.published import Experiment
from eval_agent.report.published import names as names_of_experiments
from tests.eval_agent.laboratory import ROOT, change_model, episode, write_json, write_run


def plan_of(name, model="toy"):
    return Plan(Experiment.load(name), PaperModel.load(model))


def names(plan):
    return [run.exp_name for run in plan.runs_of(None) if run.split == "dev"]


def test_a_run_is_repeated_where_the_agent_s_temperature_is_above_zero(laboratory):
    assert names(plan_of("table2")) == ["sft", "nat", "eto", "knowagent", "wkm", "wkm_run2"]
    cells = plan_of("table2").cells
    assert [len(cells["WKM", column]) for column in ("alfworld/dev", "sciworld/dev", "webshop/test")] == [
        0,
        2,
        0,
    ]


def test_a_run_s_folder_and_flags_are_the_contract_s(laboratory):
    (run,) = [
        run
        for run in plan_of("table7").runs_of(None)
        if run.exp_name == "wkm_gamma0.3_run2" and run.split == "dev"
    ]
    assert str(run.folder) == "out/sciworld/agent_model/sciworld_toy_wkm_gamma0.3_run2/dev"
    assert run.served == ("agent_model", "world_model") and len(run.games) == 4
    flags = " ".join(run.arguments)
    assert "--method wkm --exp_config sciworld_toy --exp_name wkm_gamma0.3_run2 --split dev" in flags
    assert "--seed 2 --agent_config toy --gamma 0.3 --state_base out/sciworld/state_base" in flags


def test_the_task_s_own_gamma_is_the_wkm_s_run(laboratory):
    cells = plan_of("table7").cells
    assert cells["γ = 0.7", "sciworld/dev"] == cells["WKM (the task's γ)", "sciworld/dev"]
    assert names(plan_of("table7")).count("wkm") == 1 and "wkm_gamma0.7" not in names(plan_of("table7"))
    assert {"wkm_gamma0", "wkm_gamma1", "wkm_gamma0.1_run2"} <= set(names(plan_of("table7")))


def test_another_encoder_has_a_state_base_of_its_own(laboratory):
    runs = {run.exp_name: run for run in plan_of("ablations").runs_of(None)}
    assert "out/sciworld/state_base_wkm-hidden" in runs["wkm_hidden"].arguments
    assert "--n_neighbours 10" in " ".join(runs["wkm_n10"].arguments)


def test_the_dry_run_counts_episodes_and_says_what_is_there(laboratory):
    plan = plan_of("table2")
    runs = {(run.exp_name, run.split): run for run in plan.runs_of(None)}
    write_run(runs["sft", "test"], [episode(game) for game in runs["sft", "test"].games])
    games = runs["nat", "dev"].games
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
    assert "cannot be played: webshop/test: there is no WebShop here" in told


def test_a_strong_agent_is_the_model_config_s_or_missing(laboratory):
    assert not plan_of("table4").runs_of(None)
    change_model(
        laboratory,
        strong={"backbone": "GPT-4", "agent_model_name": "gpt-4"},
        tasks={"alfworld": "sciworld_toy"},
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


def test_results_without_the_games_at_hand_are_shown_and_not_played(laboratory):
    folder = laboratory / "out" / "alfworld" / "agent_model" / "alfworld_toy_wkm" / "dev"
    write_json(folder / "game 1.json", episode("game 1"))
    write_json(folder / "run.json", {})
    plan = plan_of("table3")
    assert plan.columns == {"alfworld/dev": ("game 1",), "alfworld/test": ()} and plan.runs_of(None) == []
    assert plan.played()["WKM", "alfworld/dev"].episodes == 1


def test_what_a_person_has_to_mend_is_named(laboratory):
    with pytest.raises(InputError, match="no such experiment .there are ablations, fig3"):
        Experiment.load("table5")
    with pytest.raises(InputError, match='--task "webshop": toy has alfworld, sciworld'):
        plan_of("table2").runs_of("webshop")
    change_model(laboratory, tasks={"alfworld": 3})
    with pytest.raises(InputError, match='"paper.tasks.alfworld" is 3'):
        PaperModel.load("toy")
    change_model(laboratory, repetitions=0)
    with pytest.raises(InputError, match='"paper.repetitions" is 0, expected a positive whole number'):
        PaperModel.load("toy")


@pytest.mark.parametrize("name", ["tiny", "mistral-7b", "gemma-7b", "llama3-8b"])
def test_the_model_configs_name_recipes_and_task_configs_that_exist(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    model = PaperModel.load(name)
    recipe = json.loads((ROOT / model.recipe).read_text())
    assert recipe["template"] == format_of_recipe(model.recipe).template
    assert recipe["model_name_or_path"] == model.base_model("alfworld")
    assert all(
        (ROOT / "configs" / "task" / f"{model.exp_config(task)}.json").is_file() for task in model.tasks
    )
