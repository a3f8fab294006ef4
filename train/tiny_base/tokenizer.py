"""The tiny base model's tokenizer: byte-level BPE over text-world prose, whole numbers as single pieces."""

import json
import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD, INST, INST_END = "<s>", "</s>", "<pad>", "[INST]", "[/INST]"
# How text is cut before pieces are learnt: a word with the space before it, a number of up to two digits with its space,
# punctuation, white space ...
_WORLD = r" ?\[SEP\]| ?\p{L}+| ?\d{1,2}| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+"
# ... and in a shop an id as its first four signs, in which those of a page mostly differ (three of a demo shop's), and
# each other sign by itself; and "[" by itself
_END = r"(?![0-9A-Za-z])"
_SIGN = "|".join(f"[0-9A-Z](?<=B0[0-9A-Z]{{{before}}})(?=[0-9A-Z]{{{8 - before}}}{_END})" for before in range(3, 9))
_SHOP = rf" ?B0[0-9A-Z]{{2}}(?=[0-9A-Z]{{6}}{_END})| ?W\d{{2}}(?=\d{{7}}{_END})|{_SIGN}| ?\[(?!SEP\])|{_WORLD}"
ID_PIECE = re.compile(r"B0[0-9A-Z]{2}|W\d{2}")
SPACE = "\u0120"  # as byte-level BPE writes it
# Mistral-7B-Instruct-v0.2's chat format, for programs that read it from the tokenizer
_CHAT_FORMAT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, context_length: int, spaced: int = 0
) -> PreTrainedTokenizerFast:
    """A tokenizer of ``vocab_size`` pieces learnt from ``texts``; it adds BOS and encodes any text.

    With ``spaced`` it is a shop's: a word is cut into the same pieces in " brown" as in "click[brown]", where it can only
    be copied if it is. Pieces are learnt without spaces, and the ``spaced`` ones that most often stand at a word's
    beginning get a twin with its space, joined last.
    """
    if spaced:
        texts = list(texts)
    tokenizer = _learnt(texts, vocab_size - spaced, _SHOP.replace(" ?", "") if spaced else _WORLD)
    if spaced:
        tokenizer = _with_spaces(tokenizer, texts, spaced)
    bos = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[bos]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[INST, INST_END],
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=_CHAT_FORMAT,
    )


def bare_pieces(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """What each piece of the vocabulary is without the space before it, in the order of the ids."""
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return [piece.removeprefix(SPACE) or SPACE for piece in pieces]


def _learnt(texts: Iterable[str], vocab_size: int, cut: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = _cutting(cut)
    tokenizer.decoder = decoders.ByteLevel()
    # the space that the format puts before [/INST] belongs to it
    special = [*(AddedToken(t, special=True, normalized=False) for t in (BOS, EOS, PAD, INST)),
               AddedToken(INST_END, special=True, normalized=False, lstrip=True)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _cutting(cut: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(cut), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ])


def _with_spaces(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Tokenizer:
    """``tokenizer`` with twins of the ``count`` pieces that most often follow a space."""
    following = Counter()
    for encoding in tokenizer.encode_batch(texts):
        following.update(after for piece, after in zip(encoding.tokens, encoding.tokens[1:]) if piece == SPACE)
    written = json.loads(tokenizer.to_str())
    model, special = written["model"], {token["content"] for token in written["added_tokens"]}
    twins = [piece for piece, _ in following.most_common() if piece not in special and piece[0] not in f"{SPACE}\u010a"]
    twins.sort(key=lambda piece: not ID_PIECE.fullmatch(piece))  # ids first, however seldom each is
    for piece in twins[:count]:
        model["vocab"][SPACE + piece] = len(model["vocab"])
        model["merges"].append([SPACE, piece])
    spaced = Tokenizer.from_str(json.dumps(written))
    spaced.pre_tokenizer = _cutting(_SHOP)
    return spaced
