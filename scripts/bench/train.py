"""LoRA SFT of a random Mistral-architecture model, here and in LLaMA-Factory (see the .sh).

    bash scripts/bench/train.sh --size 20m --conversations 40

Both sides train once over the same conversations, nothing cut, with LLaMA-Factory's defaults but for
gradient checkpointing: it is on by default there, which costs time, so LLaMA-Factory runs with and without,
and the ratio is to its faster run. Tokens per second are the conversations' own tokens (no padding) over
the training loop's time, without loading and tokenising. Peak memory is the process's, on a GPU the
device's.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from transformers import MistralConfig, MistralForCausalLM

from eval_agent.command_line import Parser
from eval_agent.files import read_json, write_json
from train.tiny_base.tokenizer import train_tokenizer

VOCABULARY, CUTOFF = 32000, 2048
SIZES = {
    "20m": dict(hidden_size=384, intermediate_size=1024, num_hidden_layers=5, num_attention_heads=6,
                num_key_value_heads=6, tie_word_embeddings=True),
    "7b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
               num_key_value_heads=8),
}  # fmt: skip
THINGS = "mug plate fork pan apple bread lamp book pen towel soap key".split()
PLACES = "cabinet drawer shelf fridge countertop sinkbasin table desk bed garbagecan".split()


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--peer", required=True, help="LLaMA-Factory's environment")
    parser.add_argument("--size", default="20m", choices=SIZES, help="parameters of the random model")
    parser.add_argument(
        "--conversations", type=int, default=40, help="how many; 8 make a step (4 x 2 accumulated)"
    )
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16 (on a GPU)")
    parser.add_argument("--peak_tflops", type=float, help="the device's, to print model FLOPs utilisation")
    return parser.parse_args()


def dialogue(rng: random.Random, n_steps: int) -> list[str]:
    """Instruction, task, and ``n_steps`` thoughts and actions with what is observed after each."""

    def name(words):
        return f"{rng.choice(words)} {rng.randint(1, 9)}"

    seen = ", a ".join(name(PLACES) for _ in range(20))
    turns = ["You are in a house. Answer with Thought: and Action:. " * 6, "OK"]
    turns.append(f"You see a {seen}.\nYour task is to: put a clean {name(THINGS)} in {name(PLACES)}.")
    for _ in range(n_steps):
        place, thing = name(PLACES), name(THINGS)
        turns.append(f"Thought: I need a {thing}. I have not looked at {place} yet.\nAction: go to {place}")
        turns.append(
            f"Observation: On the {place}, you see a " + ", a ".join(name(THINGS) for _ in range(8)) + "."
        )
    return turns[:-1]


def write_data(folder: Path, n: int) -> list[list[str]]:
    """Lengths spread as ALFWorld's expert trajectories are: 4 to 15 steps, most of them short."""
    rng = random.Random(0)
    dialogues = [dialogue(rng, min(15, 4 + int(rng.expovariate(0.2)))) for _ in range(n)]
    records = [
        {"conversations": [{"from": ("human", "gpt")[i % 2], "value": turn} for i, turn in enumerate(turns)]}
        for turns in dialogues
    ]
    write_json(folder / "dialogues.json", records)
    write_json(
        folder / "dataset_info.json", {"dialogues": {"file_name": "dialogues.json", "formatting": "sharegpt"}}
    )
    return dialogues


def write_model(folder: Path, size: str, texts: list[str], bf16: bool) -> int:
    """A random model with a tokenizer learnt from the texts; returns its number of parameters."""
    tokenizer = train_tokenizer(texts, vocab_size=1024, context_length=CUTOFF)
    tokenizer.save_pretrained(folder)
    config = MistralConfig(
        vocab_size=VOCABULARY, max_position_embeddings=CUTOFF, sliding_window=None,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, **SIZES[size],
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if bf16 else torch.float32)
    model = MistralForCausalLM(config)
    model.save_pretrained(folder)
    return model.num_parameters()


def train(command: list[str], output: Path, args: argparse.Namespace, folder: Path) -> dict:
    """Run one side; its results file and ``peak_mb``."""
    flags = f"""
        --stage sft --do_train True --model_name_or_path {folder / "model"} --dataset_dir {folder} --dataset
        dialogues --template mistral --finetuning_type lora --lora_target q_proj,v_proj --lora_rank 8
        --lora_alpha 16 --lora_dropout 0.05 --cutoff_len {CUTOFF} --output_dir {output}
        --per_device_train_batch_size 4 --gradient_accumulation_steps 2 --num_train_epochs 1 --learning_rate
        1e-4 --lr_scheduler_type cosine --warmup_ratio 0.03 --logging_steps 1 --save_steps 100000
        --report_to none --bf16 {args.bf16}
    """.split()
    # the scripts' TOKENIZERS_PARALLELISM=false is for servers
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    log = output.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen([*command, *flags], stdout=file, stderr=subprocess.STDOUT, env=environment)
        device_peak = watch_device(process) if torch.cuda.is_available() else None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    peak = max(device_peak) if device_peak else usage.ru_maxrss / 1024
    return {**read_json(output / "train_results.json"), "peak_mb": round(peak)}


def watch_device(process: subprocess.Popen) -> list[float]:
    """MiB in use on the first GPU, sampled until the process ends."""
    samples = [0.0]
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]

    def sample():
        while process.returncode is None:
            samples.append(float(subprocess.check_output(query, text=True)))
            time.sleep(0.2)

    threading.Thread(target=sample, daemon=True).start()
    return samples


def main() -> None:
    args = parse_arguments()
    folder = Path(tempfile.mkdtemp(prefix="bench_train_"))
    try:
        dialogues = write_data(folder, args.conversations)
        n_parameters = write_model(
            folder / "model", args.size, [turn for d in dialogues for turn in d], args.bf16
        )
        peer = [f"{args.peer}/bin/llamafactory-cli", "train"]
        commands = {
            "ours": [sys.executable, "train/train_bash.py"],
            "llamafactory": [*peer, "--disable_gradient_checkpointing", "True"],
            "llamafactory_default": peer,
        }
        if args.bf16:  # where memory decides, both recompute
            del commands["llamafactory"]
        report(
            args, n_parameters, {name: train(c, folder / name, args, folder) for name, c in commands.items()}
        )
    finally:
        shutil.rmtree(folder)


def report(args: argparse.Namespace, n_parameters: int, results: dict[str, dict]) -> None:
    tokens = results["ours"]["tokens"]
    assert results["ours"]["cut"] == results["ours"]["skipped"] == 0
    speed = {name: tokens / result["train_runtime"] for name, result in results.items()}
    print(f"{args.conversations} conversations, {tokens:,} tokens, {n_parameters / 1e6:.1f} M parameters")
    print("| | tokens/s | peak MB | mean loss |\n|---|---|---|---|")
    for name, result in results.items():
        print(f"| {name} | {speed[name]:.0f} | {result['peak_mb']} | {result['train_loss']:.4f} |")
    best = max(value for name, value in speed.items() if name != "ours")
    line = {
        "size": args.size,
        "ratio": round(speed["ours"] / best, 3),
        "ratio_to_defaults": round(speed["ours"] / speed["llamafactory_default"], 3),
        "peak_mb": results["ours"]["peak_mb"],
        "trained_share": round(results["ours"]["trained_tokens"] / tokens, 3),
        **{f"tokens_per_s_{name}": round(value, 1) for name, value in speed.items()},
        **{f"peak_mb_{name}": result["peak_mb"] for name, result in results.items() if name != "ours"},
    }
    if args.peak_tflops:  # frozen weights: forward and the gradient of activations, 2 FLOPs each
        line["mfu"] = round(4 * n_parameters * speed["ours"] / (args.peak_tflops * 1e12), 3)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
