"""Text -> search terms, as Lucene's StandardTokenizer, possessive, lower-case, stop and Porter filters make them.

The characters' classes are those of Lucene 8, which froze the Unicode of its time (word_break.txt): a colon joins
letters, and more pictographs are tokens than today.
"""

import re
from functools import lru_cache
from pathlib import Path

from eval_agent.webshop.porter import stem

STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with".split()
)
_LONGEST = 255  # characters (UTF-16 units) of a token; the rest of a longer run begins another one
_POSSESSIVE = re.compile(r"(?s)(.*)['\u2019\uff07]s")



def _classes() -> dict[str, str]:
    """Name -> the inside of a character set, from word_break.txt."""
    classes: dict[str, str] = {}
    for line in (Path(__file__).parent / "word_break.txt").read_text(encoding="ascii").splitlines():
        if line.endswith(":"):
            classes[name := line[:-1]] = ""
        elif not line.startswith("#"):
            classes[name] += "".join(_as_set(characters) for characters in line.split())
    return classes


def _as_set(characters: str) -> str:
    """"300-36f" as a character set writes it."""
    return "-".join(f"\\U{int(code, 16):08x}" for code in characters.split("-"))


def _patterns() -> tuple[re.Pattern, re.Pattern]:
    """(any text, ASCII text): the word rules of Unicode's annex 29, as Lucene's automaton has them."""
    sets = _classes()
    behind_picture = sets["extend"] + sets["complex_extend"]
    extend = behind_picture + sets["picture_style"] + sets["text_style"]

    def one_of(*names: str) -> str:
        return f"(?:[{''.join(sets[name] for name in names)}][{extend}]*)"

    letter, hebrew = one_of("letter", "letter_pictograph", "hebrew"), one_of("hebrew")
    digit, kana, joint = one_of("digit"), one_of("katakana"), one_of("joint")
    in_word, in_number = one_of("in_word", "in_both"), one_of("in_number", "in_both")
    hebrew_quote = rf"(?<=[{sets['hebrew']}])(?:'[{extend}]*|\"[{extend}]*{hebrew})"
    letters = rf"{letter}(?:(?:{joint}*|{in_word}){letter})*"
    digits = rf"{digit}(?:(?:{joint}*|{in_number}){digit})*"
    run = rf"(?:{kana}(?:{joint}*{kana})*|(?:{digits}|{letters}|{hebrew_quote})+)"
    word = rf"{joint}*{run}(?:{joint}+{run})*{joint}*"
    # pictographs: a coloured one, or one shown as a picture (U+FE0F); zero-width joiners chain them
    behind = f"[{behind_picture}]*"
    picture = (f"(?:[{sets['modifier_base']}]{behind}(?:[{sets['modifier']}]{behind}|\ufe0f)?"
               f"|[{sets['pictograph']}{sets['letter_pictograph']}]{behind}\ufe0f?)")
    tone = f"[{sets['modifier']}]{behind}"
    emoji = f"(?:\u200d*{picture}|{tone})(?:(?:(?<=\u200d)|(?<=\ufe0f)\u200d+)(?:{picture}|{tone}))*"
    flag = rf"[{sets['region']}][{extend}]*[{sets['region']}][{extend}]*"
    keycap = f"[#*]{behind}\ufe0f?\u20e3{behind}"
    complex_run = rf"(?:[{sets['complex']}{sets['complex_extend']}][{extend}]*)+"
    single = rf"[{sets['single']}][{extend}]*"
    plain_run = r"(?:[0-9](?:(?:_*|['.,;])[0-9])*|[A-Za-z](?:(?:_*|['.:])[A-Za-z])*)+"
    return (
        re.compile("|".join([word, emoji, flag, keycap, complex_run, single])),
        re.compile(f"_*{plain_run}(?:_+{plain_run})*_*"),
    )


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
    return [term for token in tokens(text.lower()) if (term := _term(token)) is not None]


@lru_cache(maxsize=1 << 17)
def _term(token: str) -> str | None:
    """Possessive, stop words, stem; None for a stop word."""
    if owner := _POSSESSIVE.fullmatch(token):
        token = owner[1]
    return None if token in STOP_WORDS else stem(token)
