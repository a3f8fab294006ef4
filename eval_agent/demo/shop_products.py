"""The demo shop's products, in the form of WebShop's product and attribute files: families of near twins.

Of each family one product is the model; the others differ from it in one thing that a careful buyer sees: an
attribute, the price, or a value that an option lacks.
"""

import random
import string
from dataclasses import dataclass, replace

from eval_agent.demo.shop_kinds import KINDS, Kind

FAMILIES_PER_KIND = 5
TWINS = ("attribute", "price", "option")
_DEARER = (50, 75)  # dollars above the model: over every cap that its goals may have
_RANGES = 0.12  # share of products with a range of prices


@dataclass(frozen=True)
class Product:
    """One product. The first ``in_title`` attributes stand in its title, the others in its texts."""

    asin: str
    kind: Kind
    family: str
    name: str
    detail: str
    attributes: tuple[str, ...]
    in_title: int
    in_features: bool  # where the last attribute stands: under Features, else under Description
    options: tuple[tuple[str, tuple[str, ...]], ...]
    prices: tuple[float, ...]

    @property
    def title(self) -> str:
        """"Non Greasy Hand Cream with Shea Butter, Tube"."""
        shown = self.attributes[: self.in_title]
        before = [text for text in shown if not _follows(text)]
        after = [text for text in shown if _follows(text)]
        words = " ".join([*before, self.name.lower(), " and ".join(after)]).strip()
        return f"{_title_case(words)}, {self.detail}"

    @property
    def nouns(self) -> list[str]:
        """Of the title: what the product is called, not what is said of it."""
        return [word.lower() for word in f"{self.name} {self.detail}".replace("-", " ").split()]

    def record(self) -> dict:
        """As in WebShop's product file, with the title's nouns."""
        hidden = self.attributes[self.in_title:]
        features = [f"Made for every day: {self.name.lower()}.", *(f"This one is {text}." for text in hidden if self.in_features)]
        description = f"{self.name} of the house. " + " ".join(f"It is {text}." for text in hidden if not self.in_features)
        return {
            "asin": self.asin,
            "name": self.title,
            "full_description": description.strip(),
            "small_description": features,
            "pricing": " to ".join(f"${price:.2f}" for price in self.prices),
            "customization_options": {name: [{"value": value} for value in values] for name, values in self.options},
            "product_category": self.kind.path,
            "category": self.kind.category,
            "query": self.kind.query,
            "nouns": self.nouns,
        }


def _follows(attribute: str) -> bool:
    return attribute.startswith(("with ", "for "))


def _title_case(text: str) -> str:
    small = {"with", "for", "and", "to"}
    return " ".join(word if word in small else word.capitalize() for word in text.split())


def plain(attribute: str) -> str:
    """"shea butter" of "with shea butter": as the attribute file has it."""
    return attribute.removeprefix("with ").removeprefix("for ")


def make_products(seed: int) -> list[Product]:
    """All products of a shop; the same seed gives the same."""
    rng = random.Random(f"demo shop {seed}")
    taken: set[str] = set()
    products = []
    for kind in KINDS:
        used: set[frozenset] = set()
        for number in range(FAMILIES_PER_KIND):
            model = _model(kind, f"{kind.query} {number}", taken, used, rng)
            twins = rng.sample(TWINS, 3 if number % 2 else 2)
            products += [model, *(_twin(model, way, taken, rng) for way in twins)]
    rng.shuffle(products)
    return products


def _model(kind: Kind, family: str, taken: set[str], used: set[frozenset], rng: random.Random) -> Product:
    """A product whose attributes no other family has together."""
    while True:
        attributes = tuple(rng.sample(kind.attributes, rng.choice((2, 3, 3))))
        if frozenset(attributes) not in used:
            break
    used.add(frozenset(attributes))
    options = tuple((name, _some(values, rng)) for name, values in kind.options)
    if rng.random() < 0.25:
        options = options[:1]
    in_title = len(attributes) - (rng.random() < 0.4)
    return Product(
        _asin(taken, rng), kind, family, rng.choice(kind.names), rng.choice(kind.details), attributes, in_title,
        rng.random() < 0.5, options, _prices(rng.randint(*kind.prices), rng),
    )


def _twin(model: Product, way: str, taken: set[str], rng: random.Random) -> Product:
    """``model`` with another attribute in its title, a higher price, or one option value less."""
    low = round(model.prices[0])
    twin = replace(model, asin=_asin(taken, rng), prices=_prices(max(2, low + rng.randint(-2, 3)), rng))
    if way == "attribute":
        others = [text for text in model.kind.attributes if text not in model.attributes]
        return replace(twin, attributes=(rng.choice(others), *model.attributes[1:]))
    if way == "price":
        return replace(twin, prices=_prices(low + rng.randint(*_DEARER), rng))
    name, values = model.options[0]
    missing = rng.choice(values)
    return replace(twin, options=((name, tuple(value for value in values if value != missing)), *model.options[1:]))


def _some(values: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """At least three of ``values``, in their order."""
    chosen = rng.sample(values, rng.randint(min(3, len(values)), min(5, len(values))))
    return tuple(value for value in values if value in chosen)


def _prices(dollars: int, rng: random.Random) -> tuple[float, ...]:
    low = dollars + rng.choice((0.0, 0.49, 0.5, 0.95, 0.99))
    return (low, round(low + rng.randint(2, 6), 2)) if rng.random() < _RANGES else (low,)


def _asin(taken: set[str], rng: random.Random) -> str:
    """Ten characters, as long as WebShop's and like none of them."""
    while True:
        name = "W" + "".join(rng.choices(string.digits, k=9))
        if name not in taken:
            taken.add(name)
            return name
