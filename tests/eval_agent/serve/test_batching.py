"""Requests of several adapters at once, whatever the adapters are made like."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from eval_agent.serve.batching import Call
from eval_agent.serve.caches import Prefix
from eval_agent.serve.engine import Engine, RequestError
from eval_agent.serve.scoring import score_candidates

PROMPTS = ["[INST] Your task is to put a clean mug in cabinet. [/INST] Thought:", "[INST] a spoon 1 [/INST]"]
KINDS = {"plain": {}, "scaled by rank": {"use_rslora": True}, "with biases": {"lora_bias": True},
         "DoRA": {"use_dora": True}}


@pytest.fixture(params=KINDS)
def two_adapters(request, base_model):
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **KINDS[request.param])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base_model), config, adapter_name="one")
    model.add_adapter("two", config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval(), request.param


@torch.inference_mode()
def test_adapters_side_by_side_score_as_each_alone(two_adapters, tokenizer):
    model, kind = two_adapters
    asked, expected = [], []
    for adapter in ("one", "two"):
        model.set_adapter(adapter)
        for prompt in PROMPTS:
            ids = tokenizer(prompt + " go").input_ids
            logprobs = model(torch.tensor([ids])).logits[0, -2].log_softmax(-1)
            asked.append((adapter, prompt))
            expected.append(logprobs[ids[-1]].item())
    engine = Engine(model, tokenizer, {"one": "one", "two": "two"}, 1024, 2**20)
    assert engine._spans.possible == (kind in ("plain", "scaled by rank"))  # the others take turns

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda request: score_candidates(engine, *request, [" go"]), asked))

    scores = [answer["scores"][0]["first_token_logprob"] for answer in answers]
    assert scores == pytest.approx(expected, abs=1e-4)
    assert abs(expected[0] - expected[2]) > 1e-3  # the adapters do differ


def test_a_call_that_cannot_be_read_fails_alone(base_model, tokenizer):
    """A token that the model has no row for, in one pass with dialogues that are fine."""
    ids = tokenizer(PROMPTS[0]).input_ids
    engine = Engine(AutoModelForCausalLM.from_pretrained(base_model), tokenizer, {"base": None}, 1024, 2**20)
    expected = engine.extend(Prefix(None), ids)
    known = Prefix(None)
    engine.extend(known, ids[:3])
    calls = [Call(Prefix(None), list(ids), list(range(len(ids))), [len(ids) - 1]),
             Call(Prefix(None), [10**6], [0], [0]),
             Call(known, ids[3:], list(range(3, len(ids))), [len(ids) - 4])]
    engine._batcher._answer(calls)  # as if they had come at the same moment
    assert torch.allclose(calls[0].answer.result(), expected, atol=1e-4)
    assert torch.allclose(calls[2].answer.result(), expected, atol=1e-4)
    with pytest.raises(IndexError):
        calls[1].answer.result()


def test_a_token_without_a_row_is_refused_before_any_pass(base_model, tokenizer):
    engine = Engine(AutoModelForCausalLM.from_pretrained(base_model), tokenizer, {"base": None}, 1024, 2**20)
    with pytest.raises(RequestError, match=f"token {len(tokenizer)} is not among the model's {len(tokenizer)} tokens"):
        engine.check_known([1, len(tokenizer)])
