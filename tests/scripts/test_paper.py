"""scripts/paper.sh: what it trains, serves and plays, in which order, and what a fault costs."""

import json
import shutil
import subprocess

import pytest

from tests.eval_agent.toy_paper import calls, change_model, of_sciworld


def paper(*arguments, code=0) -> subprocess.CompletedProcess:
    done = subprocess.run(["bash", "scripts/paper.sh", *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def programs(folder):
    return [" ".join(call.split()[:3]) for call in calls(folder)]


def test_adapters_then_servers_then_runs_then_the_servers_stop(toy_paper):
    paper("table3", "toy")  # of ALFWorld only, whose games are not at hand
    assert calls(toy_paper) == []
    done = paper("fig9", "toy")
    noted = calls(toy_paper)
    settings = f"TASK=sciworld OUT=out/sciworld RECIPE={toy_paper}/other.json EXP_CONFIG=sciworld_toy"
    names = ["agent_model", "world_model", "state_base", "eto", "knowagent", "nat"]
    assert noted[:6] == [f"train.sh {name} {settings}" for name in names]
    served = " ".join(name for name in names if name != "state_base")
    assert noted[6:8] == [f"serve.sh served {served} {settings}", f"serve.sh start {served} {settings}"]
    assert noted[8:10] == ["evaluate wkm dev", "evaluate wkm test"] and noted[-2] == "evaluate wkm_run2 test"
    assert noted[-1] == f"serve.sh stop {settings}"
    assert "wrote outputs/paper/toy/fig9" in done.stdout and (toy_paper / "outputs/paper/toy/fig9.md").is_file()


def test_another_engine_plays_the_same_runs(toy_paper, monkeypatch):
    """vLLM's clients take the chat format from the recipe, each task's own."""
    monkeypatch.setenv("ENGINE", "vllm")
    (toy_paper / "evaluation.py").write_text(
        "import os, sys\nwith open('calls.txt', 'a') as calls:\n    print('evaluate', *sys.argv, os.environ['RECIPE'], file=calls)\n"
    )
    paper("fig9", "toy", code=0)
    played = [call for call in calls(toy_paper) if call.startswith("evaluate")]
    assert played and all(" --agent_config openai " in call for call in played)
    assert all(call.endswith(f" {toy_paper}/other.json") for call in played)


def test_what_exists_is_not_played_again(toy_paper):
    paper("fig9", "toy")
    (toy_paper / "calls.txt").unlink()
    paper("fig9", "toy")
    assert calls(toy_paper) == []
    next((toy_paper / "out" / "sciworld" / "nat").glob("*/dev/*.json")).unlink()
    paper("fig9", "toy")
    assert [call for call in programs(toy_paper) if call.startswith("evaluate")] == ["evaluate nat dev"]


@pytest.mark.parametrize("flag", ["--dry_run", "--no_run"])
def test_nothing_is_played_where_only_the_runs_or_the_table_are_asked_for(toy_paper, flag):
    done = paper("fig9", "toy", flag)
    assert calls(toy_paper) == [] and "10 runs, 30 episodes, 30 of them to be played" in done.stdout
    assert (toy_paper / "outputs/paper/toy/fig9.md").is_file() == (flag == "--no_run")


def test_a_run_that_fails_is_named_and_the_others_go_on(toy_paper, monkeypatch):
    monkeypatch.setenv("BROKEN", "eto")
    done = paper("fig9", "toy", code=1)
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert failed == ["failed: sciworld\tsciworld/dev eto", "failed: sciworld\tsciworld/test eto"]
    assert "evaluate knowagent test" in programs(toy_paper) and programs(toy_paper)[-1].startswith("serve.sh stop")
    assert "wrote outputs/paper/toy/fig9" in done.stdout


def test_an_adapter_that_cannot_be_trained_costs_its_own_runs(toy_paper, monkeypatch):
    monkeypatch.setenv("UNTRAINABLE", "knowagent")
    done = paper("fig9", "toy", code=1)
    assert done.stderr.count("no adapter knowagent") == 2
    assert "serve.sh start agent_model world_model eto nat TASK" in "\n".join(calls(toy_paper))


def test_models_that_are_served_already_are_used_and_left_running(toy_paper, monkeypatch):
    monkeypatch.setenv("SERVE_FAILS_TO", "nothing")
    paper("fig9", "toy")
    assert [call.split()[1] for call in calls(toy_paper) if call.startswith("serve.sh")] == ["served"]


def test_servers_that_do_not_start_fail_every_run(toy_paper):
    (toy_paper / "scripts" / "serve.sh").write_text("[ $1 = stop ]\n")
    paper("fig9", "toy", code=1)
    assert not any(call.startswith("evaluate") for call in calls(toy_paper))


def test_the_plain_base_is_served_without_an_adapter_and_bases_are_built_while_serving(toy_paper):
    experiment = json.loads((toy_paper / "configs/paper/fig3.json").read_text())
    hidden = json.loads((toy_paper / "configs/paper/ablations.json").read_text())["rows"]
    experiment["rows"] = [row for row in experiment["rows"] if row["method"] == "prompt"]
    experiment["rows"] += [row for row in hidden if row["method"] == "wkm_hidden"]
    experiment["references"] = []
    (toy_paper / "configs/paper/fig3.json").write_text(json.dumps(experiment))
    paper("fig3", "toy")
    noted = "\n".join(calls(toy_paper))
    assert "serve.sh start agent_model base world_model TASK" in noted
    assert "--vector_cache_path out/sciworld/state_base_wkm-hidden" in noted and "--encoder wkm-hidden" in noted


def test_the_base_with_explored_triplets_is_made_like_an_adapter_and_not_served(toy_paper):
    of_sciworld(toy_paper / "configs/paper/variants.json")
    experiment = json.loads((toy_paper / "configs/paper/variants.json").read_text())
    experiment |= {"rows": [row for row in experiment["rows"] if row["method"] == "wkm_explored"], "references": []}
    (toy_paper / "configs/paper/variants.json").write_text(json.dumps(experiment))
    paper("variants", "toy")
    assert [call.split()[1] for call in calls(toy_paper) if call.startswith("train.sh")] == [
        "agent_model", "world_model", "state_base", "state_base_explored"]
    assert any(call.startswith("serve.sh start agent_model world_model TASK") for call in calls(toy_paper))
    assert not any(call.startswith("build") for call in calls(toy_paper))


def test_all_is_an_estimate_and_then_every_table_and_figure(toy_paper):
    (toy_paper / "bin" / "python").write_text('#!/bin/bash\necho "$*" >> calls.txt\n')
    paper("all", "toy", "--task", "sciworld", "--dry_run", "--retrain")
    estimate, *tables = calls(toy_paper)
    assert estimate == "-m eval_agent.report.estimate toy --task sciworld --retrain"
    assert {line.split()[2] for line in tables} == {path.stem for path in (toy_paper / "configs" / "paper").glob("*.json")}
    assert all(line.endswith("toy --task sciworld --dry_run --retrain") for line in tables)


def test_what_fails_of_all_is_named_and_the_rest_goes_on(toy_paper):
    (toy_paper / "bin" / "python").write_text('#!/bin/bash\necho "$*" >> calls.txt\n[[ $* != *fig4* ]]\n')
    assert "not complete: fig4 (the same command goes on)" in paper("all", "toy", "--no_run", code=1).stderr
    assert "-m eval_agent.report.paper variants toy" in calls(toy_paper)
    assert not any("estimate" in call for call in calls(toy_paper))


def test_a_unified_world_model_needs_tasks_with_one_base(toy_paper):
    paper("fig5", "toy")
    assert not any(call.startswith("train.sh unified") for call in calls(toy_paper))
    tasks = {task: {"exp_config": f"{task}_toy"} for task in ("alfworld", "sciworld")}
    change_model(toy_paper, tasks=tasks)
    shutil.rmtree(toy_paper / "out")
    paper("fig5", "toy")
    trained = [(name, settings.split()[0]) for _, name, settings in
               (call.split(maxsplit=2) for call in calls(toy_paper) if call.startswith("train.sh"))]
    assert trained[:2] == [("world_model", "TASK=alfworld"), ("world_model", "TASK=sciworld")]  # it reads the data of both
    assert ("unified_world_model", "TASK=sciworld") in trained[2:]
