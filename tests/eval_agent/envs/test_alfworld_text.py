"""The one language that models speak and read, against the two grammars of game files."""

import pytest

from eval_agent.envs.alfworld import in_grammar, observation_text, put_verb_of, task_text


@pytest.mark.parametrize(
    "said", ["put mug 1 in/on desk 2", "put mug 1 in desk 2", "put mug 1 on desk 2", "move mug 1 to desk 2"]
)
def test_every_way_to_say_put_is_one_action(said):
    assert in_grammar(said, "move") == "move mug 1 to desk 2"
    assert in_grammar(said, "put") == "put mug 1 in/on desk 2"


@pytest.mark.parametrize("said", ["go to desk 2", "put mug 1 in/on", "move to desk", "output on desk 2", ""])
def test_anything_else_stays_as_it_is(said):
    assert in_grammar(said, "move") == said


def test_the_grammar_s_verb_is_read_from_the_game():
    assert put_verb_of('action PutObject {\n    template :: "move {o} to {r}";') == "move"
    assert put_verb_of('action PutObject {\n    template :: "put {o} in/on {r}";') == "put"
    assert put_verb_of('action OpenObject {\n    template :: "open {r}";') is None


@pytest.mark.parametrize(
    "feedback, read",
    [
        ("You arrive at loc 21. On the bed 1, you see nothing.", "On the bed 1, you see nothing."),
        ("You arrive at drawer 1. The drawer 1 is closed.", "The drawer 1 is closed."),
        ("You move the mug 1 to the desk 2.", "You put the mug 1 in/on the desk 2."),
        ("You put the mug 1 in/on the desk 2.", "You put the mug 1 in/on the desk 2."),
        ("Nothing happens.", "Nothing happens."),
    ],
)
def test_observations_are_those_of_the_published_trajectories(feedback, read):
    assert observation_text(feedback) == read


def test_the_task_text_is_the_room_and_the_task():
    intro = "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in a room.\n\nYour task is to: put a mug in desk."
    assert task_text(intro) == "You are in a room.\nYour task is to: put a mug in desk."
