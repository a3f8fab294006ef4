"""state_base_build.py from knowledge to a cache that evaluation loads, and from published triplets."""

import subprocess
import sys

import pytest
from alfworld_pairs import answered_turns, make_pairs, run_main

import state_base_build
from eval_agent.files import read_json, write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.state_base import StateBase, recorded_encoder_model


@pytest.fixture
def build(tmp_path, monkeypatch):
    def call(*arguments) -> int:
        return run_main(
            state_base_build,
            monkeypatch,
            "--state_action_pair_path",
            tmp_path / "triplets.json",
            "--vector_cache_path",
            tmp_path / "cache",
            *arguments,
        )

    return call


@pytest.fixture
def known_pairs(tmp_path):
    pairs = make_pairs()
    for pair in pairs:
        for number, turn in enumerate(answered_turns(pair)):
            turn["state_knowledge"] = f"State Knowledge: {pair['chosen']['id']}, {number} done."
    write_json(tmp_path / "pairs.json", pairs)
    return tmp_path / "pairs.json"


def test_from_state_knowledge_to_retrieval(build, known_pairs, adapters, tmp_path, capsys):
    assert build("--state_file_path", known_pairs, "--encoder_model", adapters["world_model"]) == 0
    triplets = read_json(tmp_path / "triplets.json")
    assert len(triplets) == 12
    assert triplets[1] == {
        "pre_action": "go to countertop 1",
        "state": "State Knowledge: mug, 1 done.",
        "action": "take mug 1 from countertop 1",
    }
    output = capsys.readouterr().out
    assert "12 triplets written to" in output and "by pre-action verb: look 2, go 5" in output
    model = recorded_encoder_model(tmp_path / "cache")
    assert model == str(adapters["world_model"])
    state_base = StateBase.load(tmp_path / "cache", load_encoder("wkm-embedding", model))
    assert state_base.next_actions("State Knowledge: mug, 1 done.", "go to shelf 8", 1) == [
        "take mug 1 from countertop 1"
    ]


def test_explored_trajectories_add_triplets_and_need_the_expert_s(build, known_pairs, base_model, tmp_path, capsys):
    (pair, _) = make_pairs()
    explored = pair["rejected"]  # its second action was refused
    for number, turn in enumerate(explored["conversations"][::2]):
        turn["state_knowledge"] = f"State Knowledge: explored, {number} done."
    write_json(tmp_path / "explored.json", [{**explored, "invalid_steps": [1]}])
    more = ("--explored_path", tmp_path / "explored.json", "--encoder_model", base_model)
    assert build("--state_file_path", known_pairs, *more) == 0
    triplets = read_json(tmp_path / "triplets.json")
    assert len(triplets) == 14 and sum("explored" in triplet for triplet in triplets) == 2
    assert triplets[-1] | {"state": ""} == {"pre_action": "take mug 1 from cabinet 2", "state": "", "action": "go to fridge 1",
                                            "explored": True, "failed": True}
    assert StateBase.load(tmp_path / "cache", load_encoder("wkm-embedding", str(base_model))).explored
    assert build(*more) == 2 and "--explored_path adds to what --state_file_path names" in capsys.readouterr().err


def test_from_published_triplets(build, base_model, tmp_path):
    write_json(
        tmp_path / "triplets.json",
        [{"pre_action": "look", "state": "State Knowledge: x", "action": "search"}],
    )
    assert build("--encoder", "wkm-embedding", "--encoder_model", base_model) == 0
    encoder = load_encoder("wkm-embedding", str(base_model))
    assert StateBase.load(tmp_path / "cache", encoder).next_actions("y", "look", 3000) == ["search"]


def test_the_three_flags_of_the_release_are_enough(build, known_pairs, tmp_path):
    assert build("--state_file_path", known_pairs) == 0
    assert recorded_encoder_model(tmp_path / "cache").endswith("data/tiny-mistral")


def test_bad_input_is_named(build, known_pairs, base_model, tmp_path, capsys):
    assert build("--encoder_model", base_model) == 2
    assert "triplets.json: no such file; give --state_file_path" in capsys.readouterr().err
    assert build("--state_file_path", known_pairs, "--encoder", "wkm-hidden") == 2
    assert "encoder wkm-hidden needs encoder_model" in capsys.readouterr().err
    assert build("--state_file_path", known_pairs, "--exp_config", "alfred") == 2
    assert "no such config" in capsys.readouterr().err
    pairs = make_pairs()
    write_json(tmp_path / "bare.json", pairs)
    assert build("--state_file_path", tmp_path / "bare.json", "--encoder_model", base_model) == 2
    assert (
        "bare.json: record 0: chosen: conversations[0].state_knowledge is missing" in capsys.readouterr().err
    )
    write_json(tmp_path / "triplets.json", [{"pre_action": "look", "state": "x"}])
    assert build("--encoder_model", base_model) == 2
    assert 'triplets.json: record 0: field "action" is missing' in capsys.readouterr().err


SPOKEN = "OK. I'll follow your instructions and try my best to solve the task."


def test_a_spoken_acknowledgement_is_no_action_and_no_pre_action(build, known_pairs, base_model, tmp_path):
    assert build("--state_file_path", known_pairs, "--encoder_model", base_model) == 0
    expected = read_json(tmp_path / "triplets.json")
    pairs = read_json(known_pairs)
    for pair in pairs:
        opening = [{"from": "human", "value": "Solve a task."}, {"from": "gpt", "value": SPOKEN, "loss": False}]
        pair["chosen"]["conversations"][:0] = opening
        for turn in pair["chosen"]["conversations"][::2]:
            turn["loss"] = None
    write_json(known_pairs, pairs)
    assert build("--state_file_path", known_pairs, "--encoder_model", base_model) == 0
    assert read_json(tmp_path / "triplets.json") == expected


def test_fields_that_are_not_used_are_named(build, known_pairs, base_model, capsys):
    pairs = read_json(known_pairs)
    pairs[0]["chosen"]["system"] = "Be quick."
    write_json(known_pairs, pairs)
    assert build("--state_file_path", known_pairs, "--encoder_model", base_model) == 0
    assert "pairs.json: fields that are not used, with their counts: split (1), system (1)\n" in capsys.readouterr().err


def test_a_cache_that_another_process_builds_is_left_alone(build, known_pairs, base_model, tmp_path, capsys):
    (tmp_path / "cache").mkdir()
    program = "import sys, time; from eval_agent.files import Lock; Lock(sys.argv[1]); print(1, flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", program, tmp_path / "cache"], stdout=subprocess.PIPE)
    first.stdout.readline()
    assert build("--state_file_path", known_pairs, "--encoder_model", base_model) == 2
    assert f"cache: process {first.pid} on" in capsys.readouterr().err
    assert not (tmp_path / "triplets.json").exists()
    first.kill()
    first.wait()
