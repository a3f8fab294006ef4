"""Words and ids exchanged: the same everywhere in an episode, and nothing of the pages' form."""

import random
import re

from train.tiny_base.webshop_words import PUBLISHED_ID, exchanged, invented

TASK = "WebShop [SEP] Instruction: [SEP] Find me a breathable red shirt, and price lower than 40.00 dollars [SEP] Search"
PAGE = ("Back to Search [SEP] Page 1 (Total results: 50) [SEP] Next > [SEP] B09QKTVJF7 [SEP] Breathable Shirt, Red "
        "[SEP] $12.5 [SEP] B09QMJ5KQH [SEP] Woollen Shirt [SEP] $9.0")
VOCABULARY = ["lamp", "table", "cotton"]


def test_invented_words_stand_for_those_of_the_request_capitals_kept():
    for seed in range(20):
        rename = invented(TASK, random.Random(seed))
        wanted = re.search(r"Find me a (\w+) (\w+) (\w+), and price lower than 40.00 dollars", rename(TASK)).groups()
        page = rename(PAGE)
        breathable, red, shirt = (word.capitalize() for word in wanted)
        assert f"B09QKTVJF7 [SEP] {breathable} {shirt}, {red} [SEP] $12.5" in page and f"Woollen {shirt} [SEP]" in page


def test_exchanged_pages_have_other_ids_and_the_form_of_pages():
    shares = set()
    for seed in range(20):
        rename = exchanged(VOCABULARY, random.Random(seed))
        task, page = rename(TASK), rename(PAGE)
        ids = re.findall(PUBLISHED_ID, page)
        assert len(set(ids)) == 2 and "B09QKTVJF7" not in page
        assert rename("click[B09QMJ5KQH]") == f"click[{ids[1]}]"
        assert task.startswith("WebShop [SEP] Instruction: [SEP] Find me a ")
        assert task.endswith(", and price lower than 40.00 dollars [SEP] Search")
        assert page.startswith("Back to Search [SEP] Page 1 (Total results: 50) [SEP] Next > [SEP] B0")
        assert page.endswith(" [SEP] $9.0")
        shares.add("breathable" in task)
        assert rename("breathable").capitalize() in page
    assert shares == {True, False}
