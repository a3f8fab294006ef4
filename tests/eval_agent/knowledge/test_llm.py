"""What is taken for knowledge in a model's answer, and that every prompt can be filled."""

import re

import pytest

from eval_agent.knowledge.llm import PROMPTS, clean
from eval_agent.knowledge.synthesis import GENS, TASKS, NoKnowledge


@pytest.mark.parametrize(
    "answer",
    [
        "Task Knowledge: When you put things, you should look. The action workflows are: 1) go 2) take",
        "Sure! Here it is:\n\n**Task Knowledge:** when you put things, you should look. "
        "**The action workflows are:**\n\n1) go\n2) take",
        "<think>Task Knowledge: When is it?</think>task knowledge : When you put things, you should look. "
        "The action workflows are: 1) go 2) take\nAction: go to shelf 1",
    ],
)
def test_task_knowledge_is_brought_into_its_form(answer):
    expected = "Task Knowledge: When you put things, you should look. The action workflows are: 1) go 2) take"
    assert clean("task_knowledge", answer, cut_off=False) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "State Knowledge: I hold mug 1. My last action: go.",
        "**State Knowledge:** I hold mug 1.\nMy last action: go.\n\nState Knowledge: I hold nothing.",
    ],
)
def test_state_knowledge_is_brought_into_its_form(answer):
    assert (
        clean("state_knowledge", answer, cut_off=False)
        == "State Knowledge: I hold mug 1. My last action: go."
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("gen", GENS)
def test_an_answer_ends_where_it_goes_on_with_the_prompt(task, gen):
    """Each line that stands in the prompt by itself, such as "So far:", as a model repeats it after its answer."""
    prompt = (PROMPTS / f"{task}_{gen}.txt").read_text()
    answer = "Task Knowledge: When you put things, look. The action workflows are: 1) go"
    answer = answer if gen == "task_knowledge" else "State Knowledge: I hold mug 1."
    ends = re.findall(r"^(?:.*:|Now do the same .*)$", prompt.partition("Here is an example.")[2], re.M)
    assert {"Task:", "Answer:"} < {*ends} and sum(end.startswith("Now do the same") for end in ends) == 1
    for end in ends:
        assert clean(gen, f"{answer}\n{end}\nYou are in a room.", cut_off=False) == answer


def test_state_knowledge_cut_off_by_the_token_limit_ends_with_a_whole_sentence():
    assert (
        clean("state_knowledge", "State Knowledge: I hold mug 1. I am at", cut_off=True)
        == "State Knowledge: I hold mug 1."
    )


@pytest.mark.parametrize(
    "gen, answer, cut_off",
    [
        ("task_knowledge", "When you put things, you should look.", False),
        ("task_knowledge", "Task Knowledge: You should look.", False),
        ("task_knowledge", "Task Knowledge: When", False),
        ("task_knowledge", "Task Knowledge: When you put things, you should look.", False),
        ("task_knowledge", "Task Knowledge: When you put things, look. The action workflows are:", False),
        ("task_knowledge", "Task Knowledge: When you put things. The action workflows are: 1)", True),
        ("state_knowledge", "I hold mug 1.", False),
        ("state_knowledge", "State Knowledge:", False),
        ("state_knowledge", "State Knowledge: I am at", True),
        ("state_knowledge", "", False),
    ],
)
def test_malformed_answers_are_not_knowledge(gen, answer, cut_off):
    with pytest.raises(NoKnowledge):
        clean(gen, answer, cut_off)


@pytest.mark.parametrize("task", TASKS)
def test_prompts_have_their_places_and_an_example_in_the_wanted_form(task):
    for gen, fields in zip(GENS, ({"task", "chosen", "rejected"}, {"task", "history"})):
        prompt = (PROMPTS / f"{task}_{gen}.txt").read_text()
        assert set(re.findall(r"{(\w*)}", prompt)) == fields
        example = prompt.partition("Here is an example.")[2].partition("Answer:\n")[2].splitlines()[0]
        assert clean(gen, example, cut_off=False) == example
        assert gen == "state_knowledge" or "The action workflows are: 1) " in example
