"""Requests of several adapters at once, whatever the adapters are made like."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from eval_agent.serve.engine import Engine
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
