"""The planner of the paper (Eq. 11-13) as pure functions over two distributions.

``verbs`` is A_u, the task's action set, in the config's order; that order also breaks ties. It knows nothing
of models or of the state base: scores and retrieved next actions come in, a verb goes out.
"""

import math
from collections import Counter
from collections.abc import Sequence

from eval_agent.errors import InputError


def agent_distribution(scores: dict[str, float]) -> dict[str, float]:
    """p_agent (Eq. 12): softmax over A_u of the agent's log-probabilities (natural log) by verb.

    With first-token scores, verbs that share their first token have equal scores and get equal p_agent; the
    token's mass is not divided among them. So with gamma = 1 the verb always has the most probable first
    token, and in the blend p_know decides among the sharers. Whole-verb scores tell them apart.
    """
    top = max(scores.values())
    if top == -math.inf:
        return dict.fromkeys(scores, 1 / len(scores))
    weights = {verb: math.exp(score - top) for verb, score in scores.items()}
    total = sum(weights.values())
    return {verb: weight / total for verb, weight in weights.items()}


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
