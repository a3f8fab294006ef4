"""The tiny bases' tokenizers: in a shop's, a word and an id are the same pieces wherever they stand."""

import pytest

from train.tiny_base.tokenizer import bare_pieces, train_tokenizer

ID = ["B09Q", "K", "T", "V", "J", "F", "7"]
TEXT = ["click[brown] [SEP] brown [SEP] Brown Shoes, brown. It costs 12.5 [SEP] B09QKTVJF7"] * 99


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXT, vocab_size=320, context_length=64, spaced=20)


@pytest.mark.parametrize("text", [
    "click[B09QKTVJF7]", "[SEP] B09QKTVJF7 [SEP]", "B09QKTVJF7 costs", "and B09QKTVJF7.", "B0", "B09QKTVJF7x", "B09QKTVJF",
    "ab0 B09QKTVJF7Z", "a  b\n\nc ", "Thought: it's 12.50.\nAction: search[red, blue]",
])
def test_a_text_is_read_back_and_an_id_is_four_signs_and_six(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    names = bare_pieces(tokenizer)
    pieces = [names[piece] for piece in tokenizer(text)["input_ids"]]
    whole = "B09QKTVJF7" in text and not text.endswith(("x", "Z"))
    assert (" ".join(ID) in " ".join(pieces)) == whole


def test_a_demo_shop_s_id_is_three_signs_and_pairs():
    shop = train_tokenizer(["W123456789 [SEP]"] * 99, vocab_size=300, context_length=64, spaced=9)
    assert shop.tokenize("W123456789") == ["W12", "34", "56", "78", "9"]


def test_a_word_can_be_copied_from_a_page_into_a_click(tokenizer):
    """With or without its space it is cut alike, seldom words too; without twins of pieces it is not."""
    def cut(tokenizer, word: str) -> list[str]:
        return [bare_pieces(tokenizer)[piece] for piece in tokenizer(word, add_special_tokens=False)["input_ids"]]

    for word in ("brown", "Shoes", "brownish", "xylophone", "12"):
        assert [piece for piece in cut(tokenizer, f" {word}") if piece != "\u0120"] == cut(tokenizer, word)
    assert tokenizer.tokenize("[SEP] brown")[-1] == "\u0120brown" and tokenizer.tokenize("[brown")[-1] == "brown"
    world = train_tokenizer(["a brown box and a brown bag"] * 99, vocab_size=300, context_length=64)
    assert cut(world, " brown") != cut(world, "brown")


def test_so_many_pieces_as_were_asked_for_have_a_twin(tokenizer):
    """Where the text has as many."""
    names = bare_pieces(tokenizer)
    twins = {name for name in names if names.count(name) == 2}
    assert {"brown", "[SEP]", "12", "B09Q"} <= twins and len(twins) <= 20
    assert len(names) == len(tokenizer) <= 320
