"""A few products of our own in the published form, with attributes: what WebShop's tests are read by."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from eval_agent.config import ShopSection, TaskConfig, load_task_config
from eval_agent.webshop.build import build_store
from eval_agent.webshop.store import Shop


def record(asin: str, name: str, **fields) -> dict:
    """A raw product with what every record has."""
    return {
        "asin": asin, "name": name, "full_description": "", "small_description": [], "pricing": "$12.50",
        "customization_options": "", "product_category": "Home \u203a Kitchen \u203a Mugs", "category": "garden",
        "query": "Coffee Mugs ", "average_rating": "", **fields,
    }


def values(*names: str) -> list[dict]:
    return [{"value": name, "image": None} for name in names]


PRODUCTS = [
    record("B00MUG0001", "Stoneware Coffee Mug", small_description=["dishwasher safe", ""],
           full_description="A mug for coffee.\nHolds 12 oz.", pricing="$10.00$20.00",
           customization_options={"Color": values(" Dark Red", "blue/white"), "Size": values("12 oz"), "Fit": None}),
    record("B00MUG0002", "Enamel Camping Mug", small_description="lead free, non slip",
           customization_options={"Color": values("blue")}),
    record("B00TEA0003", "Tea Kettle, Whistling", query="tea kettles", pricing="",
           product_category="Home \u203a Kitchen \u203a Kettles"),
    record("B00LAMP004", "Reading Lamp", query="desk lamps", category="electronics", pricing="$995.00",
           product_category="Lights \u203a Lamps"),
    record("nan", "No product"), record("B00MUG0001", "The same id again"), record("B00TOOLONG1", "Too long an id"),
]
ATTRIBUTES = {
    "B00MUG0001": {"attributes": ["dishwasher safe", "easy clean"], "instruction": "Find me dishwasher safe mugs",
                   "instruction_attributes": ["dishwasher safe"]},
    "B00MUG0002": {"attributes": ["lead free", "non slip"], "instruction": "Find me lead free mugs",
                   "instruction_attributes": ["lead free"]},
    "B00TEA0003": {"attributes": []},
    "B00LAMP004": {"attributes": ["eye care"], "instruction": "Find me eye care lamps",
                   "instruction_attributes": ["eye care"]},
}


@dataclass(frozen=True)
class SmallShop:
    folder: Path  # with products.json, attributes.json and store/
    shop: Shop

    def config(self, **shop_fields) -> TaskConfig:
        """configs/task/webshop_1k.json over these products."""
        config = load_task_config("webshop_1k", "configs/task")
        files = {"products": "products.json", "attributes": "attributes.json", "nouns": "rule",
                 "store": str(self.folder / "store"), **shop_fields}
        task = config.task.model_copy(update={"data_path": str(self.folder), "shop": ShopSection(**files)})
        return config.model_copy(update={"task": task})


def write_shop(folder: Path, products=PRODUCTS, attributes=ATTRIBUTES) -> tuple[Path, Path]:
    """The two files of a shop."""
    files = folder / "products.json", folder / "attributes.json"
    for file, content in zip(files, (products, attributes)):
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return files


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory) -> SmallShop:
    folder = tmp_path_factory.mktemp("shop")
    build_store(*write_shop(folder), folder / "store", "rule")
    return SmallShop(folder, Shop.open(folder / "store"))


