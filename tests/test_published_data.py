"""Files in the form of the published data sets go through every step as they are (fields written by hand)."""

import pytest
from alfworld_pairs import TASK, run_main

import state_base_build
import train_data_process
import world_knowledge_build
from eval_agent.files import read_json, write_json
from train.data import DataSet, read_conversations

INSTRUCTION = "Interact with a household to solve a task. (as published, not ours)"
TASK_KNOWLEDGE = "Task Knowledge: When you search, you should look. The action workflows are: 1) go 2) take"
TASKS = {
    "alfworld": (
        {"game_file": "json_2.1.1/train/pick_clean-Mug-None-Cabinet-1/trial_T1/game.tw-pddl"}, TASK,
        ("go to countertop 1", "On the countertop 1, you see a mug 1."), ("take mug 1 from countertop 1",),
    ),
    "webshop": (
        {"id": 12}, "WebShop [SEP] Instruction: [SEP] i need red shoes, size 9, under 40 dollars [SEP] Search",
        ("search[red shoes]", "[Back to Search] [SEP] B01 [SEP] Red shoes [SEP] $30.0"), ("click[B01]",),
    ),
    "sciworld": (
        {"id": "boil_3", "reward": 0.5}, "Task Description:\nYour task is to boil water.",
        ("open door to kitchen", "The door is now open."), ("go to kitchen",),
    ),
}


def trajectory(task: str) -> dict:
    """In ETO's form: instruction, OK, the task, then replies with their observations."""
    name, text, (action, observation), (last,) = TASKS[task]
    said = [INSTRUCTION, "OK", text, f"Thought: Well.\nAction: {action}", f"Observation: {observation}",
            f"Thought: Next.\nAction: {last}"]
    turns = [{"from": ("human", "gpt")[n % 2], "value": value} for n, value in enumerate(said)]
    return {**name, "conversations": turns}


@pytest.mark.parametrize("task", TASKS)
def test_published_pairs_to_both_models_data_and_the_state_base(task, serve, tmp_path, monkeypatch, base_model):
    def answer(messages):
        about_task = "Beginner" in messages[0]["content"] or "Task Knowledge" in messages[0]["content"]
        return TASK_KNOWLEDGE if about_task else "State Knowledge: All is well."

    def run(module, *arguments):
        assert run_main(module, monkeypatch, *arguments) == 0

    endpoint = serve(answer)
    pairs, known, states = (tmp_path / name for name in ("pairs.json", "known.json", "states.json"))
    write_json(pairs, [{"chosen": trajectory(task), "rejected": trajectory(task)}])
    model = ("--task", task, "--model_name", "tiny", "--api_base", endpoint.address)
    run(world_knowledge_build, "--dataset_path", pairs, "--gen", "task_knowledge", *model, "--output_path", known)
    run(world_knowledge_build, "--dataset_path", known, "--gen", "state_knowledge", *model, "--output_path", states)
    (pair,) = read_json(states)
    assert pair["task_knowledge"] == TASK_KNOWLEDGE
    for mode in ("agent_model", "world_model"):
        path = tmp_path / f"{mode}.json"
        run(train_data_process, "--task", task, "--file_path", states, "--mode", mode, "--output_path", path)
        (conversation,) = read_conversations([DataSet(path)], None)
        assert INSTRUCTION not in conversation.turns[0]["value"]
        assert any(TASK_KNOWLEDGE in turn["value"] for turn in conversation.turns)
    triplets = tmp_path / "state_action_pair.json"
    run(state_base_build, "--state_file_path", states, "--state_action_pair_path", triplets,
        "--vector_cache_path", tmp_path / "base", "--encoder_model", base_model)
    _, _, (action, _), (last,) = TASKS[task]
    bare = [text.partition("[")[0] for text in (action, last)]
    assert [(triplet["pre_action"], triplet["action"]) for triplet in read_json(triplets)] == [
        ("look", bare[0]), (bare[0], bare[1])
    ]


@pytest.mark.parametrize("task", TASKS)
def test_published_trajectories_train_the_experienced_agent(task, tmp_path, monkeypatch):
    write_json(tmp_path / "sft.json", [trajectory(task)])
    arguments = ("--task", task, "--file_path", tmp_path / "sft.json", "--output_path", tmp_path / "out.json")
    assert run_main(train_data_process, monkeypatch, *arguments, "--mode", "experienced_agent") == 0
    (conversation,) = read_conversations([DataSet(tmp_path / "out.json")], None)
    assert [turn["value"] for turn in conversation.turns[3:]] == [
        turn["value"] for turn in trajectory(task)["conversations"][3:]
    ]


@pytest.mark.parametrize("field", ["task_knowledge", "task_knowledege"])
def test_published_pairs_that_have_task_knowledge_already(field, tmp_path, monkeypatch):
    pair = {"chosen": trajectory("alfworld"), "rejected": trajectory("alfworld"), field: TASK_KNOWLEDGE}
    write_json(tmp_path / "pairs.json", [pair])
    arguments = ("--task", "alfworld", "--file_path", tmp_path / "pairs.json", "--output_path", tmp_path / "o.json")
    assert run_main(train_data_process, monkeypatch, *arguments, "--mode", "agent_model") == 0
    assert TASK_KNOWLEDGE in read_json(tmp_path / "o.json")[0]["conversations"][2]["value"]


def test_published_sft_conversations_are_read_for_training(tmp_path):
    write_json(tmp_path / "WKM.json", [{"conversations": trajectory("webshop")["conversations"]}])
    (conversation,) = read_conversations([DataSet(tmp_path / "WKM.json")], None)
    assert len(conversation.turns) == 6
