"""Task and state knowledge for a list of (chosen, rejected) pairs, from rules or from a language model."""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tqdm import tqdm

from eval_agent.errors import InputError
from eval_agent.knowledge.journal import Journal
from eval_agent.knowledge.records import checked_steps, turn_index
from eval_agent.trajectory import Step, pair_member

TASKS = ("alfworld", "sciworld", "webshop")
GENS = ("task_knowledge", "state_knowledge")
RULES = "rules"
_MOST_LISTED = 20


class NoKnowledge(Exception):
    """The model gave no usable answer for this one request; the message says why."""


class Synthesizer(Protocol):
    def task_knowledge(self, chosen: list[Step], rejected: list[Step]) -> str: ...

    def state_knowledge(self, task: str, history: list[tuple[str, str]]) -> str: ...


@dataclass(frozen=True)
class Request:
    """One piece of knowledge to make, and the object of the output that receives it."""

    target: dict  # the pair, or a human turn of its chosen trajectory
    where: str
    arguments: tuple  # of the synthesizer's method


def load_synthesizer(task: str, model_name: str, api_base: str, temperature: float | None) -> Synthesizer:
    """The rules for ``model_name`` "rules", else the model of that name at ``api_base``.

    Raises InputError for an unknown task, one without rules, or a model that is not served.
    """
    check_task(task)
    if model_name == RULES:
        if task != "alfworld":
            raise InputError(f'--model_name rules knows alfworld only; for "{task}" name a served model')
        from eval_agent.knowledge import rules

        return rules
    from eval_agent.knowledge.llm import LLMSynthesizer

    return LLMSynthesizer(task, model_name, api_base, temperature)


def check_task(task: str) -> None:
    """Raises InputError naming the known tasks."""
    if task not in TASKS:
        raise InputError(f'unknown task "{task}", expected one of {", ".join(TASKS)}')


def check_pairs(pairs: list[dict], gen: str, source: str) -> None:
    """Raises InputError naming file, record and field of the first fault that ``gen`` would stumble over."""
    if gen not in GENS:
        raise InputError(f'unknown --gen "{gen}", expected one of {", ".join(GENS)}')
    for _ in _requests(pairs, gen, source):
        pass


def add_knowledge(
    pairs: list[dict], gen: str, synthesizer: Synthesizer, made_by: dict, journal: Journal, source: str
) -> tuple[list[dict], int]:
    """A copy of ``pairs`` with ``task_knowledge`` each, or ``state_knowledge`` on chosen's answered turns.

    ``made_by`` (task, model, temperature) is part of what an answer is journalled under. Gives the pairs and
    the number of answers made now, not taken from the journal. Raises InputError listing the requests that
    stayed without a usable answer, once all others are in the journal.
    """
    pairs = copy.deepcopy(pairs)
    method, made, failures = getattr(synthesizer, gen), 0, []
    for request in tqdm(list(_requests(pairs, gen, source)), desc=gen.replace("_", " "), unit="answer"):
        key = _key({"gen": gen, **made_by}, request)
        knowledge = journal.get(key)
        if knowledge is None:
            try:
                knowledge = method(*request.arguments)
            except NoKnowledge as fault:
                failures.append(f"{request.where}: {fault}")
                continue
            except InputError as error:
                raise InputError(f"{request.where}: {error}") from None
            journal.add(key, knowledge)
            made += 1
        request.target[gen] = knowledge
    if failures:
        raise InputError(_failed(failures, journal))
    return pairs, made


def _requests(pairs: list[dict], gen: str, source: str) -> Iterator[Request]:
    for index, pair in enumerate(pairs):
        where = f"{source}: record {index}"
        chosen = pair_member(pair, "chosen", where)
        steps = checked_steps(chosen, f"{where}: chosen")
        if gen == "task_knowledge":
            rejected = checked_steps(pair_member(pair, "rejected", where), f"{where}: rejected")
            yield Request(pair, where, (steps, rejected))
        else:
            yield from _state_requests(chosen, steps, f"{where}: chosen")


def _state_requests(chosen: dict, steps: list[Step], where: str) -> Iterator[Request]:
    """One per answered turn: what is known before its answer (the task turn included)."""
    history: list[tuple[str, str]] = []
    for number, step in enumerate(steps):
        if number:
            history.append((steps[number - 1].action, step.observation))
        turn = turn_index(chosen, number, where)
        target = chosen["conversations"][turn]
        yield Request(target, f"{where}: conversations[{turn}]", (steps[0].observation, list(history)))


def _key(made_by: dict, request: Request) -> str:
    arguments = json.dumps([made_by, request.arguments], default=lambda step: [step.observation, step.reply])
    return hashlib.sha256(arguments.encode()).hexdigest()


def _failed(failures: list[str], journal: Journal) -> str:
    shown = "\n  ".join(failures[:_MOST_LISTED])
    more = f"\n  and {len(failures) - _MOST_LISTED} more" if len(failures) > _MOST_LISTED else ""
    return (
        f"{len(failures)} requests stayed without knowledge, so no output was written:\n  {shown}{more}\n"
        f"The other answers are kept in {journal.path}: run the same command again to ask for these only."
    )
