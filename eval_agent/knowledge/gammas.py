"""What another gamma makes of recorded decisions, and which episodes it would have played just so.

Gamma acts through the verb of Eq. 13 alone, and a decision keeps both distributions. Where another gamma gives the
same verb at every step, and models answer the same prompt with the same text, the whole episode is the same.
"""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

from eval_agent.files import read_json
from eval_agent.knowledge import planner
from eval_agent.trajectories.episodes import RUN, episode_path, read_episode


def agent_verb(decision: dict) -> str:
    """What the agent would have gone on with; episodes from before it was recorded have the most probable verb."""
    return decision.get("agent_verb") or planner.choose(decision["p_agent"])


def decided_at(decision: dict, gamma: float) -> tuple[str, dict[str, float]]:
    """The verb of a planned decision, had Eq. 13 been asked at ``gamma``, and the blend."""
    return planner.choose_blended(decision["p_agent"], decision["p_know"], agent_verb(decision), gamma)


def shared_episodes(folder: Path, settings: dict, task_ids: list[str]) -> dict[str, dict]:
    """Episodes of the runs beside ``folder`` that are also those of its ``settings``, by task id.

    Each has in "taken_from" of its "meta" the folder where it was played, and the blends of this gamma.
    """
    found: dict[str, dict] = {}
    gamma = settings["task_config"]["planner"]["gamma"]
    for other in _runs_beside(folder, settings):
        for task_id in task_ids:
            path = episode_path(other, task_id)
            if task_id in found or not path.exists():
                continue
            episode = read_episode(path)
            shared = _with_gamma(episode, gamma) if episode["meta"]["finished"] else None
            if shared:
                shared["meta"].setdefault("taken_from", str(other))
                found[task_id] = shared
    return found


def _runs_beside(folder: Path, settings: dict) -> Iterator[Path]:
    """Folders of the same agent model and split whose settings differ in gamma and in nothing else."""
    for path in sorted(folder.parent.parent.glob(f"*/{folder.name}/{RUN}")):
        if path.parent != folder and _without_gamma(read_json(path)) == _without_gamma(settings):
            yield path.parent


def _without_gamma(settings: dict) -> dict:
    rest = deepcopy(settings)
    rest["task_config"].get("planner", {}).pop("gamma", None)
    return rest


def _with_gamma(episode: dict, gamma: float) -> dict | None:
    """The episode as ``gamma`` plays it; None where a verb would be another one."""
    decisions = []
    for decision in episode["decisions"]:
        if decision["p_agent"]:  # the planner's
            verb, blend = decided_at(decision, gamma)
            if verb != decision["verb"]:
                return None
            decision = decision | {"blend": blend}
        decisions.append(decision)
    return episode | {"decisions": decisions}
