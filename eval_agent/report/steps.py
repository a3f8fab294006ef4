"""An episode as its steps: what was seen, thought and done, what the world model knew, what the planner decided.

Results of all methods and ages are read: what a method has not, or older results do not tell, is None or empty.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, FiniteFloat

from eval_agent.envs.sciworld import impossible
from eval_agent.episode import NO_ACTION
from eval_agent.errors import InputError
from eval_agent.fields import validate
from eval_agent.knowledge.gammas import agent_verb, decided_at
from eval_agent.tasks.alfworld import NOTHING
from eval_agent.trajectories.format import OBSERVATION, task_turns
from eval_agent.trajectories.reply import action_of, thought_of

_TASK_KNOWLEDGE = "\nTask Knowledge:"  # of a text that is given to all games, else the world model's words are known


class _Turn(BaseModel):
    value: str


class _Decision(BaseModel):
    step: int
    verb: str
    pre_action: str | None = None
    state_knowledge: str | None = None
    p_agent: dict[str, FiniteFloat] | None = None
    p_know: dict[str, FiniteFloat] | None = None
    blend: dict[str, FiniteFloat] | None = None
    n_neighbours: int = 0
    next_actions: dict[str, int] = {}
    agent_verb: str | None = None


class _Meta(BaseModel):
    reward: FiniteFloat


class _Episode(BaseModel):
    meta: _Meta
    conversations: list[_Turn] = []
    world_model_conversations: list[_Turn] = []
    decisions: list[_Decision] = []
    invalid_steps: list[int] | None = None


@dataclass(frozen=True)
class Opening:
    """What stands before the first step."""

    task: str
    task_knowledge: str | None
    read_by_agent: bool  # whether the task knowledge joined the agent's prompt


@dataclass(frozen=True)
class Step:
    """One reply and what it answers."""

    number: int  # from 0, as the decisions count
    observation: str  # before the reply; at step 0 the task
    thought: str
    action: str | None
    invalid: bool | None  # None where it is not told
    decision: dict  # as stored, {} where there is none


def check(episode: dict, where: str | Path) -> None:
    """Raise InputError naming the field of an ``episode`` that is of another type than expected here."""
    validate(_Episode, episode, where)
    if episode.get("conversations"):
        task_turns(episode, str(where))
    for number, made in enumerate(episode.get("decisions") or []):
        p_agent, p_know = made.get("p_agent"), made.get("p_know")
        if p_agent and p_know and p_agent.keys() != p_know.keys():
            raise InputError(f"{where}: decisions[{number}].p_know has other verbs than p_agent, expected the same A_u")


def opening(episode: dict) -> Opening:
    """The task, and the task knowledge that the agent read or, where it read none, the world model wrote."""
    turns = _turns(episode)
    text = turns[0].strip() if turns else ""
    world = episode.get("world_model_conversations") or []
    written = world[3]["value"].strip() if len(world) > 3 else None
    if written and f"\n{written}" in text:
        return Opening(text.replace(f"\n{written}", "", 1), written, True)
    task, given, knowledge = text.partition(_TASK_KNOWLEDGE)
    if given:
        return Opening(task, given.strip() + knowledge, True)
    return Opening(text, written, False)


def steps(episode: dict) -> list[Step]:
    """The replies of an episode in their order, each with what it answers."""
    turns, decisions = _turns(episode), {one["step"]: one for one in episode.get("decisions") or []}
    seen = [opening(episode).task, *(turn.removeprefix(OBSERVATION.strip()).strip() for turn in turns[2::2])]
    replies, invalid = turns[1::2], _invalid_steps(episode, seen)
    return [
        Step(number, seen[number], _thought(reply), action_of(reply), None if invalid is None else number in invalid,
             decisions.get(number, {}))
        for number, reply in enumerate(replies)
    ]  # fmt: skip


def last_observation(episode: dict) -> str:
    """What the last action brought; "" where no reply was played to its end."""
    turns = _turns(episode)
    return turns[-1].removeprefix(OBSERVATION.strip()).strip() if len(turns) > 1 and len(turns) % 2 else ""


def planned(episode: dict) -> list[dict]:
    """The decisions of an episode that the planner made; the others are the agent's alone."""
    return [decision for decision in episode.get("decisions") or [] if decision["p_agent"]]


def overruled(decision: dict) -> bool:
    """Whether the chosen verb is another than the agent's own."""
    return decision["verb"] != agent_verb(decision)


def overruled_at(decision: dict, gamma: float) -> bool:
    """:func:`overruled`, had Eq. 13 been asked at ``gamma``."""
    return decided_at(decision, gamma)[0] != agent_verb(decision)


def gamma_of(episode: dict) -> float | None:
    """The gamma that the episode was played with, from a stored blend; None where no decision tells."""
    for decision in planned(episode):
        p_agent, p_know, mixed = decision["p_agent"], decision["p_know"] or decision["p_agent"], decision.get("blend")
        verb = max(p_agent, key=lambda verb: abs(p_agent[verb] - p_know[verb]))
        if mixed and abs(p_agent[verb] - p_know[verb]) > 1e-3:
            return round((mixed[verb] - p_know[verb]) / (p_agent[verb] - p_know[verb]), 6) + 0.0
    return None


def _turns(episode: dict) -> list[str]:
    """The agent's dialogue from the task on."""
    return [turn["value"] for turn in task_turns(episode, "")] if episode.get("conversations") else []


def _thought(reply: str) -> str:
    return thought_of(reply).removeprefix("Thought:").strip()


def _invalid_steps(episode: dict, seen: list[str]) -> set[int] | None:
    """The steps whose action was refused; of older results what the env answered tells, if as many as were counted."""
    if episode.get("invalid_steps") is not None:
        return set(episode["invalid_steps"])
    refused = {step for step, answer in enumerate(seen[1:]) if answer in (NOTHING, NO_ACTION) or impossible(answer)}
    return refused if len(refused) == episode["meta"]["invalid_actions"] else None
