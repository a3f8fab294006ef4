"""TextWorld's PDDL engine for one ALFWorld game at a time, without the work that nobody asks for.

What takes the time of a reset is Fast Downward's translation of the game, which TextWorld does four times (for
``load`` and for ``reset``, each time for the state and once more, optimised, for a planner that is never asked),
and parsing the game's grammar. Here both are done once for a game and kept on disk, about 40 kB in ``wkm/games``
of ``$XDG_CACHE_HOME`` or ``~/.cache``. What takes the time of a step is parsing the same grammar strings again,
and deep copies of values that never change. The replacements below give the same texts
(tests/eval_agent/envs/test_textworld_engine.py).
"""

import copy
import functools
import hashlib
import json
import os
import pickle
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import fast_downward
import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
from textworld.envs import PddlEnv
from textworld.envs.pddl import logic as pddl_logic
from textworld.envs.pddl import textgen
from textworld.logic import Rule

from eval_agent.errors import InputError
from eval_agent.files import write_bytes


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
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{game_file}: cannot be read as a game ({error})") from None
    missing = [key for key in ("pddl_domain", "grammar", "pddl_problem") if key not in game]
    if missing:
        raise InputError(f'{game_file}: is no game: field "{missing[0]}" is missing')
    return game


@functools.cache
def _share_repeated_work() -> None:
    translate = functools.lru_cache(maxsize=1)(_kept_on_disk(fast_downward.pddl2sas))
    parse_grammar = functools.lru_cache(maxsize=8)(_kept_on_disk(pddl_logic._parse_and_convert))

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
    pddl_logic._parse_and_convert = parse_grammar


def _kept_on_disk(function: Callable) -> Callable:
    """``function`` of texts, each answer computed once and from then on read from the user's cache.

    Raises InputError where the cache cannot be written.
    """
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_by = f"{version('textworld')}_{version('fast_downward_textworld')}"
    folder = user_cache / "wkm" / "games" / made_by / function.__name__

    @functools.wraps(function)
    def read_or_compute(*texts, **options):
        kept = folder / hashlib.sha256(json.dumps([texts, options]).encode()).hexdigest()
        if not kept.exists():
            packed = zlib.compress(pickle.dumps(function(*texts, **options)))
            try:
                write_bytes(kept, packed)
            except OSError as error:
                advice = "set XDG_CACHE_HOME to a folder that can"
                raise InputError(f"{folder}: cannot be written ({error}): {advice}") from None
        return pickle.loads(zlib.decompress(kept.read_bytes()))

    return read_or_compute
