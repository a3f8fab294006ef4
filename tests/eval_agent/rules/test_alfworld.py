"""The rules read an episode's text: these are ALFWorld's own sentences."""

import pytest

from eval_agent.errors import InputError
from eval_agent.rules import alfworld as rules
from eval_agent.rules.alfworld_state import AlfWorldState, Goal, parse_goal
from eval_agent.trajectories.format import Step

TASK = (
    "You are in the middle of a room. Looking quickly around you, you see a cabinet 2, a cabinet 1, "
    "a countertop 1, a microwave 1, and a sinkbasin 1.\nYour task is to: put a clean mug in cabinet."
)
TOUR = [
    ("go to countertop 1", "On the countertop 1, you see a apple 1, and a mug 2."),
    ("take mug 2 from countertop 1", "You pick up the mug 2 from the countertop 1."),
    ("go to sinkbasin 1", "On the sinkbasin 1, you see nothing."),
    ("clean mug 2 with sinkbasin 1", "You clean the mug 2 using the sinkbasin 1."),
    ("go to cabinet 1", "The cabinet 1 is closed."),
    ("open cabinet 1", "You open the cabinet 1. The cabinet 1 is open. In it, you see nothing."),
    ("put mug 2 in/on cabinet 1", "You put the mug 2 in/on the cabinet 1."),
]


def steps(*tour: tuple[str, str]) -> list[Step]:
    seen = [TASK, *(observation for _, observation in tour)]
    return [Step(observation, action, action, None) for observation, (action, _) in zip(seen, tour)]


@pytest.mark.parametrize(
    "text, goal",
    [
        ("put some mug on shelf.", ("put", "mug", "shelf")),
        ("find two pen and put them in drawer.", ("two", "pen", "drawer")),
        ("clean some mug and put it in cabinet.", ("clean", "mug", "cabinet")),
        ("put a hot egg in fridge.", ("heat", "egg", "fridge")),
        ("cool some pan and put it in stoveburner.", ("cool", "pan", "stoveburner")),
        ("examine the cd with the desklamp.", ("examine", "cd", "desklamp")),
    ],
)
def test_every_wording_of_a_task_is_understood(text, goal):
    assert parse_goal(f"Your task is to: {text}") == Goal(text.rstrip("."), *goal)


def test_another_wording_is_refused():
    with pytest.raises(InputError, match="fly to the moon"):
        parse_goal("Your task is to: fly to the moon.")


def test_state_knowledge_follows_the_episode():
    told = [rules.state_knowledge(TASK, TOUR[:count]) for count in range(len(TOUR) + 1)]
    assert told[0] == (
        "State Knowledge: The task is to put a clean mug in cabinet. I am in the middle of the room. "
        "I hold nothing. I need a mug. None found yet. I have checked nothing."
    )
    assert told[1].endswith(
        "I am at the countertop 1. I hold nothing. I need a mug. Here: a apple 1, a mug. I see the mug 2 here."
    )
    assert told[2].endswith("I hold the mug 2, not clean yet.")
    assert told[4].endswith("I am at the sinkbasin 1. I hold the mug 2, which is clean.")
    assert "I am at the cabinet 1, which is closed." in told[5]
    assert "which is closed" not in told[6]


def test_state_knowledge_reads_out_a_place_without_the_wanted_object():
    shelf = ("go to shelf 1", "On the shelf 1, you see a book 2, and a pen 1.")
    assert rules.state_knowledge(TASK, [shelf]).endswith(
        "I need a mug. Here: a book 2, a pen 1. No mug here. None found yet. I have checked shelf 1."
    )


def test_an_impossible_action_is_explained():
    nothing = "Nothing happens."
    assert "I am not at the cabinet 1" in rules.state_knowledge(TASK, [*TOUR[:1], ("open cabinet 1", nothing)])
    taking_twice = [*TOUR[:2], ("take apple 1 from countertop 1", nothing)]
    assert "I can hold only one object" in rules.state_knowledge(TASK, taking_twice)
    assert "there is no shelf 9" in rules.state_knowledge(TASK, [("go to shelf 9", nothing)])
    # and it changes nothing else
    assert AlfWorldState.after(TASK, taking_twice).holding == "mug 2"


def test_task_knowledge_names_the_place_and_the_wasted_search():
    microwave = ("go to microwave 1", "The microwave 1 is closed.")
    knowledge = rules.task_knowledge(steps(*TOUR), steps(microwave, TOUR[0]))
    assert knowledge == (
        "Task Knowledge: When you have to put a clean mug in cabinet, you should first look for a mug at the "
        "countertop. You should not lose time at the microwave. The action workflows are: 1) go to the places "
        "where a mug may be 2) take the mug 3) clean it with the sinkbasin 4) go to the cabinet "
        "5) put it in/on the cabinet"
    )


def test_task_knowledge_warns_of_what_the_rejected_steps_searched_most():
    visits = [(f"go to {place}", f"On the {place}, you see nothing.") for place in ("bed 1", "shelf 1", "shelf 2")]
    knowledge = rules.task_knowledge(steps(*TOUR), steps(*visits, TOUR[0]))
    assert "You should not lose time at the shelf and the bed." in knowledge


def test_thoughts_give_the_reason_for_each_action():
    told = [rules.thought(TASK, TOUR[:count], action) for count, (action, _) in enumerate(TOUR)]
    assert told == [
        "I need a mug. I have not checked the countertop 1.",
        "I need a mug. Here: a apple 1, a mug. I take the mug 2.",
        "I hold the mug 2. I have to clean it at the sinkbasin 1.",
        "I hold the mug 2. I make it clean with the sinkbasin.",
        "I hold the mug 2. I bring it to the cabinet 1.",
        "I hold the mug 2. The cabinet 1 is closed. I open it.",
        "I hold the mug 2. This is a cabinet. I put it here.",
    ]


def test_a_thought_that_moves_on_reads_out_what_is_in_sight():
    empty = ("open cabinet 1", "You open the cabinet 1. The cabinet 1 is open. In it, you see nothing.")
    told = rules.thought(TASK, [("go to cabinet 1", "The cabinet 1 is closed."), empty], "go to cabinet 2")
    assert told == "I need a mug. Here: nothing. No mug here. I have not checked the cabinet 2."
    # nothing of the kind is said of a place that was not seen into
    assert "Here" not in rules.thought(TASK, [("go to cabinet 1", "The cabinet 1 is closed.")], "go to cabinet 2")


def test_a_thought_after_an_action_without_effect_says_so():
    told = rules.thought(TASK, [("go to cabinet 3", "Nothing happens.")], "go to cabinet 2")
    assert told == "That did nothing. I need a mug. I have not checked the cabinet 2."
