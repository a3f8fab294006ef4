"""Text -> terms. Expected values were given by Lucene 8.11 itself (scripts/bench/check_lucene.sh asks it for all)."""

import pytest

from eval_agent.webshop.analyser import terms, tokens
from eval_agent.webshop.porter import stem


@pytest.mark.parametrize("text, found", [
    ("size:large a.b l'eau 6.7 5,000mah", ["size:large", "a.b", "l'eau", "6.7", "5,000mah"]),
    ("easy-care 16\" x 16\" salt&pepper and/or", ["easy", "care", "16", "x", "16", "salt", "pepper", "and", "or"]),
    ("a.5 5.a a5 snake_case _x_ ___", ["a", "5", "5", "a", "a5", "snake_case", "_x_"]),
    ("caf\u00e9 \u65e5\u672c \u30ab\u30bf\u30ab\u30ca", ["caf\u00e9", "\u65e5", "\u672c", "\u30ab\u30bf\u30ab\u30ca"]),
    ("tea\u2122 \u2605 \u2665\ufe0f", ["tea", "\u2122", "\u2605", "\u2665\ufe0f"]),
    ("\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fb\U0001f44d",
     ["\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fb", "\U0001f44d"]),
    ("\U0001f1e6\U0001f1e9 1\u20e3 #\u20e3 # *", ["\U0001f1e6\U0001f1e9", "1\u20e3", "#\u20e3"]),
    ("", []),
])
def test_words_are_those_of_lucene(text, found):
    assert tokens(text) == found


def test_long_words_are_cut_and_read_on():
    assert [len(token) for token in tokens("x" * 600)] == [255, 255, 90]
    assert [len(token) for token in tokens("\u00e9" * 300)] == [255, 45]


def test_terms_are_lower_case_without_possessive_stop_words_and_endings():
    assert terms("The Women's assembled SHOES, for running") == ["women", "assembl", "shoe", "run"]


@pytest.mark.parametrize("word, expected", [
    ("assembly", "assembl"), ("ecology", "ecolog"), ("5s", "5s"), ("is", "is"), ("caresses", "caress"),
    ("ponies", "poni"), ("agreed", "agre"), ("plastered", "plaster"), ("hopping", "hop"), ("falling", "fall"),
    ("filing", "file"), ("happy", "happi"), ("sky", "sky"), ("relational", "relat"), ("possibly", "possibl"),
    ("vietnamization", "vietnam"), ("electrical", "electr"), ("hopefulness", "hope"), ("adoption", "adopt"),
    ("replacement", "replac"), ("probate", "probat"), ("cease", "ceas"), ("controll", "control"), ("bed", "bed"),
    ("ing", "ing"), ("yes", "ye"), ("toys", "toi"), ("glass", "glass"),
])
def test_stems_are_those_of_lucene_s_porter(word, expected):
    assert stem(word) == expected
