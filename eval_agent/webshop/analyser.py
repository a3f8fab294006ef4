"""Text -> search terms, as Lucene's StandardTokenizer, possessive, lower-case, stop and Porter filters make them.

Lucene 8 freezes the Unicode of its time: a colon joins letters, and more pictographs are tokens than today.
"""

import re
from functools import lru_cache

import regex

from eval_agent.webshop.porter import stem

STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with".split()
)
_LONGEST = 255  # characters (UTF-16 units) of a token; the rest of a longer run begins another one
_POSSESSIVE = re.compile(r"(?s)(.*)['\u2019\uff07][sS]")

# Extended_Pictographic as of Unicode 9 to 12; today's leaves out some of them
_PICTOGRAPHS = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf\u23e9-\u23f3"
    "\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705"
    "\u2708-\u2712\u2714\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767"
    "\u2795-\u2797\u27a1\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f12f\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e"
    "\U0001f191-\U0001f19a\U0001f1ad-\U0001f1e5\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a"
    "\U0001f23c-\U0001f23f\U0001f249-\U0001f3fa\U0001f400-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff"
    "\U0001f774-\U0001f77f\U0001f7d5-\U0001f7ff\U0001f80c-\U0001f80f\U0001f848-\U0001f84f\U0001f85a-\U0001f85f"
    "\U0001f888-\U0001f88f\U0001f8ae-\U0001f8ff\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001fffd"
)


def _patterns() -> tuple[regex.Pattern, re.Pattern]:
    """(any text, ASCII text): the word rules of Unicode's annex 29; longest match, as the automaton has it."""
    ignored = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*+"
    letter = rf"(?:[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{ignored})"
    hebrew = rf"(?:\p{{WB=Hebrew_Letter}}{ignored})"
    digit = rf"(?:[\p{{WB=Numeric}}\uff10-\uff19]{ignored})"
    kana = rf"(?:\p{{WB=Katakana}}{ignored})"
    joint = rf"(?:\p{{WB=ExtendNumLet}}{ignored})"
    in_word = rf"(?:['.:\u00b7\u0387\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a]{ignored})"
    in_number = (rf"(?:['.,;\u037e\u0589\u060c\u060d\u066c\u07f8\u2018\u2019\u2024\u2044\ufe10\ufe14\ufe50\ufe52\ufe54"
                 rf"\uff07\uff0c\uff0e\uff1b]{ignored})")
    letters = rf"{letter}(?:(?:{joint}*|{in_word}){letter})*"
    digits = rf"{digit}(?:(?:{joint}*|{in_number}){digit})*"
    quoted = rf"{hebrew}(?:'{ignored}|\"{ignored}{hebrew})"
    run = rf"(?:{kana}(?:{joint}*{kana})*|(?:{quoted}|{digits}|{letters})+)"
    word = rf"{joint}*{run}(?:{joint}+{run})*{joint}*"
    pictograph = rf"[{_PICTOGRAPHS}][\ufe0f\U0001f3fb-\U0001f3ff]?"
    emoji = (rf"[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}"
             rf"|{pictograph}(?:\u200d{pictograph})*{ignored}")
    every = rf"{emoji}|{word}|(?:\p{{LB=SA}}{ignored})+|[\p{{Script=Han}}\p{{Script=Hiragana}}]{ignored}"
    plain = (r"_*(?:[0-9](?:(?:_*|['.,;])[0-9])*|[A-Za-z](?:(?:_*|['.:])[A-Za-z])*)+"
             r"(?:_+(?:[0-9](?:(?:_*|['.,;])[0-9])*|[A-Za-z](?:(?:_*|['.:])[A-Za-z])*)+)*_*")
    return regex.compile(every), re.compile(plain)


_ANY, _ASCII = _patterns()


def tokens(text: str) -> list[str]:
    """The tokenizer's words, in their order."""
    found = (_ASCII if text.isascii() else _ANY).findall(text)
    if len(max(found, key=len, default="")) <= _LONGEST // 2:
        return found
    return _cut(text)


def _cut(text: str) -> list[str]:
    """As :func:`tokens`, no token longer than ``_LONGEST``: what follows is read afresh."""
    found, place = [], 0
    while match := _ANY.search(text, place):
        start, end = match.span()
        if end - start > _LONGEST:
            match = _ANY.match(text, start, start + _LONGEST)
            end = match.end() if match else start + 1
        found.append(text[start:end])
        place = end
    return found


def terms(text: str) -> list[str]:
    """The search terms of a text, repeats included."""
    return [term for token in tokens(text) if (term := _term(token)) is not None]


@lru_cache(maxsize=1 << 17)
def _term(token: str) -> str | None:
    """Possessive, lower-case, stop words, stem; None for a stop word."""
    if (owner := _POSSESSIVE.fullmatch(token)) and len(token) >= 2:
        token = owner[1]
    token = token.lower()
    return None if token in STOP_WORDS else stem(token)
