"""What is bought in the WebShop base's text, and what is not: nothing that anybody is tested on."""

import random

import pytest

from eval_agent.config import load_task_config
from eval_agent.demo.shop_making import make_shop
from eval_agent.errors import InputError
from eval_agent.files import read_json
from eval_agent.tasks.webshop import WebShopTask
from eval_agent.webshop.expert import reward_of
from train.tiny_base.webshop_markets import FIRST_SEED, MAX_STEPS, PublishedMarket, open_markets


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return open_markets(1, tmp_path_factory.mktemp("shops"))[0]


@pytest.fixture
def section(webshop_data, monkeypatch):
    if not list(webshop_data.glob("items_shuffle_1000.json*")):
        pytest.skip(f"no published products at {webshop_data}")
    monkeypatch.setenv("WEBSHOP_DATA", str(webshop_data))
    return load_task_config("webshop_1k", "configs/task").task


def test_none_of_the_products_is_the_demo_shop_s(demo, tmp_path):
    make_shop(0, tmp_path)
    asked = {goal["asin"] for goal in read_json(tmp_path / "goals.json")}
    assert FIRST_SEED > 0 and not asked & {product.asin for product in demo.products}


def test_the_published_shop_is_not_asked_for_products_of_its_test_goals(section):
    market, rng = PublishedMarket.of_config(section), random.Random(0)
    tested = {task.goal.asin for task in WebShopTask.load(section, "test")}
    asked = [goal for products in market.kinds.values() for goals in products.values() for goal in goals]
    assert len(asked) > 4000 and not tested & {goal.asin for goal in asked}
    errands = [market.errand(rng) for _ in range(60)]
    for goal, actions in errands[:20]:
        assert reward_of(market.shop, goal, actions) == 1.0 and len(actions) <= MAX_STEPS
        assert market.errand(rng, goal.query)[0].query == goal.query
    assert sum("click[Next >]" in actions for _, actions in errands) < 5  # of what is on later pages little is asked for


@pytest.mark.parametrize("config", ["webshop", "webshop_demo", "alfworld"])
def test_a_shop_whose_test_goals_cannot_be_left_out_is_refused(config):
    with pytest.raises(InputError, match="expected a shop without a goals file"):
        PublishedMarket.of_config(load_task_config(config, "configs/task").task)


def test_an_errand_is_served_and_not_always_by_the_first_result(demo):
    rng = random.Random(0)
    errands = [demo.errand(rng) for _ in range(60)]
    assert all(reward_of(demo.shop, goal, actions) == 1.0 for goal, actions in errands)
    first = [demo.shop.search(actions[0][7:-1])[0] == goal.asin for goal, actions in errands]
    assert 0 < sum(first) < 60
    assert {demo.errand(rng, goal.query)[0].query for goal, _ in errands[:3]} == {goal.query for goal, _ in errands[:3]}


def test_the_limit_of_steps_is_the_env_s():
    assert read_json("configs/task/webshop.json")["env"]["max_steps"] == MAX_STEPS
