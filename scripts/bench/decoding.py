"""Tokens per second with prompt lookup and without it (see the .sh).

    bash scripts/bench/decoding.sh --dialogues 16 --turns 8
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.agents.chat_templates import get_template
from eval_agent.command_line import Parser
from eval_agent.config import load_task_config, read_instruction
from eval_agent.progress import tqdm
from eval_agent.serve.engine import Engine
from eval_agent.serve.generation import PromptLookup, generate_stream

OBSERVATIONS = Path(__file__).with_name("observations.json")
BASE, TEMPLATE = "data/tiny-mistral", get_template("mistral_v02")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--dialogues", type=int, default=16, help="side by side")
    parser.add_argument("--turns", type=int, default=8, help="answers of each dialogue")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    args = parser.parse_args()
    episodes = json.loads(OBSERVATIONS.read_text())[:args.dialogues]
    results = {}
    for role in ("agent", "world_model"):
        instruction = read_instruction(load_task_config("alfworld_tiny", "configs/task")[role]["instruction"])
        with patch.object(PromptLookup, "guess", lambda lookup, most: []):
            plain = _play(instruction, episodes, args)
        lookup = _play(instruction, episodes, args)
        for name, side in (("one token a pass", plain), ("prompt lookup", lookup)):
            print(f"{role}, {name}: {side['tokens'] / side['seconds']:.0f} tokens/s, {side['passes']} calls")
        results[role] = {
            "ratio": round(plain["seconds"] / lookup["seconds"], 2),
            "tokens_per_pass": round(lookup["tokens"] / lookup["passes"], 2),
            "same_texts": plain["texts"] == lookup["texts"],
        }
    print(json.dumps(results))


def _play(instruction: str, episodes: list[dict], args) -> dict:
    """All dialogues at once in a new engine: their texts, tokens, model calls and the seconds they took."""
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).to(args.device)
    engine = Engine(model, AutoTokenizer.from_pretrained(BASE), {"base": None}, 5120, 2**31)
    side = {"texts": [], "tokens": 0, "passes": 0}
    started = time.monotonic()
    with ThreadPoolExecutor(len(episodes)) as pool:
        jobs = [pool.submit(_dialogue, engine, instruction, episode, args.turns) for episode in episodes]
        for job in tqdm(jobs, unit="dialogue", leave=False):
            for answer in job.result():
                side["texts"].append(answer["text"])
                side["tokens"] += answer["usage"]["completion_tokens"]
                side["passes"] += answer["usage"]["passes"]
    return {**side, "seconds": time.monotonic() - started}


def _dialogue(engine: Engine, instruction: str, episode: dict, turns: int) -> list[dict]:
    messages = [{"role": "user", "content": instruction}, {"role": "assistant", "content": "OK"}]
    answers = []
    for said in [episode["task"], *episode["observations"]][:turns]:
        content = f"Observation: {said}" if answers else said
        prompt = TEMPLATE.render([*messages, {"role": "user", "content": content}])
        request = {"prompt": prompt, "temperature": 0.0, "max_new_tokens": 200, "echo": False}
        *_, answer = generate_stream(engine, request, 200, None)
        answers.append(answer)
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": answer["text"].strip()}]
    return answers


if __name__ == "__main__":
    main()
