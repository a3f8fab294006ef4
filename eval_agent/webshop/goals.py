"""What is to be bought: synthetic goals (from the attributes file), human ones, and goal lists with fixed caps.

A goal's index is its place after a shuffle with seed 233, as published: it depends on the number of goals alone. The
published caps are drawn anew in every process; here a cap is fixed by asin and instruction, or given by the list.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product as combinations
from pathlib import Path

from eval_agent.errors import InputError
from eval_agent.files import read_json, read_records
from eval_agent.webshop.catalogue import Product

SEED = 233
NO_CAP = 1_000_000.0
SYNTHETIC = "synthetic"
GOALS_A_PRODUCT = 2
TEST_GOALS = 200
_CAPS = [10.0 * tens for tens in range(1, 100)]
_PRICE_CLAUSE = re.compile(r",? and price lower than (\d+(?:\.\d+)?) dollars?\.?$", re.IGNORECASE)


@dataclass(frozen=True)
class Goal:
    """One thing to buy; ``options`` maps group to value (synthetic) or is a list of values (human)."""

    asin: str
    instruction: str
    instruction_text: str  # with the price clause, as pages show it
    attributes: list[str]
    options: dict[str, str] | list[str]
    price_upper: float
    query: str
    name: str
    product_category: str
    category: str
    split: str | None = None  # where the goals are divided by name

    def __hash__(self) -> int:
        return hash((self.asin, self.instruction_text))

    def to_json(self) -> dict:
        return asdict(self)


CapSource = Callable[[Product, float, str], float]


def fixed_cap(product: Product, price: float, instruction: str) -> float:
    """A cap drawn as published, by a generator seeded by asin and instruction."""
    return draw_cap(price, random.Random(f"{product.asin}\n{instruction}"))


def draw_cap(price: float, generator) -> float:
    """The larger of two of the four multiples of 10 above ``price``; NO_CAP where there are fewer than two."""
    above = [cap for cap in _CAPS if cap > price][:4]
    return max(generator.sample(above, 2)) if len(above) >= 2 else NO_CAP


def fixed_price(product: Product, highest: float | None = None) -> float:
    """What a product costs: of a range a price drawn by a generator seeded by its asin.

    ``highest`` is the cap of a goal for this very product, which its price never exceeds.
    """
    if len(product.prices) == 1:
        return product.prices[0]
    low, high = product.prices
    if highest is not None and low <= highest:
        high = min(high, highest)
    return random.Random(product.asin).uniform(low, high)


def price_clause(cap: float) -> str:
    return f", and price lower than {cap:.2f} dollars" if cap < NO_CAP else ""


def split_price(text: str) -> tuple[str, float | None]:
    """(instruction without its price clause, the cap in it or None)."""
    found = _PRICE_CLAUSE.search(text)
    return (text[:found.start()], float(found[1])) if found else (text, None)


def shuffled(goals: Iterable[Goal]) -> list[Goal]:
    """In the order of the published indices."""
    goals = list(goals)
    random.Random(SEED).shuffle(goals)
    return goals


def synthetic_goals(products: Iterable[Product], price_of: Callable[[Product], float] = fixed_price,
                    cap_of: CapSource = fixed_cap) -> Iterator[Goal]:
    """One goal for every combination of option values of the products with an instruction, before the shuffle."""
    for product in products:
        if product.instruction is None:
            continue
        cap = cap_of(product, price_of(product), product.instruction)
        names = sorted(product.options)
        for values in combinations(*(product.options[name] for name in names)):
            options = dict(zip(names, values))
            asked = ", and ".join(f"{name}: {value}" for name, value in options.items())
            instruction = product.instruction + (f" with {asked}" if asked else "")
            yield _goal(product, instruction, product.instruction_attributes, options, cap)


def human_goals(products: Iterable[Product], instructions: Mapping[str, list[dict]],
                price_of: Callable[[Product], float] = fixed_price, cap_of: CapSource = fixed_cap) -> Iterator[Goal]:
    """The goals of items_human_ins.json (``{asin: [entry, ...]}``) for the products in their order."""
    for product in products:
        for entry in instructions.get(product.asin, ()):
            if not entry["instruction_attributes"]:
                continue
            instruction = entry["instruction"].strip(".")
            cap = cap_of(product, price_of(product), instruction)
            yield _goal(product, instruction, entry["instruction_attributes"], entry["instruction_options"], cap)


def _goal(product: Product, instruction: str, attributes: list[str], options: dict | list, cap: float) -> Goal:
    return Goal(
        product.asin, instruction, instruction + price_clause(cap), list(attributes), options, cap,
        product.query, product.title, product.product_category, product.category,
    )


def split_by_product(goals: list[Goal], seed: int = 0) -> dict[str, list[int]]:
    """Indices of "train" and "test" goals: no product in both, at most two goals a product, 200 for test."""
    generator = random.Random(seed)
    by_product: dict[str, list[int]] = {}
    for index, goal in enumerate(goals):
        by_product.setdefault(goal.asin, []).append(index)
    splits: dict[str, list[int]] = {"train": [], "test": []}
    for asin in generator.sample(sorted(by_product), len(by_product)):
        drawn = generator.sample(by_product[asin], min(GOALS_A_PRODUCT, len(by_product[asin])))
        splits["test" if len(splits["test"]) < TEST_GOALS else "train"] += drawn
    return {name: sorted(indices) for name, indices in splits.items()}


_LISTED = {  # our names, and those of the goal lists that others have published
    "asin": ("asin",), "instruction": ("instruction",), "instruction_text": ("instruction_text",),
    "attributes": ("attributes", "instruction_attributes"), "options": ("options", "goal_options"),
    "price_upper": ("price_upper",), "query": ("query",), "name": ("name",),
    "product_category": ("product_category",), "category": ("category",),
}


def read_goal(entry: dict, where: str) -> Goal:
    """A goal of a goal list, with the cap that stands in it. Raises InputError naming a missing field."""
    values = {}
    text, cap = split_price(str(entry.get("instruction_text", "")))
    derived = {"instruction": text or None, "price_upper": NO_CAP if cap is None else cap}
    for field, names in _LISTED.items():
        name = next((name for name in names if entry.get(name) is not None), None)
        value = derived.get(field) if name is None else entry[name]
        if field == "instruction_text" and value is None and "instruction" in values:
            value = values["instruction"] + price_clause(float(entry.get("price_upper", NO_CAP)))
        if value is None:
            raise InputError(f'{where}: field "{names[0]}" is missing, expected a goal with {", ".join(_LISTED)}')
        values[field] = value
    values["price_upper"] = float(values["price_upper"])
    if not isinstance(values["options"], (list, dict)) or not isinstance(values["attributes"], list):
        raise InputError(f'{where}: fields "attributes" and "options" have to be lists (or an object of options)')
    return Goal(**values, split=entry.get("split"))


def read_goal_list(path: str | Path) -> list[Goal]:
    """A JSON list or JSON Lines of goals, in the order of "goal_idx" where they have one. Raises InputError."""
    records = read_records(path)
    if all("goal_idx" in record for record in records):
        records = sorted(records, key=lambda record: record["goal_idx"])
    return [read_goal(record, f"{path}: record {index}") for index, record in enumerate(records)]


def with_splits(goals: list[Goal], splits: Mapping[str, list[int]]) -> list[Goal]:
    """The goals with the name of the split that each is in, if any."""
    name_of = {index: name for name, indices in splits.items() for index in indices}
    return [replace(goal, split=name_of.get(index)) for index, goal in enumerate(goals)]


def read_human_instructions(path: str | Path) -> dict[str, list[dict]]:
    """items_human_ins.json. Raises InputError where it has another form."""
    table = read_json(path)
    if not isinstance(table, dict):
        raise InputError(f"{path}: found {type(table).__name__}, expected {{asin: [instruction, ...]}}")
    kinds = {"instruction": str, "instruction_attributes": list, "instruction_options": list}
    for asin, entries in table.items():
        for entry in entries if isinstance(entries, list) else [None]:
            for field, kind in kinds.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(field), kind):
                    raise InputError(f'{path}: entry "{asin}": field "{field}" is missing or no {kind.__name__}')
    return table


def indices_of(path: str | Path, n_goals: int) -> list[int]:
    """An index file (train_indices.json), repeats dropped. Raises InputError for an index outside the goals."""
    indices = read_json(path)
    if not isinstance(indices, list):
        raise InputError(f"{path}: found {type(indices).__name__}, expected a list of goal indices")
    for index in indices:
        if type(index) is not int or not 0 <= index < n_goals:
            raise InputError(f"{path}: goal index {index!r} is outside the set of {n_goals} goals")
    return list(dict.fromkeys(indices))
