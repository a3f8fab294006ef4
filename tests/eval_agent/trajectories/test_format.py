"""What is read of a trajectory."""

import pytest

from eval_agent.trajectories.format import action_verb


@pytest.mark.parametrize("action, verb", [("go to bed 1", "go"), ("search[red mug]", "search"), ("look", "look"), ("", "")])
def test_the_verb_is_the_first_word_before_an_argument(action, verb):
    assert action_verb(action) == verb
