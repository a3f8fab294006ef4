"""The pages of the shop in text mode, and the grammar of actions: one session is one visit with one goal."""

import json
import re
from dataclasses import dataclass, field

from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.goals import Goal
from eval_agent.webshop.store import Shop

SEPARATOR = " [SEP] "
PAGE_SIZE = 10
SEARCH, CLICK = "search", "click"
BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
DESCRIPTION, FEATURES, REVIEWS = SUB_PAGES = ("Description", "Features", "Reviews")
_ACTION = re.compile(r"(.+)\[(.+)\]")
_BLANK = re.compile(r"[ \t\n\r\f\v]*")
# lower-cased text of what can be clicked -> (button or kind, what: an asin, a page, or group and value)
Targets = dict[str, tuple[str, str | tuple[str, str]]]
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"}


def parse_action(action: str) -> tuple[str, str] | None:
    """(name, lower-cased argument) of "click[Buy Now]"; None where there is no such form.

    Only the beginning counts, and of several lines the first; nothing is stripped.
    """
    found = _ACTION.match(action)
    return (found[1], found[2].lower()) if found else None


def page(*parts: str) -> str:
    """The parts as text: without the empty ones, and without lines of nothing."""
    shown = [part for part in parts if part and not (_BLANK.fullmatch(part) and "\n" in part)]
    return SEPARATOR.join(part.strip() for part in shown)


@dataclass(frozen=True)
class Turn:
    """What an action brought: the page, the reward (at the purchase), and whether the action was possible."""

    text: str
    reward: float
    done: bool
    valid: bool
    info: dict = field(default_factory=dict)  # at the purchase: asin, options, price, and the reward's parts


class Session:
    """One visit. Whatever the action, a step does not raise: an impossible one shows the same page again."""

    def __init__(self, shop: Shop, goal: Goal):
        self.shop, self.goal = shop, goal
        self.reset()

    def reset(self) -> str:
        """Start afresh; the first page."""
        self._begin()
        self.done = False
        return self.text

    def step(self, action: str) -> Turn:
        """``search[...]`` works on every page, ``click[...]`` on what the page offers."""
        parsed = None if self.done else parse_action(action)
        if parsed and parsed[0] == SEARCH:
            self._begin()
            self._results = self.shop.search(parsed[1])
            self._show_results(1)
            return Turn(self.text, 0.0, False, True)
        if parsed and parsed[0] == CLICK and parsed[1] in self._targets:
            kind, value = self._targets[parsed[1]]
            return self._click(kind, value)
        return Turn(self.text, 0.0, self.done, False)

    @property
    def clickable(self) -> list[str]:
        """The arguments that click[...] takes on this page."""
        return list(self._targets)

    @property
    def chosen(self) -> dict[str, str]:
        """The options chosen on the page of the product: group -> value."""
        return dict(self._chosen)

    def _begin(self) -> None:
        self._results: list[str] = []
        self._number = 0  # of the page of results
        self._product: Product | None = None
        self._chosen: dict[str, str] = {}
        self._targets: Targets = {}
        self.text = page("WebShop", *self._asked(), "Search")

    def _asked(self) -> tuple[str, str]:
        return "Instruction:", self.goal.instruction_text

    def _click(self, kind: str, value: str | tuple[str, str]) -> Turn:
        if kind == BUY:
            return self._buy()
        if kind == BACK:
            self._begin()
        elif kind == NEXT:
            self._show_results(self._number + 1)
        elif kind == PREVIOUS:
            self._go_back(value)
        elif kind == "product":
            self._product = self.shop.product(value)
            self._show_item()
        elif kind == "option":
            group, chosen = value
            self._chosen[group] = chosen
        else:
            self._show_sub_page(kind)
        return Turn(self.text, 0.0, False, True)

    def _go_back(self, to: str) -> None:
        if to == "item":
            self._show_item()
        else:
            self._show_results(self._number - (to == "results"))

    def _show(self, parts: list[str], targets: Targets) -> None:
        self.text, self._targets = page(*self._asked(), *parts), targets

    def _show_results(self, number: int) -> None:
        """A page of results; product and options are forgotten."""
        self._number, self._product, self._chosen = number, None, {}
        shown = [self.shop.product(asin) for asin in self._results[PAGE_SIZE * (number - 1):PAGE_SIZE * number]]
        before = [PREVIOUS] if number > 1 else []
        parts = [BACK, f"Page {number} (Total results: {len(self._results)})", *before, NEXT]
        for product in shown:
            parts += [product.asin, product.title, product.tag]
        targets = {button.lower(): (button, "results") for button in [BACK, *before, NEXT]}
        self._show(parts, targets | {product.asin.lower(): ("product", product.asin) for product in shown})

    def _show_item(self) -> None:
        product = self._product
        parts = [BACK, PREVIOUS]
        for group, values in product.options.items():
            parts += [group, *values]
        parts += [product.title, f"Price: {product.tag}", "Rating: N.A.", *SUB_PAGES, BUY]
        targets: Targets = {button.lower(): (button, "") for button in [BACK, PREVIOUS, *SUB_PAGES, BUY]}
        for group, values in product.options.items():
            targets |= {value: ("option", (group, value)) for value in values}
        self._show(parts, targets)

    def _show_sub_page(self, name: str) -> None:
        product = self._product
        bullets = [f" {bullet}" for bullet in product.bullets]
        texts = {DESCRIPTION: [product.description], FEATURES: bullets, REVIEWS: []}
        self._show([BACK, PREVIOUS, *texts[name]], {BACK.lower(): (BACK, ""), PREVIOUS.lower(): (PREVIOUS, "item")})

    def _buy(self) -> Turn:
        product, chosen = self._product, self.chosen
        parts = self.shop.reward(self.goal, product, chosen)
        self.done, self._targets = True, {}
        self.text = _receipt(product.asin, chosen, parts.reward)
        bought = {"asin": product.asin, "options": chosen, "price": self.shop.price(product, self.goal)}
        return Turn(self.text, parts.reward, True, True, {**bought, **parts.to_json(), "nouns": self.shop.noun_source})


def _receipt(asin: str, chosen: dict[str, str], reward: float) -> str:
    options = json.dumps(chosen, sort_keys=True)
    for character, escaped in _ESCAPED.items():
        options = options.replace(character, escaped)
    return page(
        "Thank you for shopping with us!", "Your code:", "None", "(Paste it in your MTurk interface.)", "Purchased",
        "asin", asin, "options", options, "attrs", "None", "category", "None", "query", "None", "product category",
        "None", "Target", "asin", "options", "attrs", "price upper", "instuction text", "category", "product category",
        "query", "Goal", "None", "Reward", "Your score (min 0.0, max 1.0)", str(reward), "Reward Details", "None",
    )
