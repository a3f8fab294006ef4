"""WebShop's goals as tasks: what to buy, by the published goal index, and the store of the products.

The paper's splits are index files over the 12,087 human goals of the full product set. Goals of another set carry the
name of their split themselves: a goal list as it says, synthetic goals divided by product.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval_agent.errors import InputError
from eval_agent.tasks.base import Task
from eval_agent.webshop.build import checked_meta
from eval_agent.webshop.data import data_file, data_path, goals_of_split, load_goals, ready_store
from eval_agent.webshop.goals import Goal
from eval_agent.webshop.store import Shop

if TYPE_CHECKING:
    from eval_agent.config import TaskSection


@dataclass(frozen=True)
class WebShopTask(Task):
    """One goal; ``task_type`` is the category of its product."""

    store: str  # folder of the built products
    goal: Goal

    def __post_init__(self):
        if isinstance(self.goal, dict):  # as JSON has it
            object.__setattr__(self, "goal", Goal(**self.goal))

    @classmethod
    def load(cls, section: "TaskSection", split: str) -> list["WebShopTask"]:
        """The goals of a split, by index; builds the store where it is missing. Raises InputError."""
        if section.shop is None or section.data_path is None:
            raise InputError("the task config has no task.shop and task.data_path, which WebShopTask needs")
        store, goals, indices = _prepared(section, split)
        return [cls(f"webshop_{index}", goals[index].category, store, goals[index]) for index in indices]

    def identity(self) -> dict:
        """What the goal and the shop hold, not where they lie."""
        meta = checked_meta(Path(self.store))
        shop = {name: meta[name] for name in ("products", "attributes", "nouns")}
        return {"task_id": self.task_id, "goal": asdict(self.goal), "shop": shop}


def _prepared(section: "TaskSection", split: str) -> tuple[str, list[Goal], list[int]]:
    """(store folder, all goals, the split's indices)."""
    folder, files = data_path(section.data_path), section.shop
    products = data_file(folder, files.products)
    attributes = data_file(folder, files.attributes) if files.attributes else None
    goals_file = data_file(folder, files.goals) if files.goals else None
    store = ready_store(products, attributes, files.nouns, data_path(files.store) if files.store else None)
    shop = Shop.open(store)
    goals = load_goals(shop, goals_file)
    if files.n_goals not in (None, len(goals)):
        raise InputError(f"{goals_file or attributes}: {len(goals)} goals for the products of {products}, expected "
                         f"{files.n_goals}: goals and products are not those that the splits are of")
    return str(store), goals, goals_of_split(goals, section.splits[split], folder)
