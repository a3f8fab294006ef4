"""What a WebShop request says, read off its text: the words, the limit of the price, what to search for."""

import re
from dataclasses import dataclass

from eval_agent.webshop.goals import split_price

_OPENING = re.compile(
    r"^(?:(?:hello|hi|please|can you|could you|i am|i'm|i'd like|i would like|i want|i need|i|we|need|want|"
    r"looking|look|trying|searching|interested|shopping|in|for|to|find|show|get|buy|purchase|order|help|me|us|"
    r"some|a|an|the|new)\b[,.!]?\s+)+",
    re.IGNORECASE,
)
_SAYING_NOTHING = frozenset((
    "a an and any are as at be but by can for from have i in is it its like me my of on one or please should so some "
    "that the them then these this to want wants need needs with would you color size style price lower than dollars "
    "also looking find which has made will who does do am preferably"
).split())
_POSSESSIVE = re.compile(r"['’]s\b")
_WORD = re.compile(r"[^\W_]+")
_PRICE = re.compile(r"\$([\d.]+)")


@dataclass(frozen=True)
class Request:
    """What is asked for: the words without the price, the price's limit (None without one), what to search for."""

    text: str
    cap: float | None
    query: str

    @property
    def words(self) -> list[str]:
        """Its different words that say something, in their order."""
        return words_of(self.text)


def parse_request(instruction: str) -> Request:
    """The request of an instruction's text, with or without the price at its end."""
    wanted, cap = split_price(instruction.strip())
    wanted = wanted.strip(" .,")
    return Request(wanted, cap, _OPENING.sub("", wanted) or wanted)


def words_of(text: str) -> list[str]:
    """The different words of ``text`` that say something, lower-cased, in their order."""
    words = (word.lower() for word in _WORD.findall(_POSSESSIVE.sub("", text)))
    return list(dict.fromkeys(word for word in words if word not in _SAYING_NOTHING))


def said_in(words: list[str], text: str) -> list[str]:
    """Those of ``words`` that ``text`` has too, in the singular or the plural."""
    said = set(words_of(text))
    return [word for word in words if word in said or f"{word}s" in said or word.removesuffix("s") in said]


def price_of(tag: str) -> float | None:
    """The (lowest) price of "Price: $27.0 to $30.0"."""
    found = _PRICE.search(tag)
    return float(found[1]) if found else None
