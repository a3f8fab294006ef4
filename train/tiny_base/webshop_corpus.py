"""WebShop episodes for the tiny base's text: the rule-written buyer in demo shops of other seeds.

Every episode is made anew: a shop, a product, a request, now and then wrong turns to recover from. In some of them
words are exchanged for invented ones: a model that can learn the products by heart does not read the page.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from eval_agent.demo.shop_goals import draw_goal, served
from eval_agent.demo.shop_kinds import Kind
from eval_agent.demo.shop_making import blind_buys, open_shop
from eval_agent.demo.shop_products import Product, make_products
from eval_agent.rules.webshop import compose_task_knowledge, state_knowledge_in, thought_in
from eval_agent.rules.webshop_state import SEP, WebShopState
from eval_agent.webshop import Session, Shop
from eval_agent.webshop.expert import PAGE, rivals
from eval_agent.webshop.goals import read_goal
from eval_agent.webshop.request import parse_request
from train.tiny_base.corpus import Corpus, Turn

_ERRING = 0.5  # share of episodes with wrong turns
_ERROR = 0.15  # chance per step there that one begins
_TRUE = 0.6  # share of task knowledge for the agent that is of this very request
_MIXED = 0.6  # share of episodes with the results in an order that is not the engine's
_RENAMED = 0.35  # share of episodes with invented words
MAX_STEPS = 10
FIRST_SEED = 1000
_BACK = "click[< Prev]"
_ASIN = re.compile(r"W\d{9}")
_EASY = 0.75  # share of requests left out whose product is the first result: reading on is practised more often
_SYLLABLES = "ba co di fu ga lo mi nu pe ra so ti va we zo kel mar nor pin tas ver bol dun".split()
_WORD = re.compile(r"[a-z]{3,}", re.IGNORECASE)
_KEPT = re.compile(r"W\d{9}|Price: |Rating: N\.A\.|Page \d+|Total results|Instruction:|WebShop|Next >|< Prev|Back to Search"
                   r"|Description|Features|Reviews|Buy Now|\bSearch\b|\[SEP\]|and price lower than|dollars|search\[|click\[", re.IGNORECASE)
_PLAIN = frozenset("and for with the that you are find looking need want please would like buy this one every day made house".split())


Row = tuple[str, str, bool]  # action, observation, whether it is worth learning


@dataclass(frozen=True)
class Market:
    """A shop to play in, and its products."""

    shop: Shop
    products: list[Product]


def open_markets(count: int, folder: Path) -> list[Market]:
    """Shops of the seeds from FIRST_SEED on, made in ``folder``: none has a product of the demo shop's."""
    markets = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        products = make_products(seed)
        markets.append(Market(open_shop(products, folder / str(seed)), products))
    return markets


class WebShopCorpus(Corpus):
    """Draws episodes in ``markets``."""

    def __init__(self, markets: list[Market], agent_instruction: str, world_model_instruction: str):
        super().__init__(agent_instruction, world_model_instruction)
        self.markets = markets

    def episode(self, rng: random.Random, informed: bool, as_world_model: bool) -> tuple[str, str, list[Turn]]:
        market = rng.choice(self.markets)
        product = rng.choice(market.products)
        task, rows = self._run(market, rng, product.kind)
        true = as_world_model or rng.random() < _TRUE
        other = None if true else self._run(market, rng, product.kind)
        rename = _renaming(task, rng) if rng.random() < _RENAMED else str
        state, turns = WebShopState.at_start(rename(task)), []
        for number, (action, observation, learn) in enumerate(rows):
            action, observation = rename(action), rename(observation)
            reply = f"Thought: {thought_in(state, action)}\nAction: {action}"
            turns.append(Turn(state_knowledge_in(state), reply, observation, learn))
            if number < len(rows) - 1:
                state.update(action, observation)
        return rename(task), self._knowledge(state, other, rng), turns

    def _run(self, market: Market, rng: random.Random, kind: Kind) -> tuple[str, list[Row]]:
        """A request for a product of ``kind`` that the buyer can serve, and what was done and seen, wrong turns included."""
        products = [product for product in market.products if product.kind == kind]
        actions = None
        while actions is None:
            product = rng.choice(products)
            goal = draw_goal(product, rng)
            easy = blind_buys(market.shop, goal, goal["asin"]) and rng.random() < _EASY
            actions = None if easy else served(market.shop, goal, MAX_STEPS)
        session = Session(market.shop, read_goal(goal, goal["asin"]))
        error = _ERROR if rng.random() < _ERRING else 0.0
        mixed = _mixing(market.shop, goal, actions, rng)
        task = page = session.reset()
        rows = []
        for action in actions:
            for turn, learn in [*_astray(page, action, actions, product, error, rng), (action, True)]:
                page = mixed(session.step(turn).text)
                rows.append((turn, page, learn))
        return task, rows

    def _knowledge(self, expert: WebShopState, other: tuple[str, list[Row]] | None, rng: random.Random) -> str:
        """Task knowledge from the run itself; from another one where ``other`` is given: not all of it is true."""
        if other:
            request, expert = expert.request, WebShopState.after(other[0], [row[:2] for row in other[1][:-1]])
            expert.request = request
        mistakes = [f"buy before you choose {value}" for value in expert.chosen]
        words = expert.title_words(expert.product) if expert.product else []
        mistakes += [f"buy one that lacks {rng.choice(words)}"] if words else []
        return compose_task_knowledge(expert, rng.sample(mistakes, min(len(mistakes), rng.choice((0, 1, 1, 2)))))


def _mixing(shop: Shop, goal: dict, actions: list[str], rng: random.Random):
    """Lists the products of a results page in another order, what looks as fitting as the asked one last."""
    request = parse_request(goal["instruction_text"])
    others = [shop.product(asin) for asin in shop.search(request.query)[:PAGE] if asin != goal["asin"]]
    last = {other.asin for other in rivals(shop.product(goal["asin"]), others, request)}
    if rng.random() > _MIXED or any(f"click[{asin}]" in actions for asin in last):
        return str
    salt = rng.random()

    def mixed(page: str) -> str:
        parts = page.split(SEP)
        if "Next >" not in parts:
            return page
        start = parts.index("Next >") + 1
        listed = [parts[place:place + 3] for place in range(start, len(parts), 3)]
        listed.sort(key=lambda product: (product[0] in last, random.Random(f"{salt} {product[0]}").random()))
        return SEP.join([*parts[:start], *(part for product in listed for part in product)])

    return mixed


def _astray(
    page: str, action: str, actions: list[str], product: Product, error: float, rng: random.Random
) -> list[tuple[str, bool]]:
    """Wrong turns before ``action``, with the way back, which is worth learning: (action, learn) each."""
    if rng.random() >= error:
        return []
    parts = page.split(SEP)
    if rng.random() < 0.2:  # a button that is not there
        return [(f"click[{rng.choice((action[6:9], 'buy', 'red', 'add to cart', 'next', 'w00'))}]", False)]
    if "Next >" in parts:
        others = [part for part in parts if _ASIN.fullmatch(part) and part not in action]
        return [(f"click[{rng.choice(others)}]", False), (_BACK, True)] if others else []
    if parts[-1] != "Buy Now" or action == _BACK:
        return []
    group = next((values for _, values in product.options if action[6:-1] in values), ())
    way = rng.random()
    if way < 0.5 and len(group) > 1:
        return [(f"click[{rng.choice([value for value in group if value != action[6:-1]])}]", False)]
    if way < 0.8:
        return [(f"click[{rng.choice(('Description', 'Features'))}]", False), (_BACK, True)]
    return [("click[Back to Search]", False), *((turn, True) for turn in _straight(actions[: actions.index(action)]))]


def _straight(actions: list[str]) -> list[str]:
    """``actions`` without looks aside: no step back and nothing that was stepped back from."""
    following = [*actions[1:], ""]
    return [turn for turn, after in zip(actions, following) if _BACK not in (turn, after)]


def _renaming(task: str, rng: random.Random):
    """Exchanges some of the request's words for invented ones, wherever they stand, capitals kept."""
    words = {word.lower() for word in _WORD.findall(_KEPT.sub(" ", task))} - _PLAIN
    share = rng.uniform(0.3, 1.0)
    exchanged = [word for word in sorted(words) if rng.random() < share]
    new = {word: "".join(rng.choices(_SYLLABLES, k=rng.choice((2, 2, 3)))) for word in exchanged}

    def changed(found: re.Match) -> str:
        word = new.get(found[0].lower())
        if word is None:
            return found[0]
        return word.capitalize() if found[0][0].isupper() else word

    def rename(text: str) -> str:
        pieces = _KEPT.split(text)
        kept = _KEPT.findall(text)
        renamed = [_WORD.sub(changed, piece) for piece in pieces]
        return "".join(part for pair in zip(renamed, [*kept, ""]) for part in pair)

    return rename
