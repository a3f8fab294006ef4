"""What an answer copies is guessed, and guessing changes nothing but the number of passes."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.serve.engine import Engine
from eval_agent.serve.generation import PromptLookup, Sampler, generate_stream

TINY = Path(__file__).resolve().parents[3] / "data" / "tiny-mistral"
DIALOGUE = """[INST] You are in the middle of a room. Looking quickly around you, you see a bed 1, a desk 1, a drawer 1, a
shelf 2, and a shelf 1.
Your task is to: put a mug in shelf. [/INST]Thought: I need a mug. I have not checked the desk 1.
Action: go to desk 1</s>[INST] Observation: On the desk 1, you see a book 2, a laptop 1, a pencil 3, a cd 1, and a pen 2.
[/INST]Thought: I need a mug. Here: a book 2, a laptop 1, a pencil 3, a cd 1, a pen 2. No mug here. I have not checked the
shelf 1.
Action: go to shelf 1</s>[INST] Observation: On the shelf 1, you see a book 1, a laptop 2, a pencil 1, and a cd 2. [/INST]"""


def test_what_followed_the_newest_two_tokens_last_time_is_guessed():
    ids = [1, 2, 3, 4, 1, 2, 5, 6, 7, 8, 1, 2]
    lookup = PromptLookup(ids)
    assert lookup.guess(3) == [5, 6, 7]  # the later of the two places
    assert lookup.guess(1) == [5]
    assert lookup.guess(0) == []
    ids.append(9)
    assert lookup.guess(3) == []  # 2, 9 never stood together
    ids += [1, 2]
    assert lookup.guess(3) == [9, 1, 2]


@pytest.mark.parametrize("ids", [[], [1], [1, 1], [1, 2]])
def test_too_few_tokens_to_guess_from(ids):
    assert PromptLookup(ids).guess(3) == []


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_the_text_is_that_of_one_token_at_a_time(temperature):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(TINY).float(), AutoTokenizer.from_pretrained(TINY)
    request = {"prompt": DIALOGUE, "temperature": temperature, "max_new_tokens": 150, "echo": False}
    ids, sampler = tokenizer(DIALOGUE).input_ids, Sampler(request, model.device, seed=1)
    n_prompt = len(ids)
    while len(ids) < n_prompt + 150 and ids[-1] != tokenizer.eos_token_id:
        with torch.inference_mode():
            ids.append(sampler.choose(model(torch.tensor([ids])).logits[:, -1], ids))
    written = tokenizer.decode(ids[n_prompt:], skip_special_tokens=True)

    engine = Engine(model, tokenizer, {"base": None}, 2048, 2**24)
    *_, answer = generate_stream(engine, request, 1, seed=1)
    assert answer["text"].strip() == written.strip()
    assert answer["usage"]["passes"] < 0.8 * answer["usage"]["completion_tokens"]
    follow_up = {**request, "prompt": DIALOGUE + answer["text"] + "</s>[INST] Observation: nothing [/INST]"}
    *_, more = generate_stream(engine, follow_up, 1, seed=1)
    assert more["usage"]["prefilled_tokens"] < 20  # nothing of the first answer is read again
