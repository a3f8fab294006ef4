"""BM25 by hand on a few products, the rule for equal scores, and Lucene's own rankings."""

import json
import math

import numpy as np
import pytest

from eval_agent.webshop.build import build_store
from eval_agent.webshop.check import product_files, rankings_fault, recordings
from eval_agent.webshop.data import ready_store
from eval_agent.webshop.search import LENGTHS, length_byte
from eval_agent.webshop.store import Shop
from tests.eval_agent.small_shop import record, write_shop


@pytest.mark.parametrize("n, stored", [(0, 0), (23, 23), (40, 40), (41, 40), (43, 42), (57, 56), (300, 280)])
def test_lengths_are_kept_in_four_bits(n, stored):
    assert LENGTHS[length_byte(n)] == stored


@pytest.fixture(scope="module")
def shop_of(tmp_path_factory):
    def build(titles: dict[str, str]) -> Shop:
        folder = tmp_path_factory.mktemp("titles")
        products, _ = write_shop(folder, [record(asin, title) for asin, title in titles.items()])
        build_store(products, None, folder / "store", "rule")
        return Shop.open(folder / "store")

    return build


def test_a_score_is_lucene_s(shop_of):
    shop = shop_of({"B1": "red mug mug", "B2": "blue mug", "B3": "lamp"})
    index = shop._index
    start, end = index._find("mug")
    index._add(start, end, 2)  # asked for twice
    average = np.float32(6 / 3)
    idf = np.float32(math.log(1 + (3 - 2 + 0.5) / (2 + 0.5)))
    for number, (count, length) in enumerate([(2, 3), (1, 2)]):
        norm = np.float32(1) / (np.float32(0.9) * (np.float32(0.6) + np.float32(0.4) * np.float32(length) / average))
        weight = np.float32(2) * idf
        expected = weight - weight / (np.float32(1) + np.float32(count) * norm)
        assert index._scores[number] == pytest.approx(float(expected), rel=1e-6)


def test_equal_scores_come_by_asin_and_fifty_at_most(shop_of):
    asins = [f"B{n * 37 % 80:02d}" for n in range(80)]
    shop = shop_of({asin: "plain mug" for asin in asins} | {"A1": "lamp", "Z1": "plain plain mug"})
    assert shop.search("mug plain") == ["Z1", *sorted(asins)[:49]]
    assert shop.search("mug", k=3) == sorted(asins)[:3]


@pytest.mark.parametrize("query", ["", "   ", "the of", "nothing", "\U0001f600", "[]"])
def test_what_no_product_has_is_not_found(shop_of, query):
    assert shop_of({"B1": "red mug"}).search(query) == []


def test_searches_do_not_disturb_each_other(small_shop):
    first = small_shop.shop.search("coffee mug")
    for query in ("tea", "lamp mug", "nothing"):
        small_shop.shop.search(query)
    assert small_shop.shop.search("coffee mug") == first == small_shop.shop.search("Coffee MUG")
    assert small_shop.shop.search("mug mug coffee")[0] == "B00MUG0001"


def test_a_product_without_a_word_is_never_found_and_does_not_count(shop_of):
    shop = shop_of({"B1": "red mug", "B2": "!!!", "B3": "blue mug"})
    assert (shop.meta["n_products"], shop.meta["n_indexed"]) == (3, 2)
    assert shop.search("mug") == ["B1", "B3"]


def test_only_title_description_first_bullet_and_options_are_searched(small_shop):
    search = small_shop.shop.search
    assert search("dishwasher") == ["B00MUG0001"] and search("whistling") == ["B00TEA0003"]
    assert search("kitchen") == search("easy clean") == []  # category, attributes
    assert search("color:blue") == []  # "color: dark red, blue | white": the colon is followed by a blank


def test_rankings_recorded_from_lucene(webshop_data):
    shop = Shop.open(ready_store(*product_files(str(webshop_data)), "rule"))
    cases = list(recordings(webshop_data, "lucene_rankings"))
    if not cases:
        pytest.skip(f"no rankings at {webshop_data}")
    assert [fault for case in cases if (fault := rankings_fault(shop, case))] == []
    wrong = {**cases[0], "ids": cases[0]["ids"][1:]}
    assert "place 1: " in rankings_fault(shop, json.loads(json.dumps(wrong)))
