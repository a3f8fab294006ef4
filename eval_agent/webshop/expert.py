"""Buyers by rule: one of a goal's own product, which it knows, and the blind one, to see what looking is worth.

The first searches only with the request's words.
Search, Next > up to the product's page, the product, its options in the order of the page, Buy Now. Steps that are
left go to what a careful buyer does: opening a product that looks as fitting and lacks a value asked for, and
reading Features or Description for an attribute that the title does not show.
"""

from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.goals import Goal
from eval_agent.webshop.pages import Session
from eval_agent.webshop.request import Request, parse_request, price_of, said_in
from eval_agent.webshop.reward import matching_options, wanted_options
from eval_agent.webshop.store import Shop

PAGE = 10  # products on a results page
_ASIDE = 2  # steps of one look aside: there and back


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
    return buy(shop, goal.asin, goal.instruction_text, list(chosen.values()), goal.attributes, max_steps)


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


def buy(shop, asin: str, instruction: str, values: list[str], attributes: list[str], max_steps: int) -> list[str]:
    """Actions that buy ``asin`` with ``values`` chosen, at most ``max_steps``; ``attributes`` are looked up.

    ``shop`` has ``search(query)``, ids, and ``product(asin)``. Raises NoWay where the results do not have the
    product, or it does not have a value.
    """
    request = parse_request(instruction)
    found = shop.search(request.query)
    if asin not in found:
        raise NoWay("the request's words do not find the product")
    product, page = shop.product(asin), found.index(asin) // PAGE
    clicks = _in_page_order(product, values)
    spare = max_steps - (1 + page + 1 + len(clicks) + 1)
    if spare < 0:
        raise NoWay(f"it takes more than {max_steps} steps")
    above = [shop.product(name) for name in found[page * PAGE: found.index(asin)]]
    twin = next((other.asin for other in rivals(product, above, request) if not _has(other, clicks)), None)
    look = _look(product, attributes)
    actions = [f"search[{request.query}]", *["click[Next >]"] * page]
    if twin and spare >= _ASIDE:
        actions += [f"click[{twin}]", "click[< Prev]"]
        spare -= _ASIDE
    actions.append(f"click[{asin}]")
    if look and spare >= _ASIDE:
        actions += [f"click[{look}]", "click[< Prev]"]
    return [*actions, *(f"click[{value}]" for value in clicks), "click[Buy Now]"]


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


def _has(product: Product, values: list[str]) -> bool:
    shown = [value for group in product.options.values() for value in group]
    return all(value in shown for value in values)


def _look(product: Product, attributes: list[str]) -> str | None:
    """The page of texts that says most of the ``attributes`` that the title does not show."""
    hidden = [text for text in attributes if text.lower() not in product.title.lower()]
    texts = {"Features": " ".join(product.bullets).lower(), "Description": product.description.lower()}
    counts = {name: sum(wanted.lower() in text for wanted in hidden) for name, text in texts.items()}
    best = max(counts, key=counts.get)
    return best if counts[best] else None
