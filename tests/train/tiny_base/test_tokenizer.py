"""The tiny bases' tokenizers: in a shop's, a word and an id are the same pieces wherever they stand."""

import pytest

from train.tiny_base.tokenizer import train_tokenizer
from train.tiny_base.webshop_words import every_id_piece

ID = ["B0", "9Q", "KT", "VJ", "F7"]


@pytest.fixture(scope="module")
def tokenizer():
    ids = [text for _, text in zip(range(60_000), every_id_piece())]
    text = ["click[brown] [SEP] brown [SEP] Brown Shoes, brown. It costs 12.5"] * 99
    return train_tokenizer([*text, *ids], vocab_size=1750, context_length=64, pieces="shop")


@pytest.mark.parametrize("text", [
    "click[B09QKTVJF7]", "[SEP] B09QKTVJF7 [SEP]", "B09QKTVJF7 costs", "and B09QKTVJF7.", "B0", "B09QKTVJF7x", "B09QKTVJF",
    "ab0 B09QKTVJF7Z", "a  b\n\nc ", "Thought: it's 12.50.\nAction: search[red, blue]",
])
def test_a_text_is_read_back_and_an_id_is_b0_and_pairs(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    pieces = [piece for piece in tokenizer.tokenize(text) if piece in ID]
    whole = "B09QKTVJF7" in text and not text.endswith(("x", "Z"))
    assert (pieces == ID) == whole


def test_a_word_can_be_copied_from_a_page_into_a_click(tokenizer):
    """Two tokenizers over the same text: with the space at the word they are different pieces."""
    assert tokenizer.tokenize("click[brown] [SEP] brown").count("brown") == 2
    world = train_tokenizer(["a brown box and a brown bag"] * 99, vocab_size=300, context_length=64)
    assert world.tokenize("click[brown] brown").count("brown") < 2
