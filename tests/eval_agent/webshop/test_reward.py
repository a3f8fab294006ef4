"""The reward's parts by example, its quirks, and the recorded cases of the published environment."""

from dataclasses import replace

import pytest

from eval_agent.webshop.check import product_files, recordings, reward_fault
from eval_agent.webshop.data import ready_store
from eval_agent.webshop.goals import read_goal
from eval_agent.webshop.reward import matching_options, reward, same_category, title_overlap, type_reward
from eval_agent.webshop.store import Shop

GOAL = read_goal({
    "asin": "B00MUG0001", "instruction": "a mug", "instruction_text": "a mug",
    "attributes": ["dishwasher safe", "12 oz"],
    "options": ["dark red"], "price_upper": 20.0, "query": "coffee mugs", "name": "Stoneware Coffee Mug",
    "product_category": "Home \u203a Kitchen \u203a Mugs", "category": "garden",
}, "test")
NOUNS = ["stoneware", "coffee", "mug"]


def test_all_that_is_asked_for_is_one(small_shop):
    mug = small_shop.shop.product("B00MUG0001")
    parts = reward(GOAL, mug, 19.0, {"color": "dark red"}, NOUNS)
    assert (parts.reward, parts.r_att, parts.r_option, parts.r_price, parts.r_type) == (1.0, 1.0, 1.0, True, 1.0)
    assert parts.w_att + parts.w_option + parts.w_price == pytest.approx(1)


@pytest.mark.parametrize("price, chosen, expected", [
    (20.0, {}, 3 / 4), (20.01, {"color": "dark red"}, 3 / 4), (20.01, {"size": "12 oz"}, 2 / 4),
])
def test_what_is_missing_counts_less(small_shop, price, chosen, expected):
    assert reward(GOAL, small_shop.shop.product("B00MUG0001"), price, chosen, NOUNS).reward == expected


def test_another_kind_of_product_is_worth_its_title(small_shop):
    kettle = small_shop.shop.product("B00TEA0003")
    parts = reward(GOAL, kettle, 1.0, {}, NOUNS)
    assert (parts.r_type, parts.reward, parts.category_match, parts.query_match) == (0.0, 0.0, True, False)
    near = replace(kettle, nouns=["coffee", "kettle"])
    assert reward(GOAL, near, 1.0, {}, NOUNS).r_type == 1.0


@pytest.mark.parametrize("same_kind, score, expected", [
    (True, 0.0, 0.0), (True, 0.05, 0.1), (False, 0.05, 0.1), (False, 0.1, 0.5), (False, 0.2, 0.5), (False, 0.21, 1.0),
    (True, 0.1, 1.0),
])
def test_the_title_overrides_the_kind(same_kind, score, expected):
    assert type_reward(same_kind, score) == expected


def test_repeated_nouns_of_the_goal_count_in_the_divisor():
    assert title_overlap(["mug", "mug", "lid"], ["mug", "pot"]) == 1 / 3
    assert title_overlap([], ["mug"]) == 0.2


def test_two_steps_of_the_category_have_to_be_the_same():
    assert same_category("Home \u203a Kitchen \u203a Mugs", "Kitchen\u203aHome")
    assert not same_category("Home \u203a Kitchen", "Home > Kitchen")


@pytest.mark.parametrize("chosen, wanted, matches", [
    (["dark red"], ["dark green"], 1),  # both hold "dark"
    (["rectangular"], ["standard"], 1),  # both hold "tan"
    (["rectangular"], [("item shape", "rectangular")], 0),  # the colour has to be a whole member of a pair
    (["black"], [("color", "black")], 1), (["large"], [("size", "large")], 1),
    (["large"], [("size", "x-large")], 1),
    (["12 oz"], ["16 oz"], 0), ([], ["red"], 0),
])
def test_options_match_as_published_with_its_quirks(chosen, wanted, matches):
    assert matching_options(chosen, wanted) == matches


def test_the_goal_s_nouns_are_those_of_its_product(small_shop):
    assert small_shop.shop.goal_nouns(GOAL) == small_shop.shop.product("B00MUG0001").nouns == NOUNS
    assert small_shop.shop.goal_nouns(replace(GOAL, name="Two Mugs for the Kitchen")) == ["mugs", "kitchen"]


def test_recorded_rewards(webshop_data):
    shop = Shop.open(ready_store(*product_files(str(webshop_data)), "rule"))
    cases = list(recordings(webshop_data, "reward_cases"))
    if not cases:
        pytest.skip(f"no reward cases at {webshop_data}")
    assert [fault for case in cases if (fault := reward_fault(shop, case))] == []
    assert "'reward': (" in reward_fault(shop, {**cases[1], "reward": 0.123})
