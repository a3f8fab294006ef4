"""The tokenizer in a GGUF file of SmolLM2, rebuilt as the model was trained with it.

transformers' own reading of such a file (4.57) puts <|im_start|> before each text, ends at it too, decodes by
SentencePiece's rules and leaves digits together. Right is: nothing is added, <|im_end|> is EOS and pads, digits stand
alone, and the rest is byte level as GPT-2's.
"""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from eval_agent.errors import InputError

_CONTROL = 3  # GGUF's token type of special tokens
_EXPECTED = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm"}


def build_tokenizer(fields: dict) -> PreTrainedTokenizerFast:
    """The tokenizer of a GGUF file's metadata, ``{"tokenizer.ggml.tokens": [...], ...}``.

    Raises InputError where that is of another kind, which would need other rules.
    """
    for field, expected in _EXPECTED.items():
        if fields.get(field) != expected:
            raise InputError(f'GGUF field "{field}" is "{fields.get(field)}", expected "{expected}"')
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])

    def named(role: str) -> str:
        return tokens[fields[f"tokenizer.ggml.{role}_token_id"]]

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=named("bos"),  # begins each turn, by the chat template; never added to a text
        eos_token=named("eos"),
        pad_token=named("padding"),
        unk_token=named("unknown"),
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=fields["tokenizer.chat_template"],
    )
