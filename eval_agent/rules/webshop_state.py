"""What the text of a WebShop episode says so far: the request, the page, the product at hand, the options chosen.

Knows only observations, never the shop. The WebShop rules read it. A page is a line of parts::

    Instruction: [SEP] i need red shoes, and price lower than 40.00 dollars [SEP] Back to Search [SEP] < Prev [SEP]
    color [SEP] red [SEP] blue [SEP] Canvas Shoes [SEP] Price: $27.0 [SEP] Rating: N.A. [SEP] Description [SEP] ...
"""

import re
from dataclasses import dataclass, field

from eval_agent.errors import InputError
from eval_agent.webshop.request import Request, parse_request, price_of, said_in

SEP = " [SEP] "
# how the pages call groups of options; their values follow the name
_GROUPS = frozenset((
    "color", "colour", "size", "style", "flavor", "flavor name", "scent", "fit type", "pattern name", "item shape",
    "number of items", "material type", "configuration", "unit count", "team name", "package quantity",
))
_PAGE = re.compile(r"Page (\d+) \(Total results: (\d+)\)")
_TEXTS = ("description", "features", "reviews")
START, RESULTS, ITEM, TEXT, DONE = "start", "results", "item", "text", "done"


@dataclass(frozen=True)
class Listed:
    """A product as a results page shows it."""

    asin: str
    title: str
    tag: str  # "$27.0" or "$27.0 to $30.0"


def request_of(task: str) -> Request:
    """The request of a page's text. Raises InputError where the page is none of WebShop's."""
    parts = task.strip().split(SEP)
    if "Instruction:" not in parts[:2] or len(parts) < 3:
        raise InputError(f'not a page of WebShop: "{task[:80]}" (expected "... Instruction: [SEP] REQUEST [SEP] ...")')
    return parse_request(parts[parts.index("Instruction:") + 1])


@dataclass
class WebShopState:
    """State of knowledge after an episode's pages so far."""

    request: Request
    page: str = START
    number: int = 1  # of the results page
    listed: list[Listed] = field(default_factory=list)  # on the results page last seen
    seen: dict[str, Listed] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)  # products looked at, the last one last
    options: dict[str, list[str]] = field(default_factory=dict)  # of the product at hand: group -> values
    picked: dict[str, str] = field(default_factory=dict)  # group -> value clicked
    searched: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # of the product at hand: description, features
    text_page: str = ""
    failed: str | None = None  # the last action, where it was not possible
    _shown: list[str] = field(default_factory=list)  # the parts of the last page

    @classmethod
    def at_start(cls, task: str) -> "WebShopState":
        return cls(request_of(task), _shown=task.strip().split(SEP))

    @classmethod
    def after(cls, task: str, history: list[tuple[str, str]]) -> "WebShopState":
        """The state after ``history``, a list of (action, observation)."""
        state = cls.at_start(task)
        for action, observation in history:
            state.update(action, observation)
        return state

    def update(self, action: str, observation: str) -> None:
        """Take in the page that ``action`` brought."""
        verb, _, rest = action.partition("[")
        button = rest.rpartition("]")[0].lower()
        parts = observation.strip().split(SEP)
        possible = bool(button) and (verb == "search" or verb == "click" and button in self._buttons())
        self.failed = None if possible else action
        if not possible:
            return
        if verb == "search":
            self.searched.append(rest.rpartition("]")[0])
        self._shown = parts
        self._read(button, parts, opening=verb == "click" and self.page == RESULTS)

    def _buttons(self) -> set[str]:
        """What can be clicked here, as far as the text tells it."""
        return {part.lower() for part in self._shown[2:]} - {"search"}

    def _read(self, button: str, parts: list[str], opening: bool) -> None:
        page = next((found for part in parts[2:5] if (found := _PAGE.fullmatch(part))), None)
        if page:
            self.page, self.number = RESULTS, int(page[1])
            self._list(parts)
        elif parts[0] == "Thank you for shopping with us!":
            self.page = DONE
        elif parts[-1] == "Buy Now":
            self._open(button, parts, opening)
        elif button in _TEXTS and parts[2:4] == ["Back to Search", "< Prev"]:
            self.page, self.text_page = TEXT, button
            self.texts[button] = " ".join(" ".join(parts[4:]).split())
        elif parts[0] == "WebShop":
            self.page, self.picked, self.options, self.texts = START, {}, {}, {}

    def _list(self, parts: list[str]) -> None:
        rest = parts[parts.index("Next >") + 1:] if "Next >" in parts else []
        self.listed = [Listed(*rest[place:place + 3]) for place in range(0, len(rest) - 2, 3)]
        self.seen.update({product.asin.lower(): product for product in self.listed})
        self.picked, self.options, self.texts = {}, {}, {}

    def _open(self, button: str, parts: list[str], opening: bool) -> None:
        self.page = ITEM
        if opening:
            self.opened.append(button)
            self.picked, self.texts = {}, {}
            end = next((place for place, part in enumerate(parts) if part.startswith("Price: ")), 5) - 1
            self.options = _groups(parts[4:end])
        else:
            groups = [name for name, values in self.options.items() if button in values]
            self.picked.update({name: button for name in groups[-1:]})

    @property
    def values(self) -> list[str]:
        """All options of the product at hand."""
        return [value for values in self.options.values() for value in values]

    @property
    def chosen(self) -> list[str]:
        """The options chosen, in the order of the page."""
        return [self.picked[name] for name in self.options if name in self.picked]

    @property
    def product(self) -> Listed | None:
        """The product at hand."""
        return self.seen.get(self.opened[-1]) if self.page in (ITEM, TEXT) and self.opened else None

    def fits_price(self, product: Listed) -> bool:
        price = price_of(product.tag)
        return self.request.cap is None or price is None or price <= self.request.cap

    @property
    def asked_values(self) -> list[str]:
        """Values of the product at hand that the request asks for, at most one of each group."""
        found = {}
        text = self.request.text.lower()
        for name, values in self.options.items():
            pattern = f"{name}: " if f"{name}: " in text else r"(?<![\w-])"
            for value in sorted(values, key=len, reverse=True):
                place = re.search(rf"{pattern}{re.escape(value)}(?![\w-])", text)
                if place:
                    text = text[: place.start()] + " | " + text[place.end():]
                    found[name] = value
                    break
        return list(found.values())

    @property
    def missing_values(self) -> list[str]:
        """Values asked for and not chosen yet."""
        return [value for value in self.asked_values if value not in self.chosen]

    def title_words(self, product: Listed) -> list[str]:
        """Words of the request in the product's title."""
        return said_in(self.request.words, product.title)

    @property
    def unshown_words(self) -> list[str]:
        """Words of the request that neither title nor options nor the texts read so far say of the product at hand."""
        if self.product is None:
            return []
        shown = said_in(self.request.words, SEP.join([self.product.title, *self.values, *self.texts.values(), *_GROUPS]))
        return [word for word in self.request.words if word not in shown]


def _groups(parts: list[str]) -> dict[str, list[str]]:
    """What a product's page shows before the title: names of groups, each followed by its values."""
    groups: dict[str, list[str]] = {}
    name = ""
    for part in parts:
        if part in _GROUPS:
            name = part
        else:
            groups.setdefault(name, []).append(part)
    return groups
