"""The tiny base model's tokenizer: byte-level BPE over text-world prose, whole numbers as single pieces."""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD, INST, INST_END = "<s>", "</s>", "<pad>", "[INST]", "[/INST]"
# How text is cut before pieces are learnt. "world": WebShop's separator, a word with the space before it, a number of up
# to two digits with its space, punctuation, white space. "shop": words without a space, so that a word is the same pieces
# in a title and in click[...], where it can only be copied if it is; punctuation with the space behind it; a published
# product id as B0 and pairs, of which there are so many that what follows one in a page is hardly ever in doubt.
_PAIR = (r"[0-9A-Z]{2}(?<=B0[0-9A-Z]{2}|B0[0-9A-Z]{4}|B0[0-9A-Z]{6}|B0[0-9A-Z]{8})"
         r"(?=[0-9A-Z]{0,6}(?![0-9A-Za-z]))")
PIECES = {
    "world": r" ?\[SEP\]| ?\p{L}+| ?\d{1,2}| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+",
    "shop": rf"B0(?=[0-9A-Z]{{8}}(?![0-9A-Za-z]))|{_PAIR}| ?\[SEP\] ?|\p{{L}}+|\d{{1,2}}|[^\s\p{{L}}\d]+ ?|\s+",
}
# Mistral-7B-Instruct-v0.2's chat format, for programs that read it from the tokenizer
_CHAT_FORMAT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, context_length: int, pieces: str = "world"
) -> PreTrainedTokenizerFast:
    """A tokenizer of ``vocab_size`` pieces learnt from ``texts`` cut as PIECES has it; it adds BOS and encodes any text."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES[pieces]), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
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
