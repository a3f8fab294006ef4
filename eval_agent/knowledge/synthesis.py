"""Task and state knowledge for a list of (chosen, rejected) pairs, from rules or from a language model."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Protocol

from eval_agent.errors import InputError
from eval_agent.files import Journal, cache_key
from eval_agent.progress import tqdm
from eval_agent.rules import BENCHMARKS
from eval_agent.trajectories.format import Step, checked_steps, expert_of, pair_member, turn_index

TASKS = tuple(BENCHMARKS)
GENS = ("task_knowledge", "state_knowledge")
BY_RULE = "rules"  # the model name of the offline stand-in


class NoKnowledge(Exception):
    """The model gave no usable answer for this one request; the message says why."""


class Synthesizer(Protocol):
    """``malformed`` counts the answers that had to be asked for again; threads share a synthesizer."""

    malformed: int

    def identity(self, gen: str) -> dict:
        """All that an answer depends on beside the request, as JSON: it is kept under this."""

    def task_knowledge(self, chosen: list[Step], rejected: list[Step]) -> str:
        """``rejected`` is empty where knowledge comes from the expert alone."""

    def state_knowledge(self, task: str, history: list[tuple[str, str]]) -> str: ...


@dataclass(frozen=True)
class Request:
    """One piece of knowledge to make, and the object of the output that receives it."""

    target: dict  # the pair, or a human turn of its chosen trajectory
    where: str
    arguments: tuple  # of the synthesizer's method


@dataclass
class Knowledge:
    """What came out: the complete pairs in the input's order, and the records that stayed without."""

    pairs: list[dict]
    made: int = 0  # answers asked for now
    kept: int = 0  # answers taken from the journal
    rejects: list[dict] = field(default_factory=list)  # {"record", "where", "reason"}


def load_synthesizer(
    task: str, model_name: str, api_base: str, temperature: float | None, max_attempts: int, timeout: float
) -> Synthesizer:
    """The rules for ``model_name`` "rules", else the model of that name at ``api_base``.

    Raises InputError for an unknown task, or a model that is not served.
    """
    if task not in TASKS:
        raise InputError(f'unknown task "{task}", expected one of {", ".join(TASKS)}')
    if model_name == BY_RULE:
        return BENCHMARKS[task]
    from eval_agent.knowledge.llm import LLMSynthesizer

    return LLMSynthesizer(task, model_name, api_base, temperature, max_attempts, timeout)


def check_pairs(pairs: list[dict], gen: str, source: str, expert_only: bool = False) -> None:
    """Raises InputError naming file, record and field of the first fault that ``gen`` would stumble over."""
    if gen not in GENS:
        raise InputError(f'unknown --gen "{gen}", expected one of {", ".join(GENS)}')
    for index, pair in enumerate(pairs):
        _requests(pair, gen, f"{source}: record {index}", expert_only)


def add_knowledge(
    pairs: list[dict], gen: str, synthesizer: Synthesizer, journal: Journal, source: str,
    concurrency: int = 1, expert_only: bool = False, give_up_after: int = 50,
) -> Knowledge:
    """Copies of ``pairs`` with ``task_knowledge`` each, or ``state_knowledge`` on chosen's answered turns.

    ``concurrency`` records are worked on at once; the steps of one trajectory are asked for in their order.
    ``expert_only`` shows no rejected trajectory (the ablation "w/o rejected").
    Answers that the journal has of the same synthesizer for the same request are not made again. Raises
    InputError where going on makes no sense: the endpoint is gone, or ``give_up_after`` records in a row stayed
    without knowledge.
    """
    pairs = copy.deepcopy(pairs)
    units = [_requests(pair, gen, f"{source}: record {index}", expert_only) for index, pair in enumerate(pairs)]
    result, in_a_row, last = Knowledge([]), 0, ""
    made_by = synthesizer.identity(gen)
    pool = ThreadPoolExecutor(concurrency)
    bar = tqdm(total=sum(map(len, units)), desc=gen.replace("_", " "), unit="answer")
    try:
        futures = {pool.submit(_answer_all, unit, gen, synthesizer, made_by, journal): index for index, unit in enumerate(units)}
        for future in as_completed(futures):
            index = futures[future]
            bar.update(len(units[index]))
            made, failed = future.result()
            result.made += sum(made)
            result.kept += len(made) - sum(made)
            if failed is None:
                in_a_row = 0
            else:
                result.rejects.append({"record": index, "where": failed.where, "reason": failed.reason})
                in_a_row, last = in_a_row + 1, str(failed)
                bar.set_postfix(rejected=len(result.rejects))
            if in_a_row == give_up_after:
                raise InputError(
                    f"{in_a_row} records in a row stayed without knowledge (--give_up_after), the last one: {last}"
                )
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()
    result.rejects.sort(key=lambda reject: reject["record"])
    rejected = {reject["record"] for reject in result.rejects}
    result.pairs = [pair for index, pair in enumerate(pairs) if index not in rejected]
    return result


class _Failed(Exception):
    """A record stays without knowledge."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"{where}: {reason}")
        self.where, self.reason = where, reason


def _answer_all(unit: list[Request], *how) -> tuple[list[bool], _Failed | None]:
    """Of each answer that a record got whether it was made now, and why it did not get the next one."""
    made = []
    try:
        for request in unit:
            made.append(_answer(request, *how))
    except _Failed as failed:
        return made, failed
    return made, None


def _answer(request: Request, gen: str, synthesizer: Synthesizer, made_by: dict, journal: Journal) -> bool:
    """Give the request's target its knowledge; whether it was made now. Raises _Failed, InputError."""
    arguments = [_plain(argument) for argument in request.arguments]
    key = cache_key(gen=gen, made_by=made_by, arguments=arguments)
    knowledge = journal.get(key)
    made = knowledge is None
    if made:
        try:
            knowledge = getattr(synthesizer, gen)(*request.arguments)
        except NoKnowledge as fault:
            raise _Failed(request.where, str(fault)) from None
        except InputError as error:
            raise InputError(f"{request.where}: {error}") from None
        journal.add(key, knowledge)
    request.target[gen] = knowledge
    return made


def _requests(pair: dict, gen: str, where: str, expert_only: bool) -> list[Request]:
    if gen == "task_knowledge" and not expert_only:
        chosen, place = pair_member(pair, "chosen", where), f"{where}: chosen"
    else:  # also of a trajectory alone
        chosen, place = expert_of(pair, where)
    steps = checked_steps(chosen, place)
    if gen == "state_knowledge":
        return list(_state_requests(chosen, steps, place))
    rejected = []
    if not expert_only:
        rejected = checked_steps(pair_member(pair, "rejected", where), f"{where}: rejected")
    return [Request(pair, where, (steps, rejected))]


def _state_requests(chosen: dict, steps: list[Step], where: str) -> Iterator[Request]:
    """One per answered turn: what is known before its answer (the task turn included)."""
    history: list[tuple[str, str]] = []
    for number, step in enumerate(steps):
        if number:
            history.append((steps[number - 1].action, step.observation))
        turn = turn_index(chosen, number, where)
        target = chosen["conversations"][turn]
        yield Request(target, f"{where}: conversations[{turn}]", (steps[0].observation, list(history)))


def _plain(argument: str | list) -> str | list:
    """A request's argument as JSON has it. State knowledge of a step is no part: no synthesizer reads it."""
    if isinstance(argument, str):
        return argument
    return [
        [part.observation, part.reply, part.action] if isinstance(part, Step) else part for part in argument
    ]
