"""The adapters of data/results serve over the shipped base, as the README says."""

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.config import load_task_config, read_instruction
from eval_agent.files import read_json
from eval_agent.serve.engine import Engine
from eval_agent.serve.generation import generate_stream
from eval_agent.serve.loading import add_adapters, plan_models

ROOT = Path(__file__).resolve().parent.parent
ROOM = """You are in the middle of a room. Looking quickly around you, you see a bed 1, a desk 1, and a shelf 1.
Your task is to: put a mug in shelf."""
REQUEST = """WebShop [SEP] Instruction: [SEP] Find me a blue mug with a lid, and price lower than 30.00 dollars [SEP] Search"""
VARIATION = """Task Description:
Your task is to find a(n) plant. First, focus on the thing. Then, move it to the red box in the kitchen."""
FORMS = {"agent": "Thought: ", "world_model": "Task Knowledge: "}


@pytest.mark.parametrize("peft, exp_config, task", [
    ("tiny/peft", "alfworld_tiny", ROOM), ("tiny_held_out/peft", "alfworld_held_out", ROOM),
    ("tiny/webshop/peft", "webshop_tiny", REQUEST), ("tiny/sciworld/peft", "sciworld_tiny", VARIATION),
    ("tiny_joint/alfworld/peft", "alfworld_tiny", ROOM), ("tiny_joint/webshop/peft", "webshop_tiny", REQUEST),
    ("tiny_joint/sciworld/peft", "sciworld_tiny", VARIATION)],
    ids=["alfworld", "held out", "webshop", "sciworld", "joint alfworld", "joint webshop", "joint sciworld"])
def test_each_adapter_answers_in_its_form(peft, exp_config, task, monkeypatch):
    monkeypatch.chdir(ROOT)  # the adapters' base is in data/
    models = plan_models(sorted(map(str, Path("data/results", peft).iterdir())), None)
    base = models[0].base
    model, adapters = add_adapters(AutoModelForCausalLM.from_pretrained(base).float(), models)
    engine = Engine(model, AutoTokenizer.from_pretrained(base), adapters, 2048, 2**24)
    assert {"agent_model", "world_model"} <= set(adapters)
    config = load_task_config(exp_config, "configs/task")
    for name in adapters:
        role = "world_model" if "world_model" in name else "agent"
        instruction = read_instruction(getattr(config, role).instruction)
        prompt = f"[INST] {instruction} [/INST] OK</s>[INST] {task} [/INST]"
        request = {"model": name, "prompt": prompt, "temperature": 0.0, "max_new_tokens": 80, "echo": False}
        *_, answer = generate_stream(engine, request, 80, None)
        assert answer["text"].strip().startswith(FORMS[role]), f"{name}: {answer['text']}"


def test_no_adapter_names_a_place_of_one_machine():
    bases = [read_json(path)["base_model_name_or_path"] for path in (ROOT / "data/results").rglob("adapter_config.json")]
    assert bases and not [base for base in bases if Path(base).is_absolute()]
