"""Fifty steps on the tiny base model against a plain PyTorch loop: no Trainer, no PEFT, no packing."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import ROOT
from tests.train.test_train_bash import flags, losses, train
from train.trainers import StepSampler

TINY = ROOT / "data" / "tiny-mistral"
STEPS, RATE, WARMUP, RANK, ALPHA = 50, 3e-3, 0.1, 8, 16


class Lora(torch.nn.Module):
    def __init__(self, linear, a, b):
        super().__init__()
        self.linear, self.a, self.b = linear, torch.nn.Parameter(a.clone()), torch.nn.Parameter(b.clone())

    def forward(self, x):
        return self.linear(x) + ALPHA / RANK * (x @ self.a.T @ self.b.T)


def dialogues() -> list[list[str]]:
    """Twelve of two to four turns, each reply another."""
    return [
        [
            "Find a mug.",
            "OK",
            f"Your task is to: put a mug in cabinet {n}.",
            f"Thought: I look.\nAction: go to cabinet {n}",
        ]
        + ["Observation: a mug 1.", f"Action: take mug 1 from cabinet {n}"] * (n % 3)
        for n in range(1, 13)
    ]


def encode_by_hand(dialogue: list[str], tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, and whether each is learnt: "[INST] human [/INST] gpt</s>", tokenised turn by turn."""
    ids, learnt = [tokenizer.bos_token_id], [False]
    for human, gpt in zip(dialogue[::2], dialogue[1::2]):
        for text, loss in ((f"[INST] {human} [/INST]", False), (f" {gpt}</s>", True)):
            piece = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids, learnt = ids + piece, learnt + [loss] * len(piece)
    return torch.tensor(ids), torch.tensor(learnt)


def plain_loop(batches: list[list[int]], data: list, first: dict) -> tuple[list[float], dict]:
    """Losses and final LoRA matrices; ``first`` are the matrices to start from, by their PEFT names."""
    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    model.requires_grad_(False)
    adapters = {}
    for number, layer in enumerate(model.model.layers):
        for name in ("q_proj", "v_proj"):
            key = f"base_model.model.model.layers.{number}.self_attn.{name}"
            a, b = first[f"{key}.lora_A.weight"], first[f"{key}.lora_B.weight"]
            adapters[key] = Lora(getattr(layer.self_attn, name), a, b)
            setattr(layer.self_attn, name, adapters[key])
    parameters = [p for adapter in adapters.values() for p in (adapter.a, adapter.b)]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    warmup, curve = math.ceil(WARMUP * STEPS), []
    for step, batch in enumerate(batches):
        rise, fall = step / warmup, (step - warmup) / (STEPS - warmup)
        factor = rise if step < warmup else 0.5 * (1 + math.cos(math.pi * fall))
        optimizer.param_groups[0]["lr"] = RATE * factor
        total = sum(int(data[i][1].sum()) for i in batch)
        loss = 0.0
        for ids, learnt in (data[i] for i in batch):
            logits = model(ids[None]).logits[0, :-1]
            part = F.cross_entropy(logits[learnt[1:]], ids[1:][learnt[1:]], reduction="sum") / total
            part.backward()
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        curve.append(loss)
    return curve, adapters


def test_fifty_steps_are_those_of_a_plain_loop(tmp_path, monkeypatch):
    texts = dialogues()
    turns = [[{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(d)] for d in texts]
    (tmp_path / "mugs.json").write_text(json.dumps([{"conversations": t} for t in turns]))
    argv = flags(
        TINY, tmp_path, tmp_path / "out", dataset="mugs.json", template="mistral_v02", lora_dropout=0,
        save_steps=100, learning_rate=RATE, warmup_ratio=WARMUP,
        gradient_accumulation_steps=2, seed=3, logging_steps=1,
    )  # fmt: skip
    train(monkeypatch, [*argv, "--max_steps", str(STEPS)])
    at_the_start = [
        *argv,
        "--learning_rate",
        "0",
        "--max_steps",
        "1",
        "--output_dir",
        str(tmp_path / "start"),
    ]
    train(monkeypatch, at_the_start)
    first = load_file(tmp_path / "start" / "adapter_model.safetensors")

    data = [encode_by_hand(text, AutoTokenizer.from_pretrained(TINY)) for text in texts]
    lengths = [len(ids) for ids, _ in data]
    order = [i for e in range(17) for i in StepSampler(lengths, 2, 2, seed=3, epoch=lambda e=e: e)]
    curve, adapters = plain_loop([order[s : s + 4] for s in range(0, 4 * STEPS, 4)], data, first)
    assert list(losses(tmp_path / "out").values()) == pytest.approx(curve, abs=1e-4)
    assert curve[-1] < 0.5 * curve[0]
    trained = load_file(tmp_path / "out" / "adapter_model.safetensors")
    for key, adapter in adapters.items():
        torch.testing.assert_close(trained[f"{key}.lora_B.weight"], adapter.b.data, rtol=0, atol=1e-4)
