"""Pairs from expert trajectories and explored episodes."""

import json

import pytest

from eval_agent.errors import InputError
from eval_agent.trajectories.build_pairs import build_pairs
from eval_agent.trajectories.format import steps_of


def turns(*values):
    return [{"from": "gpt" if index % 2 else "human", "value": value} for index, value in enumerate(values)]


def expert(game, **fields):
    conversations = turns("Instruction", "OK", "Your task is to: ...", "Thought: t\nAction: go to desk 1")
    game_file = f"json_2.1.1/train/pick-Mug/{game}/game.tw-pddl"
    return {"game_file": game_file, "conversations": conversations, **fields}


EXPLORED = ("Instruction", "OK", "Your task is to: ...", "Thought: a\nAction: look", "Observation: 1",
            "Thought: b\nAction: look", "Observation: 2")


def explored(folder, game, reward=0.0, finished=True, conversations=turns(*EXPLORED)):
    task_id = f"pick-Mug__{game}"
    meta = {"task_id": task_id, "task_type": "pick", "steps": 2, "reward": reward, "finished": finished,
            "success": reward == 1, "invalid_actions": 0, "error": None}
    folder = folder / "train"
    folder.mkdir(exist_ok=True)
    (folder / f"{task_id}.json").write_text(json.dumps({"meta": meta, "conversations": conversations}))


def write(path, records):
    path.write_text(json.dumps(records))
    return str(path)


def test_pairs_match_by_game_and_count_outcomes(tmp_path):
    experts = write(tmp_path / "expert.json", [expert("worse"), expert("equal"), expert("better", reward=0.5),
                                               expert("never"), expert("broken"), expert("mute")])
    explored(tmp_path, "worse")
    explored(tmp_path, "equal", reward=1.0)
    explored(tmp_path, "better", reward=1.0)
    explored(tmp_path, "broken", finished=False)
    explored(tmp_path, "mute", conversations=turns("Instruction", "OK", "Your task is to: ..."))

    pairs, counts = build_pairs(experts, str(tmp_path / "train"))

    assert counts == {"win": 1, "tie": 1, "lose": 1, "missing": 3}
    rewards = [(pair["chosen"]["reward"], pair["rejected"]["reward"]) for pair in pairs]
    assert rewards == [(1, 0), (1, 1), (0.5, 1)]
    rejected = pairs[0]["rejected"]
    assert rejected["game_file"] == pairs[0]["chosen"]["game_file"]
    assert rejected["conversations"][-1] == {"from": "gpt", "value": "Thought: b\nAction: look"}
    assert [step.action for step in steps_of(rejected, "rejected")] == ["look", "look"]


@pytest.mark.parametrize("name, task_id", [("webshop_1724", "webshop_1724"), (1724, "1724"), ("3-6_12", "3-6_12")])
def test_pairs_match_by_id_where_there_are_no_games(tmp_path, name, task_id):
    expert = {"id": name, "reward": 0.75, "conversations": turns("Instruction", "OK", "Task", "Action: click[buy now]")}
    (tmp_path / "train").mkdir()
    meta = {"task_id": task_id, "task_type": "buy", "steps": 2, "reward": 0.5, "finished": True, "success": False,
            "invalid_actions": 0, "error": None}
    episode = {"meta": meta, "conversations": turns(*EXPLORED)}
    (tmp_path / "train" / f"{task_id}.json").write_text(json.dumps(episode))

    (pair,), counts = build_pairs(write(tmp_path / "expert.json", [expert]), str(tmp_path / "train"))

    assert counts == {"win": 1, "tie": 0, "lose": 0, "missing": 0}
    assert pair["rejected"]["id"] == name and pair["rejected"]["reward"] == 0.5
    assert pair["rejected"]["conversations"][-1]["from"] == "gpt"


def test_empty_answers_are_left_out(tmp_path):
    experts = write(tmp_path / "expert.json", [expert("one")])
    explored(tmp_path, "one", conversations=turns(
        "Instruction", "OK", "Your task is to: ...", "", "Observation: 1", "Action: look", "Observation: 2", " "
    ))
    (pair,), _ = build_pairs(experts, str(tmp_path / "train"))
    said = [turn["value"] for turn in pair["rejected"]["conversations"]]
    assert said == ["Instruction", "OK", "Your task is to: ...", "Action: look"]


def test_nothing_to_pair_is_an_error(tmp_path):
    experts = write(tmp_path / "expert.json", [expert("one")])
    with pytest.raises(InputError, match="no finished episode"):
        build_pairs(experts, str(tmp_path / "nowhere"))


def test_a_malformed_expert_is_named(tmp_path):
    explored(tmp_path, "one")
    path = write(tmp_path / "expert.json", [expert("one"), {"id": "x", "conversations": []}])
    with pytest.raises(InputError, match='expert.json, record 1: field "conversations"'):
        build_pairs(path, str(tmp_path / "train"))
