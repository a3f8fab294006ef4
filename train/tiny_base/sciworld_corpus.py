"""ScienceWorld episodes for the tiny base's text: expert trajectories of train variations, retold.

The simulator is too slow to play without end, so recorded trajectories are varied: colours, the letters of unknown
substances and what the task is about get other names, temperatures are moved together with the limit that they are
compared with, and now and then something impossible is tried first. Other names have to be copied, not remembered.
"""

import random
import re
from dataclasses import replace

from eval_agent.rules.sciworld import state_knowledge_in, task_knowledge, thought_in
from eval_agent.rules.sciworld_state import SciWorldState, parse_task
from eval_agent.trajectories.format import Step, steps_of
from train.tiny_base.corpus import Corpus, Turn

UNKNOWN = "No known action matches that input."  # the simulator's answer to what is not there
_COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "violet", "black")
_COLOUR = re.compile(rf"\b({'|'.join(_COLOURS)})(?= (?:box|wire|light bulb)\b)")
_LETTER = re.compile(r"(?<=unknown substance )[A-Z]\b")
# what a task is about, where it could be anything: "orange juice", "aluminum foil", "wolf"
_ABOUT = re.compile(
    r"\b(?:boil|state of matter of|freeze|melt|melting point of|temperature of|determine if|grow an?|life stages of the) "
    r"([a-z][\w ()]*?)(?= plant\b| is electrically|[.,])"
)
_KEPT = ("water", "ice", "unknown substance")  # there are ways for these alone, or they have names of their own
_OTHER_THING = r"(?! (?:box|wire|light bulb|paint|cup)\b)"  # an orange box is no orange
_WORD = re.compile(r"\b[a-z]{3,}\b")
_DEGREES = re.compile(r"(?<![\d.])-?\d+(?=(?:\.0)? degrees celsius)")
_ERRING = 0.4  # share of episodes with wrong turns
_ERROR = 0.12  # chance per step there that one begins
_KNOWN = 0.5  # share of new names that another task has; of the others, of those whose words are seen somewhere
_FURTHEST = 150  # degrees
_TRUE = 0.6  # share of task knowledge for the agent that is of this very episode, not of one of the same type


class SciWorldCorpus(Corpus):
    """Draws episodes from ``records``, trajectories in ETO's form whose id is ``<task number>_<variation>``."""

    def __init__(self, records: list[dict], agent_instruction: str, world_model_instruction: str):
        super().__init__(agent_instruction, world_model_instruction)
        self.episodes: dict[str, list[list[Step]]] = {}
        for record in records:
            kind = record["id"].partition("_")[0]
            self.episodes.setdefault(kind, []).append(steps_of(record, f"trajectory {record['id']}"))
        # as much text of each task type: a short episode is drawn more often than a long one
        self.weights = [1 / _mean_length(runs) for runs in self.episodes.values()]
        steps = [step for runs in self.episodes.values() for run in runs for step in run]
        self.things = sorted({thing for runs in self.episodes.values() for run in runs if (thing := _about(run))})
        self.words = sorted({word for step in steps for word in _WORD.findall(step.observation)})
        self.picked = sorted({step.action for step in steps if step.action.startswith(("pick up", "open ", "move "))})

    def episode(self, rng: random.Random, informed: bool, as_world_model: bool) -> tuple[str, str, list[Turn]]:
        kind = rng.choices(list(self.episodes), self.weights)[0]
        steps, other = rng.choice(self.episodes[kind]), rng.choice(self.episodes[kind])
        true = as_world_model or rng.random() < _TRUE
        source = steps if true else _retold(other, steps[0].observation)
        rename = self._renaming(steps, rng)
        knowledge = rename(task_knowledge(source, rng.choice(self.episodes[kind])))
        task = rename(steps[0].observation)
        actions = [rename(step.action) for step in steps]
        seen = [rename(step.observation) for step in steps[1:]] + [""]  # nothing is said to the last action
        return task, knowledge, list(self._turns(task, list(zip(actions, seen)), rng))

    def _renaming(self, steps: list[Step], rng: random.Random):
        """As :func:`_renaming`; the thing that the task is about gets another name, too, and temperatures move."""
        exchange, move, thing = _renaming(rng), _moving(steps[0].observation, rng), _about(steps)
        if thing is None:
            return lambda text: move(exchange(text))
        words = self.words if rng.random() < _KNOWN else [_invented(rng) for _ in range(2)]
        name = rng.choice(self.things) if rng.random() < _KNOWN else " ".join(rng.sample(words, rng.choice((1, 2))))
        named = re.compile(rf"\b{re.escape(thing)}\b{_OTHER_THING}")
        return lambda text: move(exchange(named.sub(name, text)))

    def _turns(self, task: str, run: list[tuple[str, str]], rng: random.Random):
        state, seen_so_far = SciWorldState(parse_task(task)), task
        error = _ERROR if rng.random() < _ERRING else 0.0
        for action, observation in run:
            while rng.random() < error:
                wrong = rng.choice(self.picked)
                if wrong.split()[-1] not in seen_so_far:
                    yield _turn(state, task, wrong, UNKNOWN, learn=False)
            yield _turn(state, task, action, observation, learn=True)
            seen_so_far += observation


def _turn(state: SciWorldState, task: str, action: str, observation: str, learn: bool) -> Turn:
    """The turn, told from ``state``, which then takes in what the action brought."""
    reply = f"Thought: {thought_in(state, task, action)}\nAction: {action}"
    turn = Turn(state_knowledge_in(state), reply, observation, learn)
    state.update(action, observation)
    return turn


def _mean_length(runs: list[list[Step]]) -> float:
    return sum(len(step.observation) + len(step.reply) for run in runs for step in run) / len(runs)


def _retold(steps: list[Step], task: str) -> list[Step]:
    return [replace(steps[0], observation=task), *steps[1:]]


def _about(steps: list[Step]) -> str | None:
    """What the task is about, where another thing could stand in its place."""
    found = _ABOUT.search(steps[0].observation)
    return found[1] if found and not found[1].startswith(_KEPT) else None


def _invented(rng: random.Random) -> str:
    """A word that there is not, cut into several pieces as many a substance is."""
    return "".join(rng.choice("bcdfghlmnprstvz") + rng.choice("aeiou") + rng.choice(("", "", "l", "n", "r", "st"))
                   for _ in range(rng.choice((1, 2, 3))))


def _moving(task: str, rng: random.Random):
    """Moves all temperatures alike, where the task compares one with a limit."""
    if " degrees celsius" not in task:
        return lambda text: text
    by = rng.randrange(-_FURTHEST, _FURTHEST + 1)
    return lambda text: _DEGREES.sub(lambda found: str(int(found[0]) + by), text)


def _renaming(rng: random.Random):
    """Exchanges the colours of boxes, wires and bulbs, and the letters of unknown substances; paint stays paint."""
    colours = dict(zip(_COLOURS, rng.sample(_COLOURS, len(_COLOURS))))
    letters = [chr(ord("A") + number) for number in range(26)]
    mixed = dict(zip(letters, rng.sample(letters, len(letters))))

    def rename(text: str) -> str:
        text = _COLOUR.sub(lambda found: colours[found[1]], text)
        return _LETTER.sub(lambda found: mixed[found[0]], text)

    return rename
