"""WebShop episodes for the tiny base's text: the rule-written buyer in demo shops of other seeds, and in a real one.

Every episode is made anew: a shop, a request, now and then wrong turns to recover from, words and ids exchanged.
"""

import random
from collections.abc import Iterable

from eval_agent.rules.webshop import compose_task_knowledge, state_knowledge_in, thought_in
from eval_agent.rules.webshop_state import SEP, WebShopState
from eval_agent.webshop import Session, Shop
from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.expert import PAGE, rivals
from eval_agent.webshop.goals import Goal
from eval_agent.webshop.request import parse_request
from train.tiny_base.corpus import Corpus, Turn
from train.tiny_base.webshop_markets import Errand, Market, PublishedMarket
from train.tiny_base.webshop_words import ID, Rename, every_id_piece, exchanged, invented

_ERRING = 0.5  # share of episodes with wrong turns
_ERROR = 0.15  # chance per step there that one begins
_TRUE = 0.6  # share of task knowledge for the agent that is of this very request
_FEW = (2, 3, 4)  # products on a shortened results page
_MIXED = 0.2  # share of episodes with the results in an order that is not the engine's
_INVENTED = 0.35  # share of a demo shop's episodes with invented words
_PUBLISHED = 0.7  # share of episodes in the real shop, where there is one
_BACK = "click[< Prev]"

Row = tuple[str, str, bool]  # action, observation, whether it is worth learning


class WebShopCorpus(Corpus):
    """Draws episodes in demo shops, and in ``published`` where it is given."""

    def __init__(self, markets: list[Market], agent_instruction: str, world_model_instruction: str,
                 published: PublishedMarket | None = None):
        super().__init__(agent_instruction, world_model_instruction)
        self.markets, self.published = markets, published

    def episode(self, rng: random.Random, informed: bool, as_world_model: bool) -> tuple[str, str, list[Turn]]:
        real = self.published is not None and rng.random() < _PUBLISHED
        market = self.published if real else rng.choice(self.markets)
        errand = market.errand(rng)
        task, rows = _run(market, errand, rng, self.mix.shortened)
        true = as_world_model or rng.random() < _TRUE
        other = None if true else _run(market, market.errand(rng, errand[0].query), rng, self.mix.shortened)
        rename = self._renaming(market, task, rng)
        state, turns = WebShopState.at_start(rename(task)), []
        for number, (action, observation, learn) in enumerate(rows):
            action, observation = rename(action), rename(observation)
            reply = f"Thought: {thought_in(state, action)}\nAction: {action}"
            turns.append(Turn(state_knowledge_in(state), reply, observation, learn))
            if number < len(rows) - 1:
                state.update(action, observation)
        return rename(task), self._knowledge(state, other, rng), turns

    def spellings(self) -> Iterable[str]:
        return every_id_piece() if self.published else ()

    def _renaming(self, market: Market, task: str, rng: random.Random) -> Rename:
        if market is self.published:
            return exchanged(market.words, rng)
        return invented(task, rng) if rng.random() < _INVENTED else str

    def _knowledge(self, expert: WebShopState, other: tuple[str, list[Row]] | None, rng: random.Random) -> str:
        """Task knowledge from the run itself; from another one where ``other`` is given: not all of it is true."""
        if other:
            request, expert = expert.request, WebShopState.after(other[0], [row[:2] for row in other[1][:-1]])
            expert.request = request
        mistakes = [f"buy before you choose {value}" for value in expert.chosen]
        words = expert.title_words(expert.product) if expert.product else []
        mistakes += [f"buy one that lacks {rng.choice(words)}"] if words else []
        return compose_task_knowledge(expert, rng.sample(mistakes, min(len(mistakes), rng.choice((0, 1, 1, 2)))))


def _run(market: Market, errand: Errand, rng: random.Random, shortened: float) -> tuple[str, list[Row]]:
    """The task's text, and what was done and seen, wrong turns included."""
    goal, actions = errand
    session = Session(market.shop, goal)
    error = _ERROR if rng.random() < _ERRING else 0.0
    most = rng.choice(_FEW) if rng.random() < shortened else PAGE
    mixed = _mixing(market.shop, goal, actions, most, rng)
    product = market.shop.product(goal.asin)
    task = page = session.reset()
    rows = []
    for action in actions:
        for turn, learn in [*_astray(page, action, actions, product, error, rng), (action, True)]:
            page = mixed(session.step(turn).text)
            rows.append((turn, page, learn))
    return task, rows


def _mixing(shop: Shop, goal: Goal, actions: list[str], most: int, rng: random.Random):
    """Lists a results page's products in another order, what looks as fitting as the asked one last; ``most`` of them."""
    request = parse_request(goal.instruction_text)
    others = [shop.product(asin) for asin in shop.search(request.query)[:PAGE] if asin != goal.asin]
    last = {other.asin for other in rivals(shop.product(goal.asin), others, request)}
    keep_order = rng.random() > _MIXED
    salt = rng.random()

    def chance(product: list[str]) -> float:
        return random.Random(f"{salt} {product[0]}").random()

    def mixed(page: str) -> str:
        parts = page.split(SEP)
        if "Next >" not in parts:
            return page
        start = parts.index("Next >") + 1
        listed = [parts[place:place + 3] for place in range(start, len(parts), 3)]
        kept = sorted(listed, key=lambda product: (f"click[{product[0]}]" not in actions, chance(product)))[:most]
        listed = [product for product in listed if product in kept]
        if not keep_order:
            listed.sort(key=lambda product: (product[0] in last, chance(product)))
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
        others = [part for part in parts if ID.fullmatch(part) and part not in action]
        return [(f"click[{rng.choice(others)}]", False), (_BACK, True)] if others else []
    if parts[-1] != "Buy Now":
        return []
    group = next((values for values in product.options.values() if action[6:-1] in values), ())
    others = [value for value in group if value != action[6:-1]]
    way = rng.random()
    if way < 0.5 and others:
        return [(f"click[{rng.choice(others)}]", False)]
    if way < 0.8:
        return [(f"click[{rng.choice(('Description', 'Features'))}]", False), (_BACK, True)]
    return [("click[Back to Search]", False), *((turn, True) for turn in actions[: actions.index(action)])]
