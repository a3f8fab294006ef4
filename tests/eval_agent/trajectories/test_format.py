"""What is read of a reply and of a trajectory."""

import pytest

from eval_agent.trajectories.format import action_of, action_verb


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
