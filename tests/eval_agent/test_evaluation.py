"""The evaluation command over a real controller, worker, state base and games; the weights are random."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from eval_agent.envs import ProcessEnv
from eval_agent.eto_multi_main_probs import main
from eval_agent.files import read_json, write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.state_base import build_cache
from tests.eval_agent.serving import WORKER

STATES = ["I hold nothing.", "I hold a mug.", "No mug found yet."]


@pytest.fixture(scope="module")
def state_base(base_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    triplets = [
        {"pre_action": f"{verb} mug 1", "state": f"State Knowledge: {state}", "action": action}
        for verb in ("go", "take", "open", "look", "examine")
        for state, action in zip(STATES, ["go to desk 1", "put mug 1 in/on desk 1", "open fridge 1"])
    ]
    write_json(folder / "pairs.json", triplets)
    build_cache(folder / "pairs.json", folder / "cache", load_encoder("wkm-embedding", str(base_model)),
                str(base_model))
    return folder / "cache"


@pytest.fixture
def run(tmp_path, demo_games, state_base, served):
    """Calls the command with small configs; ``run.folder(name)`` holds its results."""
    games = tmp_path / "games"
    shutil.copytree(demo_games.folder, games)
    config = demo_games.task_config.model_dump()
    config["task"]["data_path"] = str(games)
    config["env"]["max_steps"] = 3
    config["agent"]["max_new_tokens"] = 12
    config["world_model"] |= {"max_task_tokens": 16, "max_state_tokens": 8}
    config["planner"]["verbs"] = ["go", "take", "put", "open"]
    config["state_base"]["path"] = str(state_base)
    write_json(tmp_path / "demo.json", config)
    serving = {"controller_address": served.controller}
    write_json(tmp_path / "served.json", {"agent_class": "FastChatAgent", "config": serving})

    def arguments(*extra):
        return ["--agent_config", str(tmp_path / "served.json"), "--exp_config", str(tmp_path / "demo.json"),
                "--agent_model_name", "agent_model", "--output_dir", str(tmp_path / "out"), *extra]

    def call(*extra):
        return main(arguments(*extra))

    call.arguments = arguments
    call.games = games
    call.folder = lambda name: tmp_path / "out" / "agent_model" / f"demo_{name}"
    call.path = tmp_path
    return call


def episodes(folder):
    return {path.name: read_json(path) for path in sorted(folder.glob("*__*.json"))}


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*__*.json")}


WKM = ("--world_model_name", "world_model")


def test_planning_with_the_world_model(run, capsys):
    assert run(*WKM, "--split", "train", "--exp_name", "wkm", "--num_workers", "2") == 0
    played = episodes(run.folder("wkm") / "train")
    assert len(played) == 2
    for result in played.values():
        assert result["meta"]["terminate_reason"] == "max_steps" and result["meta"]["steps"] == 3
        task, knowledge = (turn["value"] for turn in result["world_model_conversations"][2:4])
        assert result["conversations"][2]["value"] == f"{task}\n{knowledge}"
        first, *planned = result["decisions"]
        assert first["p_agent"] is None and len(planned) == 2
        for decision, reply in zip(planned, result["conversations"][5::2]):
            assert sum(decision["p_agent"].values()) == pytest.approx(1)
            assert sum(decision["blend"].values()) == pytest.approx(1)
            assert decision["verb"] == max(decision["blend"], key=decision["blend"].get)
            assert f"\nAction: {decision['verb']}" in reply["value"]
    summary = read_json(run.folder("wkm") / "train" / "summary.json")
    assert (summary["games"], summary["failures"], summary["average_steps"]) == (2, [], 3.0)
    assert summary["settings"]["task_config"]["planner"]["gamma"] == 0.4
    assert len(summary["by_task_type"]) == 2
    assert f"results in {run.folder('wkm') / 'train'}" in capsys.readouterr().out


def test_a_seed_repeats_a_run_that_samples(run, capsys):
    for name, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        assert run(*WKM, "--split", "train", "--exp_name", name, "--seed", seed) == 0
    one, again, two = ([result["conversations"] for result in episodes(run.folder(name) / "train").values()]
                       for name in ("one", "again", "two"))
    assert one == again and all(first != second for first, second in zip(one, two))
    with pytest.raises(SystemExit):
        run(*WKM, "--split", "train", "--exp_name", "two")
    assert "seed: 2 there, 1 now" in capsys.readouterr().err
    assert run("--split", "dev", "--seed", "1") == run("--split", "dev", "--seed", "2") == 0  # greedy: no matter


def test_episodes_shared_with_another_gamma_are_those_that_would_be_played(run, capsys):
    def play(name, gamma, *extra):
        assert run(*WKM, "--split", "train", "--exp_name", name, "--gamma", gamma, *extra) == 0
        return episodes(run.folder(name) / "train")

    first = play("first", "0.4", "--limit", "1")
    capsys.readouterr()
    shared = play("shared", "0.41", "--share_gammas")
    assert f"1 of 2 episodes taken from {run.folder('first') / 'train'}" in capsys.readouterr().out
    for name, played in play("played", "0.41").items():
        assert ("taken_from" in shared[name]["meta"]) == (name in first)
        assert shared[name]["conversations"] == played["conversations"]
        for one, other in zip(shared[name]["decisions"], played["decisions"], strict=True):
            assert one | {"blend": None, "p_agent": None} == other | {"blend": None, "p_agent": None}
            assert one["blend"] == pytest.approx(other["blend"], abs=1e-5)


def test_a_stock_fastchat_worker_serves_the_same_evaluation(run):
    assert run(*WKM, "--split", "dev", "--agent_model_name", "stock_agent") == 0
    result, = episodes(run.path / "out" / "stock_agent" / "demo_eval" / "dev").values()
    assert sum(result["decisions"][2]["p_agent"].values()) == pytest.approx(1)


def test_finished_episodes_are_kept_without_any_server(run):
    assert run("--split", "train", "--limit", "1") == 0
    folder = run.folder("eval") / "train"
    before = stamps(folder)
    assert run("--split", "train") == 0
    after = stamps(folder)
    assert len(after) == 2 and before.items() <= after.items()
    model = read_json(run.path / "served.json")
    model["config"]["controller_address"] = "http://localhost:9"  # nothing listens there
    write_json(run.path / "served.json", model)
    assert run("--split", "train") == 0 and stamps(folder) == after


def test_a_limit_after_a_full_run_sums_up_the_games_asked_for(run, capsys):
    assert run("--split", "train") == 0
    assert run("--split", "train", "--limit", "1") == 0
    assert "1 games: average reward" in capsys.readouterr().out
    assert read_json(run.folder("eval") / "train" / "summary.json")["games"] == 1


def test_parts_on_several_machines_give_the_summary_of_one_run(run, capsys):
    greedy = read_json(run.path / "demo.json")
    greedy["agent"]["temperature_with_knowledge"] = 0.0
    write_json(run.path / "demo.json", greedy)
    assert run(*WKM, "--split", "train", "--exp_name", "whole") == 0
    whole = read_json(run.folder("whole") / "train" / "summary.json")
    for index in ("0", "1"):
        part = ("--part_num", "2", "--part_idx", index, "--exp_name", "parts")
        assert run(*WKM, "--split", "train", *part) == 0
        assert "1 games: average reward" in capsys.readouterr().out.splitlines()[-2]
    folder = run.folder("parts") / "train"
    before = stamps(folder)
    assert len(before) == 2 and not (folder / "summary.json").exists()
    assert run(*WKM, "--split", "train", "--exp_name", "parts") == 0
    assert stamps(folder) == before and read_json(folder / "summary.json") == whole
    with pytest.raises(SystemExit):
        run("--part_num", "2", "--part_idx", "2")
    assert "--part_idx is 2, expected 0 to 1" in capsys.readouterr().err


def test_greedy_results_are_the_same_alone_and_side_by_side(run):
    greedy = read_json(run.path / "demo.json")
    greedy["agent"]["temperature_with_knowledge"] = 0.0
    write_json(run.path / "demo.json", greedy)
    for name, workers in (("alone", "1"), ("together", "2")):
        assert run(*WKM, "--split", "train", "--exp_name", name, "--num_workers", workers) == 0
    alone, together = (episodes(run.folder(name) / "train") for name in ("alone", "together"))
    assert alone.keys() == together.keys()
    for name in alone:
        assert alone[name]["conversations"] == together[name]["conversations"]
        assert alone[name]["world_model_conversations"] == together[name]["world_model_conversations"]


def test_another_worker_takes_over_from_one_that_is_killed(run, served, adapters):
    flags = [flag for name in adapters for flag in ("--model-path", str(adapters[name]), "--model-names",
                                                    f"twice_{name}")]
    first, second = (served.servers.start(WORKER, *flags) for _ in range(2))
    for worker in (first, second):
        worker.wait("/worker_get_status")
    models = ("--agent_model_name", "twice_agent_model", "--world_model_name", "twice_world_model")
    folder = run.path / "out" / "twice_agent_model" / "demo_eval" / "train"
    command = [sys.executable, "-m", "eval_agent.eto_multi_main_probs", *run.arguments(*models, "--split", "train")]
    process = subprocess.Popen([*command, "--num_workers", "2"], stderr=subprocess.PIPE, text=True)
    while "worker_generate" not in first.log.read_text():  # it has work
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    first.process.kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    played = episodes(folder).values()
    assert [(result["meta"]["finished"], result["meta"]["steps"]) for result in played] == [(True, 3)] * 2
    assert "worker_generate" in second.log.read_text()
    second.process.kill()


def test_splits_have_folders_of_their_own(run):
    assert run("--split", "seen") == run("--split", "train") == 0
    assert len(episodes(run.folder("eval") / "dev")) == 1 and len(episodes(run.folder("eval") / "train")) == 2


def test_other_settings_are_refused_or_replace_all(run, capsys):
    assert run(*WKM, "--split", "train") == 0
    with pytest.raises(SystemExit):
        run(*WKM, "--split", "train", "--gamma", "1")
    assert "task_config.planner.gamma: 0.4 there, 1.0 now" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--split", "train")
    assert "world_model_name: 'world_model' there, None now" in capsys.readouterr().err

    before = stamps(run.folder("eval") / "train")
    assert run(*WKM, "--split", "train", "--gamma", "1", "--limit", "1", "--override") == 0
    left = stamps(run.folder("eval") / "train")
    assert len(left) == 1 and not left.items() & before.items()
    result, = episodes(run.folder("eval") / "train").values()
    assert all(decision["blend"] == decision["p_agent"] for decision in result["decisions"])


def test_a_technical_failure_is_recorded_and_retried(run, capsys):
    game = next(run.games.glob("train/pick_and*/*/game.tw-pddl"))
    whole = game.read_text()
    game.write_text(json.dumps({**json.loads(whole), "pddl_problem": "(define (problem"}))
    assert run("--split", "train") == 1
    assert "1 without a result for technical reasons" in capsys.readouterr().out
    folder = run.folder("eval") / "train"
    metas = {name: result["meta"] for name, result in episodes(folder).items()}
    (failed_name, failed), = [(name, meta) for name, meta in metas.items() if not meta["finished"]]
    assert failed_name.startswith("pick_and") and failed["terminate_reason"] == "error" and failed["error"]
    failure = {"task_id": failed["task_id"], "error": failed["error"]}
    assert read_json(folder / "summary.json")["failures"] == [failure]

    before = stamps(folder)
    game.write_text(whole)
    assert run("--split", "train") == 0
    assert {name for name, stamp in stamps(folder).items() if before[name] != stamp} == {failed_name}


def test_a_fault_of_the_program_ends_the_run_after_the_running_episodes(run, monkeypatch):
    """Its traceback stays in the episode's file; what is finished is kept, and the next run plays that one again."""
    broken = next(run.games.glob("train/pick_and*/*/game.tw-pddl")).parent
    task_id = f"{broken.parent.name}__{broken.name}"
    reset, other_runs = ProcessEnv.reset, threading.Event()

    def faulty(env, task):
        if task.task_id == task_id:
            other_runs.wait(30)
            return {}["no such key"]
        other_runs.set()
        return reset(env, task)

    monkeypatch.setattr(ProcessEnv, "reset", faulty)
    with pytest.raises(KeyError, match="no such key"):
        run("--split", "train", "--num_workers", "2")
    played = {result["meta"]["task_id"]: result for result in episodes(run.folder("eval") / "train").values()}
    assert len(played) == 2 and "faulty" in played[task_id]["traceback"]
    assert {result["meta"]["finished"] for name, result in played.items() if name != task_id} == {True}
    monkeypatch.undo()
    assert run("--split", "train") == 0


def test_a_run_whose_episodes_all_fail_stops(run, capsys):
    game = next(run.games.glob("valid_seen/*/*"))
    (game / "game.tw-pddl").write_text('{"solvable": true}')
    for number in range(40):
        shutil.copytree(game, game.parent / f"trial_{number:02d}")
    assert run("--split", "dev") == 1
    assert "5 episodes in a row failed" in capsys.readouterr().out
    summary = read_json(run.folder("eval") / "dev" / "summary.json")
    assert summary["games"] == 0 and summary["average_reward"] is None
    assert len(summary["failures"]) + len(summary["not_played"]) == 41
    assert summary["not_played"]


def test_a_killed_run_is_continued_and_a_second_one_beside_it_refused(run, capsys):
    folder = run.folder("eval") / "train"
    command = [sys.executable, "-m", "eval_agent.eto_multi_main_probs", *run.arguments("--split", "train")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not stamps(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(SystemExit):
        run("--split", "train")
    assert f"process {process.pid} on " in capsys.readouterr().err
    os.kill(process.pid, signal.SIGKILL)  # while the second episode is under way
    process.wait()
    before = stamps(folder)
    assert before
    assert all(result["meta"]["finished"] for result in episodes(folder).values())
    assert run("--split", "train") == 0
    after = stamps(folder)
    assert len(after) == 2 and before.items() <= after.items()


@pytest.fixture
def short_texts(run):
    """Instructions that leave room in the random model's context, in place of the shipped ones."""
    config = read_json(run.path / "demo.json")
    for role in ("agent", "react", "reflection", "knowagent", "world_model_prompt"):
        (run.path / f"house_{role}.txt").write_text(f"Text for {role}.")
    config["agent"]["instruction"] = str(run.path / "house_agent.txt")
    write_json(run.path / "demo.json", config)


def by_method(run, method, *extra):
    """The only episode of dev, played by ``method`` with the served adapters."""
    agent, = [extra[i + 1] for i, flag in enumerate(extra) if flag == "--agent_model_name"] or ["agent_model"]
    assert run("--method", method, *extra) == 0
    result, = episodes(run.path / "out" / agent / f"demo_{method}" / "dev").values()
    assert result["meta"]["finished"] and result["meta"]["steps"] == 3
    return result


def test_prompted_methods_need_only_the_base(run, short_texts):
    result = by_method(run, "reflexion", "--agent_model_name", "base")
    first, = result["trials"]
    assert first["meta"]["steps"] == 3 and not first["meta"]["success"]
    assert first["conversations"][0]["value"] == result["conversations"][0]["value"] == "Text for react."
    assert first["reflection"] and result["conversations"][2]["value"].endswith(first["reflection"])
    result = by_method(run, "prompt")
    assert result["world_model_conversations"][0]["value"] == "Text for world_model_prompt."
    assert result["decisions"][2]["p_agent"]


def test_methods_without_a_planner_need_no_state_base(run, short_texts):
    nowhere = ("--state_base", str(run.path / "nowhere"))
    result = by_method(run, "knowagent", *nowhere, "--agent_model_name", "agent_model")
    assert "\nAction Path: start" in result["conversations"][2]["value"] and result["decisions"] == []
    result = by_method(run, "explicit_state", *nowhere, "--agent_model_name", "agent_model")
    known = result["decisions"][1]["state_knowledge"]
    assert known and result["conversations"][4]["value"].endswith("\n" + known)
    settings = read_json(run.folder("explicit_state") / "dev" / "run.json")
    assert settings["method"]["state_knowledge"] == "context"
    assert settings["task_config"].keys() == {"task", "env", "agent", "world_model"}


def test_a_strong_agent_is_guided_over_a_chat_endpoint(run, short_texts, served, serve):
    strong = serve(lambda messages: f"Thought: {len(messages)}.\nAction: look\nObservation: none")
    write_json(run.path / "strong.json", {"agent_class": "OpenAIAgent", "config": {
        "model_name": "tiny", "api_base": strong.address}})
    models = ("--agent_config", str(run.path / "strong.json"), "--agent_model_name", "tiny")
    result = by_method(run, "weak_guide_strong", *models, "--world_config", str(run.path / "served.json"))
    task, knowledge = (turn["value"] for turn in result["world_model_conversations"][2:4])
    assert result["conversations"][2]["value"] == f"{task}\n{knowledge}"
    assert result["conversations"][3]["value"] == "Thought: 3.\nAction: look"
    last = strong.requests[-1]
    assert last["temperature"] == 0
    assert [message["role"] for message in last["messages"][-2:]] == ["assistant", "user"]
    assert by_method(run, "react_strong", *models)["conversations"][2]["value"] == task


def test_a_method_continues_a_run_that_was_made_without_naming_it(run):
    assert run("--split", "train", "--limit", "1") == 0
    folder = run.folder("eval") / "train"
    before = stamps(folder)
    assert run("--method", "sft", "--exp_name", "eval", "--split", "train") == 0
    assert len(stamps(folder)) == 2 and before.items() <= stamps(folder).items()


def test_the_release_s_flags_are_accepted(run, capsys):
    assert run("--split", "train", "--debug", "--verbose") == 0
    assert capsys.readouterr().out.count(": max_steps after 3 steps, reward 0.00") == 2


def test_methods_do_not_share_a_folder(run, capsys):
    assert run("--method", "wkm", "--limit", "1") == 0
    for other, difference in (
        (("--method", "w_task"), "method.state_knowledge: 'planner' there, 'none' now"),
        (("--method", "wkm_exact"), "task_config.planner.pre_action_rule: 'verb' there, 'exact' now"),
        (("--method", "human"), "method.task_knowledge: 'world_model' there, 'human_knowledge' now"),
        (("--method", "wkm", "--n_neighbours", "7"), "task_config.planner.n_neighbours: 3000 there, 7 now"),
    ):
        with pytest.raises(SystemExit):
            run(*other, "--exp_name", "wkm")
        assert difference in capsys.readouterr().err


def test_a_method_that_cannot_play_ends_early(run, capsys):
    def message(*extra):
        with pytest.raises(SystemExit) as ended:
            run(*extra)
        assert ended.value.code == 2 and not (run.path / "out").exists()
        return capsys.readouterr().err

    assert "no such config" in (told := message("--method", "wmk")) and "knowagent, merge" in told
    assert 'method "nat" has no world model' in message("--method", "nat", *WKM)
    assert '--gamma is for planning with state knowledge: which method "w_task" does not do' in message(
        "--method", "w_task", "--gamma", "1")
    none = ("--n_neighbours", "0")
    assert '--n_neighbours: field "planner.n_neighbours" is 0' in message("--method", "wkm", *none)
    assert 'no worker serves model "nobody"' in message("--method", "nat", "--agent_model_name", "nobody")
    assert 'no worker serves model "unified_world_model"' in message("--method", "wkm_unified")
    assert "built with encoder wkm-embedding" in message("--method", "wkm_hidden")
    config = read_json(run.path / "demo.json")
    config["agent"]["instruction"] = "eval_agent/prompt/instructions/wordle_agent.txt"
    write_json(run.path / "demo.json", config)
    assert "wordle_react.txt is missing" in message("--method", "react")


def test_models_in_another_chat_format_than_the_recipe_s_are_refused_before_the_first_game(run, capsys):
    config = {**read_json(run.path / "served.json"), "recipe": "configs/train/mistral.json"}
    write_json(run.path / "served.json", config)
    gemma = {"agent": ("--agent_model_name", "gemma_agent"), "world model": ("--world_model_name", "gemma_agent")}
    for flags in gemma.values():
        with pytest.raises(SystemExit) as ended:
            run("--split", "train", *flags)
        told = capsys.readouterr().err
        assert ended.value.code == 2 and 'gemma_agent at http' in told and 'its chat format is "gemma"' in told
        assert "/run_settings.json" in told and "configs/train/mistral.json" in told
    assert not (run.path / "out").exists()
    assert run("--split", "train", "--limit", "1") == 0
    settings = read_json(run.folder("eval") / "train" / "run.json")
    assert settings["model_config"]["config"] == {"template": "mistral_v02"}


def test_without_a_method_an_agent_has_to_be_named(capsys):
    for flags in ([], ["--method", "react_strong"]):
        with pytest.raises(SystemExit):
            main(["--exp_config", "alfworld", *flags])
        assert "no agent model: give --agent_model_name" in capsys.readouterr().err


def test_bad_input_ends_early(run, capsys, state_base):
    def message(*extra):
        with pytest.raises(SystemExit) as ended:
            run(*extra)
        assert ended.value.code == 2
        return capsys.readouterr().err

    assert "agent_model" in message("--agent_model_name", "nobody")  # the message lists what is served
    assert not (run.path / "out" / "nobody").exists()
    assert "nobody" in message("--world_model_name", "nobody")
    assert "give --world_model_name" in message("--gamma", "1")
    assert "state_base_build.py" in message(*WKM, "--state_base", str(run.path / "nowhere"))
    assert "holds no triplets of explored trajectories" in message("--method", "wkm_explored")
    assert 'no split "test"' in message("--split", "test")
    shutil.rmtree(run.games / "train")
    assert str(run.games / "train") in message("--split", "train")
    model = read_json(run.path / "served.json")
    model["config"]["controller_address"] = "http://localhost:9"
    write_json(run.path / "served.json", model)
    assert "http://localhost:9" in message("--split", "dev")
