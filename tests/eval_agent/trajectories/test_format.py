"""What is read of a trajectory."""

import pytest

from eval_agent.errors import InputError
from eval_agent.trajectories.dialogue import sharegpt
from eval_agent.trajectories.format import (
    acknowledgement,
    action_verb,
    check_conversations,
    looks_like,
    record_key,
    steps_of,
    warn_of_unused,
)


@pytest.mark.parametrize("action, verb", [("go to bed 1", "go"), ("search[red mug]", "search"), ("look", "look"), ("", "")])
def test_the_verb_is_the_first_word_before_an_argument(action, verb):
    assert action_verb(action) == verb


LONG = "OK. I'll follow your instructions and try my best to solve the task."
INSTRUCTION, TASK = "Interact with a household to solve a task.", "You see a desk 1.\nYour task is to: put a mug on desk."
ACT, SEEN, BARE = "Thought: The desk.\nAction: go to desk 1", "Observation: On the desk 1, you see nothing.", "go to desk 1"


@pytest.mark.parametrize("turns, actions", [
    ([INSTRUCTION, "OK", TASK, ACT], ["go to desk 1"]),
    ([INSTRUCTION, LONG, TASK, ACT], ["go to desk 1"]),
    ([INSTRUCTION, "Understood, let us begin", TASK, ACT, SEEN, ACT], ["go to desk 1"] * 2),
    ([INSTRUCTION, LONG, TASK, BARE], ["go to desk 1"]),
    ([INSTRUCTION, "Sure.", "WebShop [SEP]\nInstruction: Find me a mug", "Action: search[mug]"], ["search[mug]"]),
    ([INSTRUCTION, LONG, "A room without any words of a task", ACT], ["go to desk 1"]),
    ([INSTRUCTION, "OK", "A room", BARE], ["go to desk 1"]),  # only its word tells
    # bare trajectories start with the task: turn 1 is a step, with a thought or without
    ([TASK, ACT], ["go to desk 1"]),
    ([TASK, ACT, "On the desk 1, you see nothing.", ACT], ["go to desk 1"] * 2),
    ([TASK, BARE, SEEN, "look"], ["go to desk 1", "look"]),
    ([TASK, BARE, "On the desk 1, you see nothing.", "look"], ["go to desk 1", "look"]),
    ([TASK, "Thought: Hm. look", "Nothing happens.", ACT], ["Thought: Hm. look", "go to desk 1"]),
    ([TASK, "look", SEEN, ACT], ["look", "go to desk 1"]),
])
def test_an_acknowledgement_is_no_action_and_a_bare_trajectorys_first_reply_is_one(turns, actions):
    assert [step.action for step in steps_of({"conversations": sharegpt(turns)}, "x")] == actions
    assert (acknowledgement(sharegpt(turns)) is not None) == (len(turns) // 2 > len(actions))


def test_loss_is_true_false_or_null_and_never_of_a_human_turn():
    turns = [{"from": "human", "value": TASK, "loss": None}, {"from": "gpt", "value": ACT, "loss": False}]
    assert steps_of({"conversations": turns}, "x")[0].learnt is False
    for loss in (None, True):
        assert steps_of({"conversations": [turns[0], {**turns[1], "loss": loss}]}, "x")[0].learnt
    with pytest.raises(InputError, match=r"x: conversations\[1\].loss is not true or false"):
        check_conversations({"conversations": [turns[0], {**turns[1], "loss": "false"}]}, "x")
    with pytest.raises(InputError, match=r"conversations\[0\].loss is true, but only gpt turns can be learnt"):
        check_conversations({"conversations": [{**turns[0], "loss": True}, turns[1]]}, "x")


@pytest.mark.parametrize("record, what", [
    ({"messages": [{"role": "user", "content": "a"}]}, "looks like OpenAI messages"),
    ({"conversations": [{"role": "user", "content": "a"}]}, "looks like OpenAI messages"),
    ({"conversations": [{"from": "user", "value": "a"}]}, 'ShareGPT with other role names .*user'),
    ({"conversations": [{"from": "system", "value": "a"}]}, "a system text stands in a field"),
    ({"instruction": "a", "input": "", "output": "b"}, "looks like Alpaca"),
    ({"prompt": "a", "completion": "b"}, "looks like prompt and completion"),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, "looks like a preference record"),
    ({"chosen": {"conversations": []}, "rejected": {}}, "looks like a pair"),
    ({"pre_action": "look", "state": "s", "action": "go"}, "looks like a triplet"),
    ({"text": "a"}, "looks like plain text"),
])
def test_records_of_other_formats_are_told_what_they_look_like(record, what):
    with pytest.raises(InputError, match=f"^x: .*{what}"):
        check_conversations(record, "x")
    assert looks_like({"conversations": sharegpt([TASK, ACT])}) == ""


def test_an_item_id_names_a_task_as_an_id_does():
    assert record_key({"item_id": "alfworld_0"}, "x") == "alfworld_0"


def test_what_is_not_used_is_named_once_with_its_count(capsys):
    turns = [{**turn, "weight": 1} for turn in sharegpt([TASK, ACT])]
    records = [{"system": "s", "conversations": turns}, {"chosen": {"tools": [], "conversations": turns}}, {"system": "t"}]
    warn_of_unused(records, "x.json", {"chosen", "conversations"}, {"from", "value"})
    warned = "warning: x.json: fields that are not used, with their counts: conversations[].weight (4), system (2), tools (1)\n"
    assert capsys.readouterr().err == warned
    warn_of_unused(records, "x.json", {"chosen", "conversations", "system", "tools"}, {"from", "value", "weight"})
    assert capsys.readouterr().err == ""
