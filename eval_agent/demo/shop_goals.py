"""Requests for the demo shop's products, worded as people word them, human goals with list options."""

import random

from eval_agent.demo.shop_products import Product, plain
from eval_agent.webshop.expert import NoWay, buy, rivals
from eval_agent.webshop.request import parse_request

_WORDINGS = (
    "i am looking for {article} {before} {noun} {after} in {values}",
    "i need {article} {before} {noun} {after}, i would like it in {values}",
    "find me {article} {before} {noun} {after} in {values}",
    "i want to buy {article} {before} {noun} {after}, {values}",
    "looking for {article} {before} {noun} {after}, please in {values}",
    "i need {article} {noun} {after} that {verb} {before}, in {values}",
    "find me {before} {noun} {after} with {named}",
)
_NO_VALUES = (
    "i am looking for {article} {before} {noun} {after}",
    "find me {article} {before} {noun} {after}",
    "i need {article} {noun} {after} that {verb} {before}",
)
_CAP_STEPS = (2, 3, 3, 4, 4, 4)  # WebShop's chances: which multiple of ten above the price is the limit


def draw_goal(product: Product, rng: random.Random) -> dict:
    """One request for ``product``: a goal as goal lists have them."""
    hidden = product.attributes[product.in_title:]
    asks_hidden = bool(hidden) and rng.random() < 0.6
    attributes = product.attributes if asks_hidden else product.attributes[: product.in_title]
    most = 1 if asks_hidden else 2
    options = {name: rng.choice(values) for name, values in product.options[: rng.randint(1, most)]}
    values = list(options.values())
    instruction = _worded(product, attributes, options, rng)
    cap = float((int(max(product.prices) // 10) + rng.choice(_CAP_STEPS)) * 10)
    return {
        "asin": product.asin,
        "instruction": instruction,
        "instruction_text": f"{instruction}, and price lower than {cap:.2f} dollars",
        "attributes": [plain(text) for text in attributes],
        "options": values,
        "price_upper": cap,
        "query": product.kind.query,
        "name": product.title,
        "product_category": product.kind.path,
        "category": product.kind.category,
    }


def served(shop, goal: dict, max_steps: int) -> list[str] | None:
    """What the rule-written buyer does in at most ``max_steps``; None where a careful reader could not do the same.

    The product has to be on the first page, and each product above it has to show a reason against it there.
    """
    try:
        actions = buy(shop, goal["asin"], goal["instruction_text"], goal["options"], max_steps)
    except NoWay:
        return None
    request = parse_request(goal["instruction_text"])
    found = shop.search(request.query)
    above = [shop.product(asin) for asin in found[: found.index(goal["asin"])]]
    unexplained = rivals(shop.product(goal["asin"]), above, request)
    return None if unexplained or "click[Next >]" in actions else actions


def _worded(product: Product, attributes: tuple[str, ...], options: dict[str, str], rng: random.Random) -> str:
    before = [text for text in attributes if plain(text) == text]
    after = [text for text in attributes if plain(text) != text]
    wordings = _WORDINGS if options else _NO_VALUES
    wording = rng.choice([text for text in wordings if before or "{verb}" not in text])
    noun = product.name.lower()
    joined = (" and " if "{verb}" in wording else " ").join(before)
    first = noun if "{verb}" in wording or not joined else joined
    plural = noun.endswith("s")
    article = "" if plural or noun == "granola" else "an" if first[0] in "aeio" else "a"
    text = wording.format(
        article=article, verb="are" if plural else "is", before=joined, noun=noun, after=" and ".join(after), values=" and ".join(options.values()),
        named=", and ".join(f"{name}: {value}" for name, value in options.items()),
    )
    return " ".join(text.split()).replace(" ,", ",")
