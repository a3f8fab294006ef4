"""The planner of the paper (Eq. 11-13) as pure functions over two distributions.

``verbs`` is A_u, the task's action set, in the config's order; that order also breaks ties. It knows nothing
of models or of the state base: scores and retrieved next actions come in, a verb goes out.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval_agent.agents.base import CandidateScore
from eval_agent.errors import InputError


@dataclass(frozen=True)
class Decision:
    """The verb of Eq. 13 and what it was chosen from; ``agent_verb`` is the agent's own choice."""

    verb: str
    agent_verb: str
    p_agent: dict[str, float]
    p_know: dict[str, float] | None
    blend: dict[str, float]


def decide(scores: Mapping[str, CandidateScore], next_actions: Sequence[str], gamma: float,
           temperature: float = 1.0) -> Decision:
    """Eq. 11-13 for one step. ``scores`` are the agent's by verb of A_u, ``next_actions`` the retrieved a_next.

    Where p_know has no weight (gamma = 1, or nothing retrieved) the verb is the agent's own. A ``temperature`` other
    than the paper's 1 flattens or sharpens p_agent. Raises InputError where gamma is not in [0, 1].
    """
    p_agent = agent_distribution(scores, temperature)
    p_know = knowledge_distribution(next_actions, list(scores))
    own = agent_choice(scores)
    verb, mixed = choose_blended(p_agent, p_know, own, gamma)
    return Decision(verb, own, p_agent, p_know, mixed)


def choose_blended(p_agent: dict[str, float], p_know: dict[str, float] | None, own: str,
                   gamma: float) -> tuple[str, dict[str, float]]:
    """The verb of Eq. 13, which is ``own`` where p_know has no weight, and the distribution it is chosen from."""
    mixed = blend(p_agent, p_know, gamma)
    return own if p_know is None or gamma == 1 else choose(mixed), mixed


def agent_choice(scores: Mapping[str, CandidateScore]) -> str:
    """The verb that the agent itself goes on with: of those with the most probable first token the likeliest."""
    return max(scores, key=lambda verb: (scores[verb].first_token_logprob, scores[verb].logprob))


def agent_distribution(scores: Mapping[str, CandidateScore], temperature: float = 1.0) -> dict[str, float]:
    """p_agent (Eq. 12): softmax over A_u of the log-probabilities (natural log) of the verbs' first tokens.

    Verbs may share a first token ("wait" and "wait1"; with some tokenizers all numbers). Its probability then counts
    once, divided among them as the probabilities of their whole strings are to each other.
    """
    sharers = by_first_token(scores)
    tokens = _softmax({token: scores[verbs[0]].first_token_logprob / temperature for token, verbs in sharers.items()})
    shares = {token: _softmax({verb: scores[verb].logprob for verb in verbs}) for token, verbs in sharers.items()}
    return {verb: tokens[score.first_token] * shares[score.first_token][verb] for verb, score in scores.items()}


def by_first_token(scores: Mapping[str, CandidateScore]) -> dict[int, list[str]]:
    """The verbs that begin with each token, in A_u's order."""
    verbs: dict[int, list[str]] = {}
    for verb, score in scores.items():
        verbs.setdefault(score.first_token, []).append(verb)
    return verbs


def _softmax(logprobs: dict) -> dict:
    top = max(logprobs.values())
    if top == -math.inf:
        return dict.fromkeys(logprobs, 1 / len(logprobs))
    weights = {key: math.exp(logprob - top) for key, logprob in logprobs.items()}
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def knowledge_distribution(next_actions: Sequence[str], verbs: Sequence[str]) -> dict[str, float] | None:
    """p_know (Eq. 11): N_alpha / N over the retrieved next actions, by verb; None where none is retrieved.

    Next actions whose verb is not in A_u cannot be chosen, so they are left out of N too: both distributions
    sum to 1 and gamma keeps its meaning.
    """
    counts = Counter(_verb_in(action, verbs) for action in next_actions)
    n = sum(counts[verb] for verb in verbs)
    return {verb: counts[verb] / n for verb in verbs} if n else None


def blend(p_agent: dict[str, float], p_know: dict[str, float] | None, gamma: float) -> dict[str, float]:
    """gamma * p_agent + (1 - gamma) * p_know (Eq. 13); p_agent alone where p_know is None.

    Raises InputError where gamma is not in [0, 1].
    """
    if not 0 <= gamma <= 1:
        raise InputError(f"gamma is {gamma}, expected a number from 0 to 1")
    if p_know is None:
        return dict(p_agent)
    return {verb: gamma * p + (1 - gamma) * p_know[verb] for verb, p in p_agent.items()}


def choose(p: dict[str, float]) -> str:
    """argmax of Eq. 13; of equally likely verbs the first one in A_u's order."""
    return max(p, key=p.__getitem__)


def _verb_in(action: str, verbs: Sequence[str]) -> str | None:
    """The longest verb of A_u that ``action`` begins with ("pick up" before "pick"), or None."""
    fitting = [verb for verb in verbs if action == verb or action.startswith((f"{verb} ", f"{verb}["))]
    return max(fitting, key=len, default=None)
