"""A built shop: one folder that all env processes read, most of it by memory map.

::

    meta.json            what it was built from, and its numbers; written last, the sign that it is whole
    parts/00000.jsonl    products as JSON, in the order of the product file
    index/asins.npy      sorted; a product's number is its place here
          parts, starts, sizes     where each product's line is
          in_file_order            the numbers in the order of the product file
          lengths                  tokens of each product, as a byte
          terms, term_starts       the sorted vocabulary
          posting_starts, posting_products, posting_counts
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from eval_agent.errors import InputError
from eval_agent.webshop.build import INDEX, build_store, checked_meta, part_file
from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.goals import Goal, fixed_price
from eval_agent.webshop.nouns import nouns_of
from eval_agent.webshop.reward import RewardParts, reward
from eval_agent.webshop.search import RESULTS, Index

__all__ = ["Shop", "build_store"]
_KEPT = 256  # products that a process holds as objects


class Shop:
    """Products and search of a store. ``prices`` takes the place of the prices that are fixed by asin."""

    def __init__(self, folder: Path, meta: dict, prices: Mapping[str, float] | None):
        self.folder, self.meta = folder, meta
        self.noun_source: str = meta["nouns"]
        self._prices = prices
        self._asins, self._parts, self._starts, self._sizes = map(self._array, ("asins", "parts", "starts", "sizes"))
        self._index = Index(folder / INDEX, meta["n_indexed"], meta["n_tokens"])
        self._files: dict[int, int] = {}
        self._product = lru_cache(_KEPT)(self._read)

    @classmethod
    def open(cls, folder: str | Path, prices: Mapping[str, float] | None = None) -> "Shop":
        """Raises InputError where ``folder`` holds no whole store."""
        return cls(Path(folder), checked_meta(Path(folder)), prices)

    def close(self) -> None:
        """Close the product files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __len__(self) -> int:
        return len(self._asins)

    def __contains__(self, asin: str) -> bool:
        return self._number(asin) is not None

    def search(self, query: str, k: int = RESULTS) -> list[str]:
        """The asins of the ``k`` best products, best first."""
        return [self._asins[number].decode() for number in self._index.search(query, k).tolist()]

    def product(self, asin: str) -> Product:
        """Raises KeyError where there is none."""
        number = self._number(asin)
        if number is None:
            raise KeyError(asin)
        return self._product(number)

    def products(self) -> Iterator[Product]:
        """All of them, in the order of the product file."""
        return map(self._read, self._array("in_file_order").tolist())

    def in_file_order(self, asins: Iterable[str]) -> Iterator[Product]:
        """Those of ``asins`` that are here, in the order of the product file."""
        places = np.argsort(self._array("in_file_order"))
        found = [number for asin in asins if (number := self._number(asin)) is not None]
        return map(self._read, sorted(found, key=lambda number: places[number]))

    def price(self, product: Product, goal: Goal | None = None) -> float:
        """What counts for the reward, also where pages show a range."""
        if self._prices is not None and product.asin in self._prices:
            return self._prices[product.asin]
        own = goal is not None and goal.asin == product.asin
        return fixed_price(product, goal.price_upper if own else None)

    def goal_nouns(self, goal: Goal) -> list[str]:
        """Of the goal's name: those of its product, where that has this title."""
        if goal.asin in self and (product := self.product(goal.asin)).title == goal.name:
            return product.nouns
        return nouns_of([goal.name], self.noun_source)[0]

    def reward(self, goal: Goal, product: Product, chosen_options: dict[str, str]) -> RewardParts:
        """Of buying ``product`` here."""
        return reward(goal, product, self.price(product, goal), chosen_options, self.goal_nouns(goal))

    def check_goals(self, goals: list[Goal], where: str) -> None:
        """Raises InputError where a goal's product is not in this shop."""
        for index, goal in enumerate(goals):
            if goal.asin not in self:
                raise InputError(f"{where}: goal {index} asks for product {goal.asin}, which is not among the "
                                 f"{len(self)} of {self.folder}: goals and products are of different sets")

    def _array(self, name: str) -> np.ndarray:
        return np.asarray(np.load(self.folder / INDEX / f"{name}.npy", mmap_mode="r"))

    def _number(self, asin: str) -> int | None:
        wanted = asin.encode("utf-8", "surrogatepass")
        number = int(np.searchsorted(self._asins, wanted))
        return number if number < len(self._asins) and self._asins[number] == wanted else None

    def _read(self, number: int) -> Product:
        part = int(self._parts[number])
        if part not in self._files:
            self._files[part] = os.open(part_file(self.folder, part), os.O_RDONLY)
        line = os.pread(self._files[part], int(self._sizes[number]), int(self._starts[number]))
        return Product(**json.loads(line))


