"""Knowledge from a language model over FastChat's own servers: OpenAI API, controller, worker, the tiny model.

A LoRA adapter is trained here until it answers in the wanted form; the base alone does not.
"""

import json

import pytest
import torch
from alfworld_pairs import answered_turns, make_pairs, run_main
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import world_knowledge_build
from eval_agent.agents.chat_templates import get_template
from eval_agent.files import read_json, write_json
from eval_agent.knowledge.llm import PROMPTS, _as_lines, fill
from eval_agent.trajectories.format import OBSERVATION, steps_of
from eval_agent.trajectories.reply import ACTION
from tests.eval_agent.serving import ROOT, WORKER, Servers

BASE = ROOT / "data" / "tiny-mistral"
TASK_ANSWER = "Task Knowledge: When you need a mug, you should look. The action workflows are: 1) go to the shelf"
STATE_ANSWER = "State Knowledge: I hold nothing."


@pytest.fixture(scope="module")
def pair() -> dict:
    """A pair of short runs: every prompt is one that the adapter has learnt to answer."""
    pair = make_pairs()[0]
    for member in ("chosen", "rejected"):
        pair[member]["conversations"] = pair[member]["conversations"][:4]
    return pair


def prompts(pair: dict) -> list[tuple[str, str]]:
    """(prompt, answer) of the pair's three requests."""
    chosen, rejected = (steps_of(pair[member], "pair") for member in ("chosen", "rejected"))
    task = chosen[0].observation
    template = {gen: (PROMPTS / f"alfworld_{gen}.txt").read_text() for gen in ("task_knowledge", "state_knowledge")}
    runs = {"chosen": _as_lines(chosen), "rejected": _as_lines(rejected)}
    done = [f"{ACTION} {chosen[0].action}", OBSERVATION + chosen[1].observation]
    histories = (["(nothing was done yet)"], done)
    return [(fill(template["task_knowledge"], task, runs, None), TASK_ANSWER)] + [
        (fill(template["state_knowledge"], task, {"history": lines}, None), STATE_ANSWER) for lines in histories
    ]


@pytest.fixture(scope="module")
def writer(pair, tmp_path_factory):
    """Folder of the adapter."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    template, examples = get_template("mistral"), []
    for prompt, answer in prompts(pair):
        messages = [{"role": "user", "content": prompt}]
        n_prompt = len(tokenizer(template.render(messages)).input_ids)
        ids = tokenizer(template.render(messages) + f" {answer}</s>", return_tensors="pt").input_ids
        examples.append((ids, torch.cat([torch.full((1, n_prompt), -100), ids[:, n_prompt:]], dim=1)))
    for _ in range(60):
        losses = [model(input_ids=ids, labels=labels).loss for ids, labels in examples]
        if max(losses) < 0.02:
            break
        sum(losses).backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("peft") / "writer"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def api_base(writer, tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("logs"))
    try:
        servers.start_controller()
        worker = servers.start(
            WORKER, "--model-path", str(writer), "--model-names", "writer", "--model-path", str(BASE),
            "--model-names", "base",
        )
        worker.wait("/worker_get_status")
        api = servers.start("fastchat.serve.openai_api_server", "--controller-address", servers.controller.address)
        api.wait("/v1/models", "get")
        yield f"{api.address}/v1"
    finally:
        servers.stop()


@pytest.fixture
def build(pair, api_base, tmp_path, monkeypatch):
    write_json(tmp_path / "pairs.json", [pair])

    def call(gen: str, model: str) -> int:
        return run_main(
            world_knowledge_build, monkeypatch, "--dataset_path", tmp_path / "pairs.json", "--task", "alfworld",
            "--gen", gen, "--model_name", model, "--temperature", 0, "--api_base", api_base,
            "--output_path", tmp_path / f"{gen}.json",
        )

    return call


def test_task_and_state_knowledge_over_fastchats_servers(build, tmp_path):
    assert build("task_knowledge", "writer") == 0
    assert [pair["task_knowledge"] for pair in read_json(tmp_path / "task_knowledge.json")] == [TASK_ANSWER]
    assert build("state_knowledge", "writer") == 0
    (pair,) = read_json(tmp_path / "state_knowledge.json")
    assert [turn["state_knowledge"] for turn in answered_turns(pair)] == [STATE_ANSWER] * 2


def test_a_model_that_does_not_keep_the_form_ends_in_rejects(build, tmp_path):
    assert build("task_knowledge", "base") == 1
    (reject,) = map(json.loads, (tmp_path / "task_knowledge.json.rejects.jsonl").read_text().splitlines())
    assert "malformed answers; the last one: The answer does not begin" in reject["reason"]


def test_fastchats_word_for_a_full_context_is_understood(build, pair, tmp_path):
    long = json.loads(json.dumps(pair))
    long["chosen"]["conversations"][2]["value"] += " Dust lies here." * 2000
    write_json(tmp_path / "pairs.json", [long])
    # what is left after the cut is the prompt that the adapter knows, but for the observation
    assert build("task_knowledge", "writer") in (0, 1)
    rejects = tmp_path / "task_knowledge.json.rejects.jsonl"
    assert not rejects.exists() or "too long" not in rejects.read_text()
