"""Buyers by rule: one of a goal's own product, which it knows, and the blind one, to see what looking is worth.

The first searches only with the request's words, and goes straight: Next > up to the product's page, the product, its
options in the order of the page, Buy Now.
"""

from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.goals import Goal
from eval_agent.webshop.pages import Session
from eval_agent.webshop.request import Request, parse_request, price_of, said_in
from eval_agent.webshop.reward import matching_options, wanted_options
from eval_agent.webshop.store import Shop

PAGE = 10  # products on a results page


class NoWay(Exception):
    """The product cannot be bought as asked for; the message says why."""


def expert_actions(shop: Shop, goal: Goal, max_steps: int) -> list[str]:
    """Actions that earn 1.0 for ``goal`` in at most ``max_steps``. Raises NoWay where there are none."""
    product = shop.product(goal.asin)
    chosen: dict[str, str] = {}
    for option in wanted_options(goal):
        group, value = _like(product, option)
        chosen[group] = value
    parts = shop.reward(goal, product, chosen)
    if parts.num_option_matches < len(goal.options):
        raise NoWay("the reward takes no choice of options for the one asked for")
    if parts.reward < 1.0:
        raise NoWay("its own product does not earn 1.0")
    return buy(shop, goal.asin, goal.instruction_text, list(chosen.values()), max_steps)


def blind_actions(shop: Shop, goal: Goal) -> list[str]:
    """Search with the request's words and buy the first result, without options."""
    query = parse_request(goal.instruction_text).query
    found = shop.search(query)
    return [f"search[{query}]", *(f"click[{asin}]" for asin in found[:1]), "click[Buy Now]"]


def reward_of(shop: Shop, goal: Goal, actions: list[str]) -> float:
    """What ``actions`` earn."""
    session = Session(shop, goal)
    return max(session.step(action).reward for action in actions)


def _like(product: Product, option: str | tuple[str, str]) -> tuple[str, str]:
    """(group, value) of the product for an option asked for: the very one, else one that the reward takes for it."""
    shown = [(group, value) for group, values in product.options.items() for value in values]
    for pair in shown:
        if option in (pair, pair[1]):
            return pair
    for pair in shown:
        if matching_options([pair[1]], [option]):
            return pair
    raise NoWay("the product has no option like the one asked for")


def buy(shop, asin: str, instruction: str, values: list[str], max_steps: int) -> list[str]:
    """Actions that buy ``asin`` with ``values`` chosen, at most ``max_steps``.

    ``shop`` has ``search(query)``, ids, and ``product(asin)``. Raises NoWay where the results do not have the
    product, or it does not have a value.
    """
    request = parse_request(instruction)
    found = shop.search(request.query)
    if asin not in found:
        raise NoWay("the request's words do not find the product")
    pages = ["click[Next >]"] * (found.index(asin) // PAGE)
    options = [f"click[{value}]" for value in _in_page_order(shop.product(asin), values)]
    actions = [f"search[{request.query}]", *pages, f"click[{asin}]", *options, "click[Buy Now]"]
    if len(actions) > max_steps:
        raise NoWay(f"it takes more than {max_steps} steps")
    return actions


def _in_page_order(product: Product, values: list[str]) -> list[str]:
    shown = [value for group in product.options.values() for value in group]
    lacking = [value for value in values if value not in shown]
    if lacking:
        raise NoWay("the product has no option like the one asked for")
    return [value for value in shown if value in values]


def rivals(product: Product, above: list[Product], request: Request) -> list[Product]:
    """Products ``above`` on the results page that look as fitting there: as many of the words, not too dear."""
    words = said_in(request.words, product.title)
    return [other for other in above if said_in(words, other.title) == words
            and (request.cap is None or (price_of(other.tag) or 0.0) <= request.cap)]
