"""Replays recordings of the published environment: episodes, reward cases, rankings; prints what differs first.

    python -m eval_agent.webshop.check FOLDER [--products FILE_OR_FOLDER]

The recordings are of its 1,000 products with prices and caps drawn after ``random.seed(233)``. Reward cases hold the
title nouns that the published environment took; those of this machine's own noun source are compared beside.
"""

import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.webshop.catalogue import Product, open_packed
from eval_agent.webshop.data import data_file, ready_store
from eval_agent.webshop.goals import SEED, Goal, draw_cap, price_clause, read_goal, shuffled, synthetic_goals
from eval_agent.webshop.pages import Session
from eval_agent.webshop.reward import reward
from eval_agent.webshop.store import Shop

PRODUCTS, ATTRIBUTES = "items_shuffle_1000.json", "items_ins_v2_1000.json"
_SHARED = Path("../shared/data/webshop")


def seeded(products: Iterable[Product]) -> tuple[dict[str, float], list[Goal]]:
    """Prices and goals as a published environment has them that was loaded after ``random.seed(233)``."""
    products, generator = list(products), random.Random(SEED)
    prices = {
        product.asin: product.prices[0] if len(product.prices) == 1 else generator.uniform(*product.prices)
        for product in products
    }
    goals = synthetic_goals(
        products, lambda product: prices[product.asin], lambda product, price, _: draw_cap(price, generator)
    )
    return prices, shuffled(goals)


def rankings_fault(shop: Shop, case: dict) -> str | None:
    """What differs in one recorded search; None where nothing does."""
    found = shop.search(case["query"])
    for place, (here, recorded) in enumerate(zip_longest(found, case["ids"]), 1):
        if here != recorded:
            return f"search {case['query']!r}: place {place}: {here} here, {recorded} recorded"
    return None


def reward_fault(shop: Shop, case: dict) -> str | None:
    """What differs in one recorded reward; None where nothing does."""
    if case["asin"] not in shop:
        return f"product {case['asin']} is not in the shop"
    text = {"instruction": "", "instruction_text": price_clause(case["goal"]["price_upper"])}
    goal = read_goal({**text, **case["goal"]}, "reward case")
    product = replace(shop.product(case["asin"]), nouns=case["product_nouns"])
    parts = reward(goal, product, case["price"], case["options"], case["goal_nouns"]).to_json()
    different = {name: (value, case[name]) for name, value in parts.items() if name in case and value != case[name]}
    return f"reward of {case['asin']} for {goal.asin}: (here, recorded) {different}" if different else None


def episode_fault(shop: Shop, goals: list[Goal], case: dict) -> str | None:
    """What differs first in one recorded episode; None where nothing does."""
    if not 0 <= case["session"] < len(goals):
        return f"episode of goal {case['session']}: outside the set of {len(goals)} goals"
    where, session = f"episode of goal {case['session']}", Session(shop, goals[case["session"]])
    if (text := session.reset()) != case["observation"]:
        return f"{where}: starts with {text!r}, recorded {case['observation']!r}"
    for number, step in enumerate(case["steps"]):
        turn = session.step(step["action"])
        for name, here in (("observation", turn.text), ("reward", turn.reward), ("done", turn.done)):
            if here != step[name]:
                return f"{where}: step {number}, {step['action']!r}: {name} {here!r} here, {step[name]!r} recorded"
    return None


def recordings(folder: Path, name: str) -> Iterator[dict]:
    """The lines of every file of a kind in ``folder``. Raises InputError naming a line that is no JSON."""
    for path in sorted([*folder.glob(f"*{name}*.jsonl"), *folder.glob(f"*{name}*.jsonl.xz")]):
        with open_packed(path) as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise InputError(f"{path}, line {number}: malformed JSON: {error}") from None


def product_files(given: str | None) -> tuple[Path, Path]:
    """The product file and its attributes, from a file or a folder. Raises InputError where they are not there."""
    path = Path(given or os.environ.get("WEBSHOP_DATA") or _SHARED).expanduser()
    if path.is_dir():
        return data_file(path, PRODUCTS), data_file(path, ATTRIBUTES)
    if not path.is_file():
        raise InputError(f"{path}: no such product file (--products, or WEBSHOP_DATA)")
    beside = path.name.removesuffix(".xz").replace("items_shuffle", "items_ins_v2")
    return path, data_file(path.parent, beside if beside != path.name else ATTRIBUTES)


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="of *episodes*.jsonl, *reward_cases*.jsonl, *lucene_rankings*.jsonl")
    parser.add_argument("--products", help="product file, or the folder of the 1,000 ($WEBSHOP_DATA)")
    args = parser.parse_args()
    if not args.folder.is_dir():
        raise InputError(f"{args.folder}: no such folder of recordings")
    store = ready_store(*product_files(args.products))
    prices, goals = seeded(Shop.open(store).products())
    shop = Shop.open(store, prices)
    checks = {
        "episodes": ("episodes", lambda case: episode_fault(shop, goals, case)),
        "rewards": ("reward_cases", lambda case: reward_fault(shop, case)),
        "rankings": ("lucene_rankings", lambda case: rankings_fault(shop, case)),
    }
    counts, own_nouns = {}, [0, 0]
    for kind, (name, fault_of) in checks.items():
        cases = list(recordings(args.folder, name))
        faults = [fault for case in cases if (fault := fault_of(case))]
        if faults:
            print(f"first difference of {kind}: {faults[0]}")
        counts[kind] = [len(cases) - len(faults), len(cases)]
        if kind == "rewards":
            same = [case["product_nouns"] == shop.product(case["asin"]).nouns for case in cases if case["asin"] in shop]
            own_nouns = [sum(same), len(same)]
    if not any(total for _, total in counts.values()):
        raise InputError(f"{args.folder}: no recordings in it")
    print(f"title nouns: those in the reward cases are used; {shop.noun_source} finds the same for {own_nouns[0]} of "
          f"{own_nouns[1]} titles. Episodes use {shop.noun_source}.")
    print(json.dumps(counts))
    if any(equal < total for equal, total in counts.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
