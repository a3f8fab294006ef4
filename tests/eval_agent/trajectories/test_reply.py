"""What is read of a model's reply, in whatever form it comes."""

import pytest

from eval_agent.trajectories.reply import action_of, is_reasoning, parse_reply, thought_of


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
    ("", None),
])
def test_the_action_is_what_the_release_takes_of_a_reply(reply, action):
    assert action_of(reply) == action


@pytest.mark.parametrize("reply, action", [
    ("<think>I could.\nAction: look</think>\nThought: I go.\nAction: go west", "go west"),
    ("I could.\nAction: look\n</think>\n\nThought: I go.\nAction: go west", "go west"),  # opened in the prompt
    ("<think>Action: look", None),
    ("<think>\nAction: look\n</think>", None),
    ("<THINKING>\nAction: look\n</THINKING>Action: go west", "go west"),
    ("[THINK]\nAction: look[/THINK]Action: go west", "go west"),
    ("<think>a</think><think>\nAction: look</think>Action: go west", "go west"),
])
def test_reasoning_is_no_part_of_the_answer(reply, action):
    assert action_of(reply) == action
    assert "think" not in parse_reply(reply).text.lower()


@pytest.mark.parametrize("reply, action", [
    ("Thought: My last Action: look did nothing.\nAction: go west", "go west"),
    ("Thought: My last Action: look did nothing.", None),
    ("Thought: Next Action: look", None),
    ("**Thought:** I go.\n**Action:** go west", "go west"),
    ("**Action**: go west", "go west"),
    ("**Action: go west**", "go west"),
    ("### Action: go west", "go west"),
    ("- action: go west", "go west"),
    ("ACTION : go west", "go west"),
    ("> Action: go west", "go west"),
    ("Action 2: go west", "go west"),
    ("Action：go west", "go west"),
    ("  Action: go west  ", "go west"),
    ("Action:\n```\ngo west\n```", "go west"),
    ("Action:\n\ngo west", "go west"),
    ("Action:\nThought: hm", None),
    ("Action Path: start -> go\nAction: go west", "go west"),
    ("Actions: look, go\nAction: go west", "go west"),
    ("Thought: I go.\r\nAction: go west\r\n", "go west"),
    ("Thought: a\u2028b.\nAction: go west", "go west"),
])
def test_an_action_stands_at_the_start_of_a_line_however_its_label_is_dressed(reply, action):
    assert action_of(reply) == action


@pytest.mark.parametrize("reply, action", [
    ("Action: look Observation: You see a bed.\nThought: I go.\nAction: go west", "look"),
    ("Action: look\nObservation: A bed.\nThought: I go.\nAction: go west", "look"),
    ("Action: look\n**Observation:** A bed.\nAction: go west", "look"),
    ("Observation: A bed.\nThought: I go.\nAction: go west", "go west"),
    ("Thought: a.\nAction: look\nThought: No.\nAction: go west", "go west"),
    ("Thought: a.\nAction: look\nThought: No.\nAction:", "look"),
    ("Thought: a.\nAction:\nAction: go west", "go west"),
    ("Thought: a.\nAction: look\nAction: go west", "look"),
])
def test_the_last_thought_s_first_action_counts_up_to_an_observation(reply, action):
    assert action_of(reply) == action


@pytest.mark.parametrize("reply, kept", [
    ("Thought: a.\nAction: look\nAction: go to desk 1", "Thought: a.\nAction: look"),
    ("Thought: a.\nAction:  look \n\nThought: b.", "Thought: a.\nAction: look"),
    ("  Thought: a.\nb.\nAction:\nlook", "Thought: a.\nb.\nAction: look"),
    ("Thought: only", "Thought: only"),
    ("Thought: a.\n**Action: look**", "Thought: a.\nAction: look"),
    ("Thought: a.\nAction: look\nThought: b.\nAction: go west", "Thought: b.\nAction: go west"),
    ("Action: look Observation: A bed.", "Action: look"),
])
def test_the_dialogue_keeps_one_thought_and_one_action(reply, kept):
    read = parse_reply(reply)
    assert (read.text, read.repaired) == (kept, reply.strip() != kept)
    assert parse_reply(kept).action == read.action and not parse_reply(kept).repaired


@pytest.mark.parametrize("reply", [
    "Thought: I go there.\nAction: Go to shelf 1.", "Action: `look`", " Thought: a.\nb.\nAction: look\n", "I know not.",
])
def test_a_reply_in_our_form_is_kept_as_it_is(reply):
    assert parse_reply(reply).text == reply.strip() and not parse_reply(reply).repaired


@pytest.mark.parametrize("written, thought", [
    ("Thought: a.", "Thought: a."),
    ("Action: look", ""),
    ("Thought: My last Action: look.\n**Action:** go", "Thought: My last Action: look."),
    ("<think>hm\nAction: look</think>Thought: a.", "Thought: a."),
    ("<think>hm", ""),
])
def test_the_thought_is_what_stands_before_the_action(written, thought):
    assert thought_of(written) == thought


@pytest.mark.parametrize("written, open_", [
    ("<think>hm", True), ("<think>hm</think>", False), ("hm</think>", False), ("Thought: a.", False),
    ("<think>a</think>b<think>c", True),
])
def test_reasoning_is_open_until_it_is_closed(written, open_):
    assert is_reasoning(written) == open_
