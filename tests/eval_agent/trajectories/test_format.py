"""What is read of a reply and of a trajectory."""

import pytest

from eval_agent.trajectories.format import action_of, action_verb, steps_of


@pytest.mark.parametrize("reply, action", [
    ("Thought: I go there.\nAction: go to shelf 1", "go to shelf 1"),
    ("Thought: I go there.\nAction: Go to shelf 1.", "Go to shelf 1"),
    ("Action: look!?", "look"),
    ("Action: open fridge 1;\nObservation: You open it.", "open fridge 1"),
    ("Action: `go to shelf 1`", "go to shelf 1"),
    ('Action: "go to shelf 1".', "go to shelf 1"),
    ("Action: **“go to shelf 1.”**", "go to shelf 1"),
    ("Action: search[a 6' long table, red]", "search[a 6' long table, red]"),
    ("Action: `click[Buy Now]`.", "click[Buy Now]"),
    ("Action: focus on 'orange'", "focus on 'orange'"),
    ("Action:\nlook", "look"),
    ("Action: .", None),
    ("Action:  ", None),
    ("I do not know.", None),
])
def test_the_action_is_what_the_release_takes_of_a_reply(reply, action):
    assert action_of(reply) == action
    assert action_of(reply, lower_case=True) == (action and action.lower())


@pytest.mark.parametrize("action, verb", [("go to bed 1", "go"), ("search[red mug]", "search"), ("look", "look"), ("", "")])
def test_the_verb_is_the_first_word_before_an_argument(action, verb):
    assert action_verb(action) == verb


@pytest.mark.parametrize("observed", ["Observation: Page 1", "Observation:\nPage 1", "Observation:\n Page 1 ", "Page 1"])
def test_an_observation_is_read_with_a_blank_or_webshop_s_line_break(observed):
    said = ["WebShop [SEP] Instruction: [SEP] a mug", "Thought: a.\nAction: search[mug]", observed,
            "Thought: b.\nAction: click[b1]"]
    turns = [{"from": ("human", "gpt")[n % 2], "value": value} for n, value in enumerate(said)]
    assert [step.observation for step in steps_of({"conversations": turns}, "here")] == [said[0], "Page 1"]
