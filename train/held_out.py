"""The mean loss of adapters on conversations that they were not trained on: what to choose a learning rate by.

    python -m train.held_out --recipe configs/train/smollm2-135m.json --dataset_dir outputs/rates --dataset held.json \\
        base outputs/rates/0.0003 outputs/rates/0.001

One line for each adapter: cross-entropy of a learnt token (replies and their end marks), of all conversations together.
"base" is the recipe's base without an adapter.
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import AutoModelForCausalLM

from eval_agent.agents.chat_format import template_of_recipe
from eval_agent.command_line import Parser
from eval_agent.config import read_config
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.model_folder import is_adapter
from train.base_model import load_tokenizer, within_context
from train.data import data_sets, read_conversations
from train.packing import PACKED, attention_arguments, pack
from train.token_cache import encode_conversations

BASE = "base"


def mean_loss(model: torch.nn.Module, examples: list[dict]) -> float:
    """Cross-entropy a learnt token, over all ``examples`` (:func:`train.token_cache.encode_conversations`)."""
    total = tokens = 0
    for example in examples:
        inputs = pack([example])
        lengths = inputs.pop("lengths")
        del inputs["where"]
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        labels = inputs.pop("labels")
        inputs.update(attention_arguments(lengths, PACKED, labels.device))
        with torch.inference_mode():
            logits = model(**inputs, use_cache=False).logits[0]
            total += F.cross_entropy(logits.float(), labels, reduction="sum").item()
        tokens += len(labels)
    return total / tokens


def load(base: str, name: str) -> torch.nn.Module:
    """``base`` in float32, on a GPU where there is one, with the adapter in the folder ``name`` unless that is "base"."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation=PACKED)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model.eval() if name == BASE else PeftModel.from_pretrained(model, name).eval()


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("adapters", nargs="+", metavar="ADAPTER",
                        help='folders of adapters over the recipe\'s base, or "base"')
    parser.add_argument("--recipe", required=True, help="the recipe that they were trained by")
    parser.add_argument("--dataset_dir", required=True, help="folder of the data, as in training")
    parser.add_argument("--dataset", required=True, help="files or registered names of the conversations held out")
    return parser.parse_args()


@exit_on_input_error
def main() -> int:
    args = parse_arguments()
    for name in args.adapters:
        if name != BASE and not is_adapter(name):
            raise InputError(f"{name}: no adapter_config.json there, expected an adapter's folder or {BASE}")
    recipe = read_config(Path(args.recipe))
    base = recipe["model_name_or_path"]
    tokenizer, config = load_tokenizer(base)
    conversations = read_conversations(data_sets(args.dataset, args.dataset_dir), None)
    longest = within_context(recipe["cutoff_len"], config)
    examples, report = encode_conversations(conversations, tokenizer, template_of_recipe(args.recipe), longest)
    print(f"Data: {report}", flush=True)
    for name in args.adapters:
        print(f"{mean_loss(load(base, name), examples):.4f}  {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
