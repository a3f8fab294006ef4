"""Small tokenizers that split text as each backbone's own does: same special tokens, same way with spaces."""

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

TEXT = [
    "Thought: I need to find a mug.\nAction: go to cabinet 3",
    "Observation: On the countertop 1, you see a mug 1, and a spoon 2.\n\nYour task is to: cool a mug.\n",
    "[INST] OK [/INST] OK user model assistant é\n\n",
    "\n\n\nAction \n\n\nAction",
]


def _mistral() -> Tokenizer:  # SentencePiece: every text starts with a space; [INST] is ordinary text
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁\n]+|▁+|\n"), "isolated")
    return tokenizer


def _gemma() -> Tokenizer:  # SentencePiece without the leading space
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("\n+|▁?[^▁\n]+|▁+"), "isolated")
    return tokenizer


def _llama3() -> Tokenizer:  # bytes, words and runs of newlines apart
    tokenizer = Tokenizer(models.BPE())
    pieces = r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+\n*|\s*\n+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pieces), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


_MISTRAL_SPECIAL = (["<unk>", "<s>", "</s>"], "<s>", "</s>")
_FAMILIES = {
    "mistral": (_mistral, *_MISTRAL_SPECIAL),
    "mistral_v02": (_mistral, *_MISTRAL_SPECIAL),
    "gemma": (_gemma, ["<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], "<bos>", "<eos>"),
    "llama3": (
        _llama3,
        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|begin_of_text|>",
        "<|end_of_text|>",
    ),
    "chatml": (_llama3, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, "<|im_end|>"),
}


def make_family_tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """Tokenizer by template name. They stand for the backbones' own, which cannot be part of the tests."""
    return {name: _train(*family) for name, family in _FAMILIES.items()}


def _train(make, special: list[str], bos: str | None, eos: str, adds: str = "{bos} $A", **more) -> PreTrainedTokenizerFast:
    """``adds`` is what it makes of each text; an <|end|> takes the blanks behind it into itself, as Phi's does."""
    tokenizer = make()
    tokens = [AddedToken(token, special=True, normalized=False, rstrip=token == "<|end|>") for token in special]
    alphabet = pre_tokenizers.ByteLevel.alphabet() if make is _llama3 else []
    tokenizer.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False
        ),
    )
    steps = [processors.ByteLevel(trim_offsets=True)] if make is _llama3 else []
    added = adds.format(bos=bos or "").replace("$A", "").strip()
    if added:
        id_of = (added, tokenizer.token_to_id(added))
        steps.append(processors.TemplateProcessing(single=adds.format(bos=bos), special_tokens=[id_of]))
    tokenizer.post_processor = processors.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, **more)
