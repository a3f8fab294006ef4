"""Shops for the text of WebShop's tiny base, and what is to be bought there: demo shops of other seeds, and a real one.

The rule-written buyer knows the way to each. Products of a set's test goals are never asked for.
"""

import random
from abc import ABC, abstractmethod
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from eval_agent.config import TaskSection
from eval_agent.demo.shop_goals import draw_goal, served
from eval_agent.demo.shop_making import open_shop
from eval_agent.demo.shop_products import make_products
from eval_agent.errors import InputError
from eval_agent.tasks.webshop import WebShopTask
from eval_agent.webshop import Shop
from eval_agent.webshop.data import load_goals
from eval_agent.webshop.expert import NoWay, blind_actions, expert_actions
from eval_agent.webshop.goals import Goal, read_goal

MAX_STEPS = 10
FIRST_SEED = 1000
_EASY = 0.2  # share of requests left out whose product is the first result: reading on is practised more often
_FAR = 0.8  # and of those whose product is on a later page: a greedy agent would turn pages wherever it is in doubt

Errand = tuple[Goal, list[str]]  # what to buy, and the actions that buy it


class Market(ABC):
    """A shop to play in. A product's ``query`` is its kind, as in the product files."""

    def __init__(self, shop: Shop):
        self.shop = shop

    def errand(self, rng: random.Random, kind: str | None = None) -> Errand:
        """Something to buy, of ``kind`` where one is given, with the buyer's way."""
        while True:
            goal, actions = self._drawn(rng, kind)
            first_result = blind_actions(self.shop, goal)[1:2] == [f"click[{goal.asin}]"]
            left_out = _EASY if first_result else _FAR if actions and "click[Next >]" in actions else 0.0
            if actions and rng.random() >= left_out:
                return goal, actions

    @abstractmethod
    def _drawn(self, rng: random.Random, kind: str | None) -> tuple[Goal, list[str] | None]:
        """A request, and the way to serve it, None where there is none."""

    @cached_property
    def words(self) -> list[str]:
        """The words of its titles, for exchanging."""
        titles = " ".join(product.title.lower() for product in self.shop.products())
        return sorted({word for word in titles.split() if word.isalpha() and len(word) > 2})


class DemoMarket(Market):
    """A demo shop made in ``folder``: requests are worded anew each time."""

    def __init__(self, seed: int, folder: Path):
        self.products = make_products(seed)
        super().__init__(open_shop(self.products, folder))

    def _drawn(self, rng: random.Random, kind: str | None) -> tuple[Goal, list[str] | None]:
        goal = draw_goal(rng.choice([one for one in self.products if kind in (None, one.kind.query)]), rng)
        return read_goal(goal, goal["asin"]), served(self.shop, goal, MAX_STEPS)


class PublishedMarket(Market):
    """A real shop: all of its goals but those for products that a goal of its test split asks for."""

    def __init__(self, shop: Shop, goals: list[Goal]):
        super().__init__(shop)
        tested = {goal.asin for goal in goals if goal.split == "test"}
        self.kinds: dict[str, dict[str, list[Goal]]] = defaultdict(lambda: defaultdict(list))  # kind: product: goals
        for goal in goals:
            if goal.asin not in tested:
                self.kinds[goal.query][goal.asin].append(goal)
        self._ways: dict[Goal, list[str] | None] = {}

    @classmethod
    def of_config(cls, section: TaskSection) -> "PublishedMarket":
        """The shop of a task config. Raises InputError where its goals are not synthetic ones, divided by product."""
        if section.shop is None or section.shop.goals is not None:
            raise InputError("--exp_config: expected a shop without a goals file, whose goals are divided by product, so that "
                             "what the test goals ask for can be left out")
        shop = Shop.open(WebShopTask.load(section, "train")[0].store)
        goals = load_goals(shop, None)
        return cls(shop, goals)

    def _drawn(self, rng: random.Random, kind: str | None) -> tuple[Goal, list[str] | None]:
        kinds = [kind] if kind else list(self.kinds)
        products = [goals for name in kinds for goals in self.kinds[name].values()]
        goal = rng.choice(rng.choice(products))
        if goal not in self._ways:
            self._ways[goal] = self._way(goal)
        return goal, self._ways[goal]

    def _way(self, goal: Goal) -> list[str] | None:
        try:
            return expert_actions(self.shop, goal, MAX_STEPS)
        except NoWay:
            return None


def open_markets(count: int, folder: Path) -> list[DemoMarket]:
    """Shops of the seeds from FIRST_SEED on, made in ``folder``: none has a product of the demo shop's."""
    return [DemoMarket(seed, folder / str(seed)) for seed in range(FIRST_SEED, FIRST_SEED + count)]
