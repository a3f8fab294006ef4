"""The ScienceWorld base's text: recorded episodes retold, with wrong turns that nobody learns from."""

import random
import re

import pytest

from train.tiny_base.sciworld_corpus import UNKNOWN, SciWorldCorpus

TASK = ("Task Description:\nYour task is to find a(n) plant. First, focus on the thing. Then, move it to the {} box "
        "in the kitchen.")


def record(number: int, box: str) -> dict:
    said = [("teleport to greenhouse", "You teleport to the greenhouse."),
            ("look around", "This room is called the greenhouse. In it, you see: \n\ta flower pot 1"),
            ("focus on flower pot 1", "You focus on the flower pot 1."),
            ("pick up flower pot 1", "You move the flower pot 1 to the inventory."),
            ("teleport to kitchen", "You teleport to the kitchen."),
            (f"move flower pot 1 in inventory to {box} box", None)]
    turns = ["Do it.", "OK", TASK.format(box)]
    for action, observation in said:
        turns += [f"Thought: Well.\nAction: {action}", f"Observation: {observation}"]
    turns = turns[:-1]
    return {"id": f"14_{number}", "conversations": [
        {"from": ("human", "gpt")[n % 2], "value": value} for n, value in enumerate(turns)
    ]}


@pytest.fixture(scope="module")
def corpus() -> SciWorldCorpus:
    return SciWorldCorpus([record(0, "red"), record(1, "blue")], "You act.", "You know.")


def test_an_episode_keeps_its_order_under_other_colours(corpus):
    boxes = set()
    for seed in range(40):
        task, knowledge, turns = corpus.episode(random.Random(seed), informed=False, as_world_model=True)
        box = task.split("move it to the ")[1].split(" box")[0]
        boxes.add(box)
        actions = [turn.reply.split("Action: ")[1] for turn in turns if turn.learn]
        assert actions[0] == "teleport to greenhouse" and actions[-1] == f"move flower pot 1 in inventory to {box} box"
        assert len(actions) == 6 and knowledge.startswith("Task Knowledge: When you have to find a(n) plant, ")
        assert f"to {box} box" in knowledge
    assert len(boxes) > 2


def test_wrong_turns_are_answered_as_the_simulator_does_and_are_known_afterwards(corpus):
    wrong = []
    for seed in range(80):
        _, _, turns = corpus.episode(random.Random(seed), informed=True, as_world_model=False)
        wrong += [(turn, after) for turn, after in zip(turns, turns[1:]) if not turn.learn]
    assert wrong
    for turn, after in wrong:
        action = turn.reply.split("Action: ")[1]
        assert turn.observation == UNKNOWN
        assert f'My last action "{action}" was not possible' in after.state_knowledge


def test_a_drawn_dialogue_ends_with_the_last_action_or_what_is_known_before_it(corpus):
    rng = random.Random(0)
    ends = {"".join(piece for piece, _ in corpus.draw(rng).pieces)[-60:] for _ in range(30)}
    assert any("Action: move flower pot 1 in inventory to" in end for end in ends)
    assert any("I focused on the flower pot 1." in end for end in ends)


def measured() -> dict:
    task = ("Task Description:\nYour task is to measure the melting point of lead, which is located around the kitchen. If "
            "the melting point of lead is above 50.0 degrees celsius, focus on the red box.")
    turns = ["Do it.", "OK", task, "Thought: Well.\nAction: pick up lead", "Observation: You move the lead to the inventory.",
             "Thought: Well.\nAction: use thermometer in inventory on lead",
             "Observation: the thermometer measures a temperature of 72 degrees celsius",
             "Thought: Well.\nAction: focus on red box"]
    return {"id": "4_0", "conversations": [
        {"from": ("human", "gpt")[n % 2], "value": value} for n, value in enumerate(turns)]}


def test_what_the_task_is_about_gets_another_name_everywhere_and_temperatures_move_with_their_limit():
    corpus, names = SciWorldCorpus([measured()], "You act.", "You know."), set()
    for seed in range(20):
        task, _, turns = corpus.episode(random.Random(seed), informed=False, as_world_model=True)
        name, limit = re.search(r"point of (.+), which .* above (-?\d+)\.0 degrees", task).groups()
        taken, measured_now, _ = [turn for turn in turns if turn.learn]
        assert taken.reply.endswith(f"Action: pick up {name}") and f"the {name} to the inv" in taken.observation
        assert f"a temperature of {int(limit) + 22} degrees" in measured_now.observation
        names.add(name)
    assert len(names) > 5


@pytest.mark.parametrize("kept", ["water", "ice", "unknown substance B"])
def test_what_has_ways_or_names_of_its_own_keeps_them(kept):
    record = measured()
    for turn in record["conversations"]:
        turn["value"] = turn["value"].replace("lead", kept)
    corpus = SciWorldCorpus([record], "You act.", "You know.")
    tasks = [corpus.episode(random.Random(seed), informed=False, as_world_model=True)[0] for seed in range(9)]
    assert all(f"point of {kept[:-1]}" in task for task in tasks)
