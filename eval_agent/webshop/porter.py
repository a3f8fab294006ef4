"""Porter's stemmer, the variant that Lucene has: "bli" -> "ble", "logi" -> "log", words of one or two letters stay.

Whatever is not a vowel counts as a consonant, digits and apostrophes too. Of each step's suffixes the first that fits
decides, whether or not its stem is long enough.
"""

import re

_VOWELS = "aeiou"
# step 2 and 3: suffix -> replacement, where the stem before it has a vowel and then a consonant
_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "logi": "log",
}
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "sion", "tion", "ou", "ism",
    "ate", "iti", "ous", "ive", "ize",
)


def _ending(suffixes) -> re.Pattern:
    """Finds the longest of ``suffixes`` that a word ends in."""
    return re.compile(f"(?:{'|'.join(sorted(suffixes, key=len, reverse=True))})$")


_ENDS_2, _ENDS_3, _ENDS_4 = map(_ending, (_STEP_2, _STEP_3, _STEP_4))


def _shape(word: str) -> str:
    """Each letter as v or c; y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        vowel = letter in _VOWELS or (letter == "y" and shape[-1:] == "c")
        shape += "v" if vowel else "c"
    return shape


def _measure(stem: str) -> int:
    """m of the paper: how often a consonant follows a vowel."""
    return _shape(stem).count("vc")


def _doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word)[-1] == "c"


def _short_end(word: str) -> bool:
    """Consonant, vowel, consonant at the end, the last one not w, x or y."""
    return _shape(word)[-3:] == "cvc" and word[-1] not in "wxy"


def stem(word: str) -> str:
    """The stem of a lower-case word."""
    if len(word) <= 2:
        return word
    word = _past(_plural(word))
    if word[-1] == "y" and "v" in _shape(word[:-1]):
        word = word[:-1] + "i"
    word = _replaced(word, _ENDS_2, _STEP_2)
    word = _replaced(word, _ENDS_3, _STEP_3)
    return _last_letters(_without_suffix(word))


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word[-1] == "s" and word[-2] != "s" else word


def _past(word: str) -> str:
    """Without -ed and -ing, and what is left made a word again."""
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    rest = next((word[:-len(end)] for end in ("ed", "ing") if word.endswith(end)), None)
    if rest is None or "v" not in _shape(rest):
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if _doubled(rest):
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if _measure(rest) == 1 and _short_end(rest) else rest


def _replaced(word: str, ends: re.Pattern, by: dict[str, str]) -> str:
    found = ends.search(word)
    if not found or _measure(word[:found.start()]) == 0:
        return word
    return word[:found.start()] + by[found[0]]


def _without_suffix(word: str) -> str:
    found = _ENDS_4.search(word)
    if not found:
        return word
    kept = 1 if found[0] in ("sion", "tion") else 0
    rest = word[:found.start() + kept]
    return rest if _measure(rest) > 1 else word


def _last_letters(word: str) -> str:
    measure = _measure(word)
    if word[-1] == "e" and (measure > 1 or (measure == 1 and not _short_end(word[:-1]))):
        word = word[:-1]
    return word[:-1] if word.endswith("ll") and measure > 1 else word
