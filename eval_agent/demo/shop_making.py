"""How a demo shop is made: its files and store, and the goals that are worth keeping (see shop.py)."""

import random
from pathlib import Path
from statistics import mean

from eval_agent.demo.shop_goals import draw_goal, served
from eval_agent.demo.shop_kinds import KINDS
from eval_agent.demo.shop_products import Product, make_products, plain
from eval_agent.errors import InputError
from eval_agent.files import read_json, write_json
from eval_agent.webshop import Shop, build_store
from eval_agent.webshop.expert import blind_actions, reward_of
from eval_agent.webshop.goals import read_goal
from eval_agent.webshop.nouns import IN_FILE

GOALS_PER_KIND = {"train": 4, "test": 2}
GOALS_PER_PRODUCT = 2
MAX_EXPERT_STEPS = 6
_DRAWS = 12  # requests drawn for a product
PRODUCTS, ATTRIBUTES, GOALS, STORE, ABOUT = "products.json", "attributes.json", "goals.json", "store", "about.json"


def open_shop(products: list[Product], folder: Path) -> Shop:
    """The shop of ``products``, its files and store written to ``folder``. The nouns stand in the file: no tagger is needed."""
    write_json(folder / PRODUCTS, [product.record() for product in products])
    write_json(folder / ATTRIBUTES, {
        product.asin: {"attributes": [plain(text) for text in product.attributes]} for product in products
    })
    build_store(folder / PRODUCTS, folder / ATTRIBUTES, folder / STORE, nouns=IN_FILE, num_workers=1)
    return Shop.open(folder / STORE)


def draw_goals(shop: Shop, product: Product, seed: int) -> list[dict]:
    """At most GOALS_PER_PRODUCT requests for ``product`` that are worth keeping, with other options each."""
    kept: dict[tuple, dict] = {}
    rng = random.Random(f"goals {seed} {product.asin}")
    for goal in (draw_goal(product, rng) for _ in range(_DRAWS)):
        if (actions := served(shop, goal, MAX_EXPERT_STEPS)) and _is_worth_it(shop, goal, actions):
            kept.setdefault(tuple(goal["options"]), goal)
    # those first whose product is not the first result
    return sorted(kept.values(), key=lambda goal: blind_buys(shop, goal, product.asin))[:GOALS_PER_PRODUCT]


def _is_worth_it(shop: Shop, goal: dict, actions: list[str]) -> bool:
    goal = read_goal(goal, goal["asin"])
    return reward_of(shop, goal, actions) == 1.0 > reward_of(shop, goal, blind_actions(shop, goal))


def blind_buys(shop: Shop, goal: dict, asin: str) -> bool:
    """Whether ``asin`` is the first result."""
    return f"click[{asin}]" in blind_actions(shop, read_goal(goal, asin))


def choose_goals(shop: Shop, products: list[Product], seed: int) -> list[dict]:
    """The goals of both splits, kind by kind. Raises InputError where a kind has too few."""
    chosen = []
    for kind in KINDS:
        families: dict[str, list[dict]] = {}
        for product in products:
            if product.kind == kind:
                families.setdefault(product.family, []).extend(draw_goals(shop, product, seed))
        order = sorted(families)
        random.Random(f"split {seed} {kind.query}").shuffle(order)
        for split in ("test", "train"):
            goals: list[dict] = []
            while order and len(goals) < GOALS_PER_KIND[split]:
                goals += families[order.pop()]
            if len(goals) < GOALS_PER_KIND[split]:
                raise InputError(f"too few goals for {kind.query} in {split}: choose another --seed")
            chosen += [{**goal, "split": split} for goal in goals[: GOALS_PER_KIND[split]]]
    return sorted(chosen, key=lambda goal: goal["split"] == "test")


def make_shop(seed: int, folder: Path) -> dict:
    """Make the shop in ``folder`` unless it is there; returns what about.json says of it.

    Raises InputError where the folder holds the shop of another seed.
    """
    if (folder / ABOUT).exists():
        about = read_json(folder / ABOUT)
        if about["seed"] != seed:
            raise InputError(f"{folder}: holds the shop of seed {about['seed']}, expected {seed}; choose another folder")
        return about
    products = make_products(seed)
    shop = open_shop(products, folder)
    goals = choose_goals(shop, products, seed)
    write_json(folder / GOALS, goals)
    about = {"seed": seed, "products": len(products)}
    for split in GOALS_PER_KIND:
        wanted = [read_goal(goal, goal["asin"]) for goal in goals if goal["split"] == split]
        rewards = [reward_of(shop, goal, blind_actions(shop, goal)) for goal in wanted]
        about[split] = {"goals": len(rewards), "blind_reward": round(mean(rewards), 4)}
    write_json(folder / ABOUT, about)
    return about
