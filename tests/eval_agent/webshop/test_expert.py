"""The rule-written buyer: what it does, what stops it, and that it never uses what a reader could not see."""

import pytest

from eval_agent.demo.shop_making import GOALS, make_shop
from eval_agent.envs.base import ExpertFailed
from eval_agent.envs.webshop import WebShopEnv
from eval_agent.files import read_json
from eval_agent.tasks.webshop import WebShopTask
from eval_agent.webshop import Shop
from eval_agent.webshop.expert import NoWay, buy, expert_actions
from eval_agent.webshop.goals import read_goal
from eval_agent.webshop.request import parse_request, said_in, words_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    make_shop(0, folder)
    return folder


@pytest.fixture(scope="module")
def shop(folder):
    return Shop.open(folder / "store")


@pytest.fixture(scope="module")
def entries(folder):
    return read_json(folder / GOALS)


@pytest.mark.parametrize("text, wanted, cap, query", [
    ("i am looking for a red mug, and price lower than 20.00 dollars", "i am looking for a red mug", 20.0, "red mug"),
    ("Find me non slip sandals with color: red, and price lower than 120.00 dollars",
     "Find me non slip sandals with color: red", 120.0, "non slip sandals with color: red"),
    ("i need some tea.", "i need some tea", None, "tea"),
    ("I want it", "I want it", None, "it"),
    ("please", "please", None, "please"),
])
def test_a_request_is_read_off_its_text(text, wanted, cap, query):
    request = parse_request(text)
    assert (request.text, request.cap, request.query) == (wanted, cap, query)


def test_words_are_compared_in_singular_and_plural_and_without_possessives():
    assert words_of("A men's T-shirt in red, for the gym") == ["men", "t", "shirt", "red", "gym"]
    assert said_in(["mens", "shirts", "red"], "Man's Shirt for Men, Reddish") == ["mens", "shirts"]


def test_every_search_is_of_the_request_and_every_click_of_the_page(shop, entries):
    for goal in (read_goal(entry, "goal") for entry in entries):
        actions = expert_actions(shop, goal, 10)
        assert actions[0] == f"search[{parse_request(goal.instruction_text).query}]"
        assert actions[-1] == "click[Buy Now]" and len(actions) <= 10


def test_what_cannot_be_bought_is_told(shop, entries):
    entry = entries[0]
    with pytest.raises(NoWay, match="no option like the one asked for"):
        expert_actions(shop, read_goal({**entry, "options": ["transparent"]}, "goal"), 10)
    with pytest.raises(NoWay, match="does not earn 1.0"):
        expert_actions(shop, read_goal({**entry, "attributes": ["made of moonlight"]}, "goal"), 10)
    with pytest.raises(NoWay, match="more than 3 steps"):
        expert_actions(shop, read_goal(entry, "goal"), 3)
    with pytest.raises(NoWay, match="words do not find the product"):
        buy(shop, entry["asin"], "i need zzz", [], 10)


def test_the_env_s_expert_gives_the_reason(folder, entries):
    goal = read_goal({**entries[0], "options": ["transparent"]}, "goal")
    with WebShopEnv() as env, pytest.raises(ExpertFailed, match="no option like"):
        env.expert(WebShopTask("webshop_0", "beauty", str(folder / "store"), goal), 10)
