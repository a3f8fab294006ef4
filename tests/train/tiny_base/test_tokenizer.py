"""The tiny bases' tokenizer: published product ids are B0 and pairs, whatever stands around them."""

import pytest

from train.tiny_base.tokenizer import train_tokenizer
from train.tiny_base.webshop_words import every_id_piece


@pytest.fixture(scope="module")
def tokenizer():
    ids = [text for _, text in zip(range(60_000), every_id_piece())]
    return train_tokenizer(["click[buy now] [SEP] ", " B0A1B2C3D4" * 99, *ids], vocab_size=1700, context_length=64)


@pytest.mark.parametrize("text, pieces", [
    ("click[B09QKTVJF7]", ["B0", "9Q", "KT", "VJ", "F7"]),
    ("[SEP] B07ABC1D2E [SEP]", ["\u0120B0", "7A", "BC", "1D", "2E"]),
    ("B09QKTVJF7 and B07ABC1D2E.", ["B0", "9Q", "KT", "VJ", "F7", "\u0120B0", "7A", "BC", "1D", "2E"]),
])
def test_an_id_is_b0_and_pairs(tokenizer, text, pieces):
    found = tokenizer.tokenize(text)
    start = found.index(pieces[0])
    assert [piece for piece in found[start:] if piece in pieces] == pieces
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("text", ["B0", "B09", "B09QKTVJF7x", "B09QKTVJF", "ab0 B09QKTVJF7Z"])
def test_what_is_no_id_is_read_as_ever(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert "KT" not in tokenizer.tokenize(text)
