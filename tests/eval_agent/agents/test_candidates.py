"""Tokens of a prompt with candidates behind it, however the tokenizer joins them."""

import pytest
from transformers import AutoTokenizer

from eval_agent.agents.candidates import first_scored, tokenise_after

INSTRUCTION = "[INST] Your task is to put a clean mug in cabinet, and to hold nothing. [/INST] OK</s>[INST] "
DIALOGUE = f"{INSTRUCTION}On the countertop 1, you see a spoon 1. [/INST] Thought:"


@pytest.mark.parametrize("prompt", [
    DIALOGUE, DIALOGUE + " I nee", INSTRUCTION + "x [/INST]", "a mug 1", "[INST] x [/INST] a</s>", "</s> ",
])
def test_only_the_end_of_a_prompt_is_tokenised_again(base_model, prompt):
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    candidates = [" go", "d", "\n", "</s>", "[INST] y"]
    whole = [tokenizer(prompt + candidate).input_ids for candidate in candidates]
    assert tokenise_after(tokenizer, prompt, tokenizer(prompt).input_ids, candidates) == whole


@pytest.mark.parametrize("prompt_ids, ids, place", [
    ([1, 2, 3], [1, 2, 3, 4, 5], 3), ([1, 2, 3], [1, 2, 9], 2), ([1, 2, 3], [1, 2], 1), ([1], [2, 3], 0),
    (["a", " b"], ["a", " bc"], 1),
])
def test_what_counts_begins_with_the_first_token_unlike_the_prompt_s(prompt_ids, ids, place):
    assert first_scored(prompt_ids, ids) == place
