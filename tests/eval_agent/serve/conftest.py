"""The reference that the worker is measured against: merged models and plain forward passes."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture(scope="session")
def tokenizer(base_model):
    return AutoTokenizer.from_pretrained(base_model)


@pytest.fixture(scope="session")
def merged(base_model, adapters) -> dict:
    """The base, and each adapter merged into a base of its own."""
    models = {"base": AutoModelForCausalLM.from_pretrained(base_model)}
    for name, folder in adapters.items():
        base = AutoModelForCausalLM.from_pretrained(base_model)
        models[name] = PeftModel.from_pretrained(base, folder).merge_and_unload()
    return {name: model.eval() for name, model in models.items()}


@pytest.fixture(scope="session")
def plain_scores(merged, tokenizer):
    """(first token, its log-probability, log-probability of the whole) of each candidate, a pass for each."""

    @torch.inference_mode()
    def scores(name: str, prompt: str, candidates: list[str]) -> list[tuple[int, float, float]]:
        prompt_ids = tokenizer(prompt).input_ids
        results = []
        for candidate in candidates:
            ids = tokenizer(prompt + candidate).input_ids
            boundary = next((i for i, (a, b) in enumerate(zip(prompt_ids, ids)) if a != b), len(prompt_ids))
            logprobs = merged[name](torch.tensor([ids])).logits[0].log_softmax(-1)
            values = [logprobs[i - 1, ids[i]].item() for i in range(boundary, len(ids))]
            results.append((ids[boundary], values[0], sum(values)))
        return results

    return scores
