"""Playing what is missing: in which order the scripts are called, and what a fault costs."""

import pytest

from eval_agent.paper_plan import PaperModel, Plan
from eval_agent.paper_runs import play
from eval_agent.report.published import Experiment
from tests.eval_agent.sciworld_chain import calls, change_model, script


def play_all(name):
    plan = Plan(Experiment.load(name), PaperModel.load("toy"))
    return play(plan.runs_of(None), plan.model)


def programs(folder):
    return [" ".join(call.split()[:3]) for call in calls(folder)]


def test_adapters_then_servers_then_runs_then_the_servers_stop(laboratory):
    assert play_all("table3") == {}  # of ALFWorld only, whose games are not at hand
    assert calls(laboratory) == []
    assert play_all("fig9") == {}
    told = calls(laboratory)
    settings = "TASK=sciworld OUT=out/sciworld BASE_MODEL=other-base EXP_CONFIG=sciworld_toy"
    adapters = ["agent_model", "world_model", "eto", "knowagent", "nat"]
    assert told[:5] == [f"adapters.sh {name} {settings}" for name in adapters]
    assert told[5] == f"serve.sh start {' '.join(adapters)} {settings}"
    assert told[6:8] == ["evaluate wkm dev", "evaluate wkm test"] and told[-2] == "evaluate wkm_run2 test"
    assert told[-1] == f"serve.sh stop {settings}"


def test_what_exists_is_not_played_again(laboratory):
    play_all("fig9")
    (laboratory / "calls.txt").unlink()
    assert play_all("fig9") == {} and calls(laboratory) == []
    next((laboratory / "out" / "sciworld" / "nat").glob("*/dev/*.json")).unlink()
    play_all("fig9")
    assert [call for call in programs(laboratory) if call.startswith("evaluate")] == ["evaluate nat dev"]


def test_a_run_that_fails_is_named_and_the_others_go_on(laboratory, monkeypatch):
    monkeypatch.setenv("BROKEN", "eto")
    failed = play_all("fig9")
    assert list(failed) == ["sciworld/dev eto", "sciworld/test eto"]
    assert (
        "eto_multi_main_probs" in failed["sciworld/dev eto"] and "exit code 1" in failed["sciworld/dev eto"]
    )
    assert "evaluate knowagent test" in programs(laboratory) and programs(laboratory)[-1].startswith(
        "serve.sh stop"
    )


def test_an_adapter_that_cannot_be_trained_costs_its_own_runs(laboratory, monkeypatch):
    monkeypatch.setenv("UNTRAINABLE", "knowagent")
    assert set(play_all("fig9").values()) == {"no adapter knowagent"}
    assert "serve.sh start agent_model world_model eto nat" in "\n".join(calls(laboratory))


def test_servers_that_run_already_are_used_and_left_running(laboratory):
    refuse = 'if [ $1 = start ]; then echo "servers of $OUT are running already" >&2; exit 1; fi\n'
    script(laboratory / "scripts" / "serve.sh", refuse)
    assert play_all("fig9") == {}
    assert not any(call.startswith("serve.sh stop") for call in calls(laboratory))


def test_servers_that_do_not_start_fail_every_run(laboratory):
    script(laboratory / "scripts" / "serve.sh", "[ $1 = stop ]\n")
    failed = play_all("fig9")
    assert len(failed) == 10 and all("serve.sh start" in why for why in failed.values())


def test_an_interrupt_stops_the_servers(laboratory, monkeypatch):
    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setattr("eval_agent.paper_runs.command_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        play_all("fig9")
    assert programs(laboratory)[-1].startswith("serve.sh stop")


def test_the_plain_base_is_served_without_an_adapter_and_bases_are_built_while_serving(laboratory):
    plan = Plan(Experiment.load("fig3"), PaperModel.load("toy"))
    rows = [row for row in plan.experiment.rows if row.method == "prompt"]
    hidden = [row for row in Experiment.load("ablations").rows if row.method == "wkm_hidden"]
    plan.experiment.rows[:] = rows
    assert play(plan.runs_of("sciworld"), plan.model) == {}
    asked = [call.split()[1] for call in calls(laboratory) if call.startswith("adapters.sh")]
    assert asked == ["agent_model", "world_model"]  # its state base is the world model's
    plan = Plan(plan.experiment, plan.model)
    plan.experiment.rows[:] = rows + hidden
    assert play(plan.runs_of("sciworld"), plan.model) == {}
    told = "\n".join(calls(laboratory))
    assert "adapters.sh base" not in told and "serve.sh start agent_model base TASK" in told
    assert "--vector_cache_path out/sciworld/state_base_wkm-hidden" in told and "--encoder wkm-hidden" in told


def test_the_unified_world_model_waits_for_every_task_s_data(laboratory):
    play_all("fig5")
    assert not any("unified" in call for call in calls(laboratory))  # the tasks have different base models
    change_model(laboratory, tasks={"alfworld": "alfworld_toy", "sciworld": "sciworld_toy"})
    play_all("fig5")
    adapters = [" ".join(call.split()[1:3]) for call in calls(laboratory) if call.startswith("adapters.sh")]
    place = adapters.index("unified_world_model TASK=sciworld")
    assert adapters[place - 2 : place] == ["world_model TASK=alfworld", "world_model TASK=sciworld"]
