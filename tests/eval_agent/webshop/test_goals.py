"""Goals: texts, caps that never change, splits by product, goal lists of others; and the published ones of seed 233."""

import json
import random

import pytest

from eval_agent.errors import InputError
from eval_agent.webshop.catalogue import open_packed
from eval_agent.webshop.check import product_files, seeded
from eval_agent.webshop.data import data_file, goals_of_split, load_goals, ready_store
from eval_agent.webshop.goals import (
    NO_CAP,
    draw_cap,
    fixed_cap,
    fixed_price,
    human_goals,
    indices_of,
    read_goal,
    read_goal_list,
    shuffled,
    split_by_product,
    split_price,
    synthetic_goals,
)
from eval_agent.webshop.store import Shop

LISTED = {
    "asin": "B00MUG0001", "instruction": "i want a mug",
    "instruction_text": "i want a mug, and price lower than 30.00 dollars",
    "attributes": ["dishwasher safe"], "goal_options": ["dark red"], "price_upper": 30.0, "query": "coffee mugs",
    "name": "Stoneware Coffee Mug", "product_category": "Home", "category": "garden",
}


def test_a_synthetic_goal_for_every_combination_of_options(small_shop):
    goals = list(synthetic_goals(small_shop.shop.products()))
    texts = [(goal.asin, goal.instruction) for goal in goals]
    assert texts == [
        ("B00MUG0001", "Find me dishwasher safe mugs with color: dark red, and size: 12 oz"),
        ("B00MUG0001", "Find me dishwasher safe mugs with color: blue | white, and size: 12 oz"),
        ("B00MUG0002", "Find me lead free mugs with color: blue"),
        ("B00LAMP004", "Find me eye care lamps"),
    ]
    assert goals[0].options == {"color": "dark red", "size": "12 oz"}
    assert goals[0].price_upper == goals[1].price_upper  # one draw a product
    clause = f", and price lower than {goals[0].price_upper:.2f} dollars"
    assert goals[0].instruction_text == goals[0].instruction + clause
    assert (goals[3].price_upper, goals[3].instruction_text) == (NO_CAP, "Find me eye care lamps")


def test_a_human_goal_for_every_instruction_with_attributes(small_shop):
    entry = {"instruction": "..i want a mug.", "instruction_attributes": ["lead free"], "instruction_options": ["blue"]}
    table = {"B00MUG0002": [entry, {**entry, "instruction_attributes": []}], "B00GONE000": [entry]}
    (goal,) = human_goals(small_shop.shop.in_file_order(table), table)
    assert (goal.asin, goal.instruction, goal.options) == ("B00MUG0002", "i want a mug", ["blue"])
    assert goal.instruction_text.startswith("i want a mug, and price lower than ")


def test_caps_and_prices_never_change(small_shop):
    mug = small_shop.shop.product("B00MUG0001")
    random.seed(1)
    first = fixed_price(mug), fixed_cap(mug, 12.5, "a mug")
    random.seed(2)
    assert (fixed_price(mug), fixed_cap(mug, 12.5, "a mug")) == first
    assert 10 <= first[0] <= 20 and first[1] in (30.0, 40.0, 50.0)
    assert len({fixed_cap(mug, 12.5, f"mug {n}") for n in range(30)}) == 3


def test_a_cap_is_the_larger_of_two_of_four():
    caps = [draw_cap(20.0, random.Random(n)) for n in range(3_000)]
    shares = [caps.count(cap) / len(caps) for cap in (40.0, 50.0, 60.0)]
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=0.03)
    assert draw_cap(979.99, random) == 990.0 and draw_cap(980.0, random) == NO_CAP


@pytest.mark.parametrize("cap", [11.0, 14.0, 30.0])
def test_the_product_asked_for_never_costs_more_than_its_cap(small_shop, cap):
    goal = read_goal({**LISTED, "price_upper": cap}, "list")
    mug = small_shop.shop.product("B00MUG0001")
    assert small_shop.shop.price(mug, goal) <= cap
    assert small_shop.shop.price(mug) == fixed_price(mug)


def test_a_goal_list_keeps_its_caps(tmp_path):
    path = tmp_path / "goals.jsonl"
    first = {**LISTED, "goal_idx": 0, "price_upper": 40.0, "split": "train"}
    rows = [{**LISTED, "goal_idx": 1, "split": "test"}, first]
    path.write_text("\n".join(map(json.dumps, rows)))
    goals = read_goal_list(path)
    assert [(goal.price_upper, goal.split) for goal in goals] == [(40.0, "train"), (30.0, "test")]
    assert goals[1].instruction_text == LISTED["instruction_text"]


def test_the_cap_of_a_published_instruction_is_read_from_it():
    bare = {name: value for name, value in LISTED.items() if name not in ("price_upper", "instruction")}
    goal = read_goal(bare, "list")
    assert (goal.instruction, goal.price_upper) == ("i want a mug", 30.0)
    assert split_price("a mug, and price lower than 1000000.00 dollars") == ("a mug", 1e6)
    assert split_price("a mug under 40 dollars") == ("a mug under 40 dollars", None)


@pytest.mark.parametrize("field", ["asin", "attributes", "goal_options", "name", "query"])
def test_a_goal_without_a_field_is_named(tmp_path, field):
    path = tmp_path / "goals.json"
    path.write_text(json.dumps([LISTED, {name: value for name, value in LISTED.items() if name != field}]))
    named = "options" if field == "goal_options" else field
    with pytest.raises(InputError, match=f'goals.json: record 1: field "{named}" is missing'):
        read_goal_list(path)


def test_goals_of_another_product_set_are_refused(small_shop, tmp_path):
    path = tmp_path / "goals.json"
    path.write_text(json.dumps([LISTED, {**LISTED, "asin": "B0ELSE0000"}]))
    with pytest.raises(InputError, match="goals.json: goal 1 asks for product B0ELSE0000, .* of different sets"):
        load_goals(small_shop.shop, path)
    path.write_text(json.dumps({"B0ELSE0000": []}))
    with pytest.raises(InputError, match="goals.json: none of its products is among the 4"):
        load_goals(small_shop.shop, path)


@pytest.mark.parametrize("index", [4, -1, "1", 1.5, True, None])
def test_a_goal_index_outside_the_set_is_named(tmp_path, index):
    path = tmp_path / "indices.json"
    path.write_text(json.dumps([0, 3, 3, index]))
    with pytest.raises(InputError, match=f"indices.json: goal index {index!r} is outside the set of 4 goals"):
        indices_of(path, 4)
    path.write_text("[3, 0, 3]")
    assert indices_of(path, 4) == [3, 0]
    path.write_text('{"train": [3]}')
    with pytest.raises(InputError, match="indices.json: found dict, expected a list of goal indices"):
        indices_of(path, 4)


@pytest.mark.parametrize("entries", [
    {"instruction": "a mug"}, [None], [{"instruction": "a mug", "instruction_attributes": []}],
    [{"instruction": None, "instruction_attributes": [], "instruction_options": []}],
])
def test_a_human_instruction_without_a_field_is_named(small_shop, tmp_path, entries):
    path = tmp_path / "items_human_ins.json"
    path.write_text(json.dumps({"B00MUG0001": entries}))
    with pytest.raises(InputError, match='items_human_ins.json: entry "B00MUG0001": field "instruction'):
        load_goals(small_shop.shop, path)


def test_human_goals_are_shuffled_with_caps_by_instruction(small_shop, tmp_path):
    path = tmp_path / "items_human_ins.json"
    entry = {"instruction_attributes": ["lead free"], "instruction_options": []}
    path.write_text(json.dumps({"B00MUG0002": [{**entry, "instruction": f"mug {n}."} for n in range(9)], "B0GONE": []}))
    goals = load_goals(small_shop.shop, path)
    expected = list(range(9))
    random.Random(233).shuffle(expected)
    assert [goal.instruction for goal in goals] == [f"mug {n}" for n in expected]
    assert goals == load_goals(small_shop.shop, path)


def test_a_split_by_name(small_shop, tmp_path):
    goals = load_goals(small_shop.shop, None)
    assert len(goals_of_split(goals, "test", tmp_path)) == 4  # fewer than 200: all of them
    with pytest.raises(InputError, match='no goal is of split "train"; those of the goals: test'):
        goals_of_split(goals, "train", tmp_path)


@pytest.fixture(scope="module")
def published_shop(webshop_data) -> Shop:
    return Shop.open(ready_store(*product_files(str(webshop_data)), "rule"))


def test_goals_and_prices_of_seed_233(published_shop, webshop_data):
    def read(name):
        with open_packed(data_file(webshop_data, name)) as file:
            return json.load(file)

    prices, goals = seeded(published_shop.products())
    assert prices == read("webshop_prices_seed233.json") and len(prices) == 1_000
    recorded = read("webshop_goals_seed233.json")
    assert len(goals) == len(recorded) == 6_910
    for goal, there in zip(goals, recorded):
        assert (goal.options, there.pop("weight") > 0) == (there.pop("goal_options"), True)
        assert there == {name: getattr(goal, name) for name in there}


def test_the_1k_splits_share_no_product(published_shop):
    goals = load_goals(published_shop, None)
    splits = split_by_product(goals)
    asins = {name: [goals[index].asin for index in indices] for name, indices in splits.items()}
    assert 200 <= len(splits["test"]) < 203 and len(splits["train"]) > 400
    assert not set(asins["train"]) & set(asins["test"])
    assert max(map(asins["test"].count, asins["test"])) == 2 >= max(map(asins["train"].count, asins["train"]))
    assert splits == split_by_product(goals)
    same_index = shuffled(synthetic_goals(published_shop.products()))
    seeded_goals = seeded(published_shop.products())[1]
    assert [(g.asin, g.instruction) for g in same_index] == [(g.asin, g.instruction) for g in seeded_goals]
