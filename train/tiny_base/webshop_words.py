"""Words and ids of WebShop pages exchanged for others, the same everywhere in an episode.

A model that can learn a shop's products by heart does not read the page: with other ids and words in each episode it
has to.
"""

import random
import re
import string
from collections.abc import Callable, Iterator, Sequence

SYLLABLES = "ba co di fu ga lo mi nu pe ra so ti va we zo kel mar nor pin tas ver bol dun".split()
PUBLISHED_ID = r"\bB0[0-9A-Z]{8}\b"
ID = re.compile(rf"W\d{{9}}|{PUBLISHED_ID}")
_WORD = re.compile(r"[a-z]{3,}", re.IGNORECASE)
_KEPT = re.compile(rf"W\d{{9}}|(?-i:{PUBLISHED_ID})|Price: |Rating: N\.A\.|Page \d+|Total results|Instruction:|WebShop|Next >"
                   r"|< Prev|Back to Search|Description|Features|Reviews|Buy Now|\bSearch\b|\[SEP\]|and price lower than"
                   r"|dollars|search\[|click\[", re.IGNORECASE)
_PLAIN = frozenset("and for with the that you are find looking need want please would like buy this one every day made house "
                   "from has have color size style".split())

_SPELLINGS = 300_000
_SIGNS = string.digits + string.ascii_uppercase
Rename = Callable[[str], str]


def invented(task: str, rng: random.Random) -> Rename:
    """Exchanges some of the request's words for invented ones, capitals kept."""
    words = {word.lower() for word in _WORD.findall(_KEPT.sub(" ", task))} - _PLAIN
    share = rng.uniform(0.3, 1.0)
    new = {word: _invented_word(rng) for word in sorted(words) if rng.random() < share}
    return lambda text: _outside_kept(lambda word: new.get(word, word), text)


def exchanged(vocabulary: Sequence[str], rng: random.Random) -> Rename:
    """Exchanges all published ids, and a share of all words, request or not, for others of ``vocabulary``."""
    ids: dict[str, str] = {}
    new: dict[str, str] = {}
    share = rng.choice((0.0, 0.0, 0.4, 0.8))

    def word_for(word: str) -> str:
        if word not in new:
            other = rng.choice(vocabulary) if rng.random() < 0.8 else _invented_word(rng)
            new[word] = other if word not in _PLAIN and rng.random() < share else word
        return new[word]

    def id_for(found: re.Match) -> str:
        return ids.setdefault(found[0], _id(rng))

    return lambda text: re.sub(PUBLISHED_ID, id_for, _outside_kept(word_for, text))


def every_id_piece() -> Iterator[str]:
    """Ids that begin in every way, often: more often than most words."""
    rng = random.Random(0)
    return (f"{_id(rng)} W{rng.randrange(10**9):09d}" for _ in range(_SPELLINGS))


def _outside_kept(word_for: Callable[[str], str], text: str) -> str:
    """``text`` with its words exchanged, all but what belongs to the pages' form."""
    def changed(found: re.Match) -> str:
        word = word_for(found[0].lower())
        return word.capitalize() if found[0][0].isupper() else word

    pieces, kept = _KEPT.split(text), _KEPT.findall(text)
    return "".join(part for pair in zip([_WORD.sub(changed, piece) for piece in pieces], [*kept, ""]) for part in pair)


def _invented_word(rng: random.Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=rng.choice((2, 2, 3))))


def _id(rng: random.Random) -> str:
    """An id as they are: B0, and eight digits or letters of which the first is mostly a digit from 6 to 9."""
    return f"B0{rng.choice('7889990016')}{''.join(rng.choices(_SIGNS, k=7))}"
