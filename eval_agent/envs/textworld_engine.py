"""TextWorld's PDDL engine for one ALFWorld game at a time, without the work that nobody asks for.

What takes the time of a reset is Fast Downward's translation of the game, which TextWorld does four times:
for ``load`` and for ``reset``, each time for the state and once more, optimised, for a planner that is never
asked. Here a game is translated once and kept on disk, some 40 kB of compressed JSON in ``wkm/games`` of
``$XDG_CACHE_HOME`` or ``~/.cache``; and its grammar, which differs from other games' in the task's words, is
parsed once in a process. What takes the time of a step is parsing the same grammar strings again, and deep
copies of values that never change. The replacements below give the same texts
(tests/eval_agent/envs/test_textworld_engine.py).
"""

import copy
import functools
import gzip
import json
import re
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import fast_downward
import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
from fast_downward.translate import pddl
from textworld.envs import PddlEnv
from textworld.envs.pddl import logic as pddl_logic
from textworld.envs.pddl import textgen
from textworld.logic import Rule

from eval_agent.errors import InputError
from eval_agent.files import cache_folder, cache_key, file_digest, write_bytes

_TASK = re.compile(r'"task": \[\s*\{\s*"rhs": "([^"\\]*)"\s*\}\s*\]')  # in a grammar, no escapes in it
Problem = pddl.Task | SimpleNamespace  # the namespace has of a Task what TextWorld reads of it


def new_engine():
    """An engine whose ``load(game_file)``, ``reset()`` and ``step(command)`` are TextWorld's.

    States carry "feedback", "won", "admissible_commands" and, for the expert, "facts".
    """
    _share_repeated_work()
    return AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True, facts=True)))


def read_game(game_file: str) -> dict:
    """The game's data as its file holds them. Raises InputError for a file that is no game."""
    try:
        with open(game_file, encoding="utf-8") as file:
            game = json.load(file)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{game_file}: cannot be read as a game ({error})") from None
    if not isinstance(game, dict):
        raise InputError(f"{game_file}: is no game: expected an object, found {type(game).__name__}")
    missing = [key for key in ("pddl_domain", "grammar", "pddl_problem") if key not in game]
    if missing:
        raise InputError(f'{game_file}: is no game: field "{missing[0]}" is missing')
    return game


@functools.cache
def _share_repeated_work() -> None:
    translate = functools.lru_cache(maxsize=1)(_kept_on_disk(fast_downward.pddl2sas))

    def pddl2sas(domain, problem, verbose=False, optimize=False):
        return translate(domain, problem)

    parse_text = functools.lru_cache(maxsize=4096)(textgen._parse_and_convert)

    def parse_and_convert(text, rule_name="symbols", trace=False):
        return copy.deepcopy(parse_text(text, rule_name=rule_name))

    def copy_context(context):
        return {**context, "variables": dict(context["variables"]), "mapping": dict(context["mapping"])}

    fast_downward.pddl2sas = pddl2sas
    textgen._parse_and_convert = parse_and_convert
    textgen.copy_context = copy_context
    Rule.parse_conjunctive_query = functools.lru_cache(maxsize=4096)(Rule.parse_conjunctive_query)
    pddl_logic._parse_and_convert = _shared_by_games(pddl_logic._parse_and_convert)


def _shared_by_games(parse: Callable) -> Callable:
    """``parse`` of grammars, where those that differ in the task's words only are parsed once."""
    parse_once = functools.lru_cache(maxsize=8)(parse)

    def parse_grammar(text: str, rule_name: str) -> tuple[dict, textgen.ContextSensitiveGrammar]:
        task = _TASK.search(text)
        if task is None:
            return parse_once(text, rule_name=rule_name)
        actions, others = parse_once(f"{text[:task.start(1)]}TASK{text[task.end(1):]}", rule_name=rule_name)
        grammar = textgen.ContextSensitiveGrammar()
        grammar.update(others)
        words = textgen._parse_and_convert(task[1], rule_name="symbols")
        grammar._rules["task"] = [textgen.ProductionRule("task", words, weight=1, condition="")]
        return actions, grammar

    return parse_grammar


def games_cache() -> Path | None:
    """Where translations are kept; None, with a warning, where there can be no such place: games start more slowly."""
    return cache_folder("games")


def _kept_on_disk(translate: Callable[[str, str], tuple[Problem, str]]) -> Callable:
    """``translate`` with each answer kept in the user's cache, if that can be written."""
    folder = games_cache()
    if folder is None:
        return translate
    versions = [version("textworld"), version("fast_downward_textworld")]
    source = file_digest(__file__)  # of the form in which it is kept

    def read_or_translate(domain: str, problem: str) -> tuple[Problem, str]:
        key = cache_key(domain=domain, problem=problem, versions=versions, source=source)
        file = folder / f"{key}.json.gz"
        try:
            return _from_json(json.loads(gzip.decompress(file.read_bytes())))
        except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError):
            pass  # there is none, it is broken, or it is something else
        kept = _to_json(*translate(domain, problem))
        try:
            write_bytes(file, gzip.compress(json.dumps(kept).encode(), compresslevel=6, mtime=0))
        except OSError:
            pass  # the disk is full, say: it is translated anew the next time
        return _from_json(kept)

    return read_or_translate


def _to_json(problem: Problem, sas: str) -> dict:
    """The planner's text, and of the parsed problem what TextWorld's PddlState reads of it."""
    return {
        "sas": sas,
        "types": [[type_.name, type_.supertype_names] for type_ in problem.types],
        "objects": [_words(thing) for thing in problem.objects],
        "actions": [[action.name, [_words(own) for own in action.parameters]] for action in problem.actions],
        "init": [_words(fact) for fact in problem.init],
    }


def _from_json(kept: dict) -> tuple[Problem, str]:
    """What :func:`_to_json` was made of. Raises ValueError, TypeError or KeyError for anything else."""
    problem = SimpleNamespace(
        types=[SimpleNamespace(name=name, supertype_names=above) for name, above in kept["types"]],
        objects=[pddl.TypedObject(*words) for words in kept["objects"]],
        actions=[
            SimpleNamespace(name=name, parameters=[pddl.TypedObject(*words) for words in parameters])
            for name, parameters in kept["actions"]
        ],
        init=[_fact(*words) for words in kept["init"]],
    )
    return problem, kept["sas"]


def _words(part: pddl.TypedObject | pddl.Atom | pddl.Assign) -> list:
    """[name, type] of an object or parameter, [predicate, arguments], or [function, arguments, number]."""
    if isinstance(part, pddl.TypedObject):
        return [part.name, part.type_name]
    if isinstance(part, pddl.Atom):
        return [part.predicate, part.args]
    return [part.fluent.symbol, part.fluent.args, part.expression.value]


def _fact(name: str, arguments: list[str], number: int | None = None) -> pddl.Atom | pddl.Assign:
    if number is None:
        return pddl.Atom(name, arguments)
    return pddl.Assign(pddl.PrimitiveNumericExpression(name, arguments), pddl.NumericConstant(number))
