"""Expert actions for ScienceWorld: the simulator's gold path, shortened to what the step limits allow.

Gold paths walk from door to door, measure again and again, try what is broken, and know things that they have
not looked at. With "easy" there is a shorter way for most of it. What a cut changes (a plant has less time to
grow) only the simulator can tell, so one way after the other is played until one reaches the full score.
"""

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from eval_agent.envs.base import ExpertFailed
from eval_agent.knowledge.laboratory import impossible

Row = tuple[str, str]  # action, observation
_GO = re.compile(r"go to (.+)")
_ON_THE_WAY = re.compile(r"open door to ")
_NOTHING_DONE = re.compile(r"already (?:open|closed|activated|deactivated)|appears broken")
_TELEPORT = "teleport to "
_MEASURE = "use thermometer"
_MOMENTS = 5  # wait1's, or measurements with an examination each, that take as long as one wait


def expert_actions(
    replay: Callable[[list[str]], tuple[list[Row], float]], gold: list[str], max_steps: int
) -> list[str]:
    """Actions that reach the full score in at most ``max_steps`` steps.

    ``replay(actions)`` plays them from the start until the episode ends: what was done and seen, and the best
    score in [0, 1]. The last actions may not be needed. Raises ExpertFailed where no way works.
    """
    rows, score = replay(gold)
    if score < 1.0:
        raise ExpertFailed(f"the gold path reaches {score:.2f} only")
    # what the path would have gone on with: another time the same actions may have their effect later
    spare = [(action, "") for action in gold[len(rows):]]
    for actions in shorter_ways(rows + spare):
        _, score = replay(actions[:max_steps])
        if score == 1.0:
            return actions
    raise ExpertFailed(f"no way of at most {max_steps} steps (the gold path has {len(rows)})")


def shorter_ways(gold: list[Row]) -> Iterator[list[str]]:
    """Ways to do what the ``gold`` path does, the best for a reader first and the path itself last."""
    looked = _without_needless_looks(_without_what_fails(gold))
    short = _teleported([action for action in looked if not action.startswith("examine ")])
    yield _with_looks(_waited(short))
    yield _waited(short)
    yield _with_looks(short)
    yield short
    yield _teleported(looked)
    yield _teleported([action for action, _ in gold])
    yield [action for action, _ in gold]


def _without_what_fails(rows: list[Row]) -> list[Row]:
    return [(action, seen) for action, seen in rows if not impossible(seen) and not _NOTHING_DONE.search(seen)]


def _without_needless_looks(rows: list[Row]) -> list[str]:
    """One look at each room, the looks after a wait, and no second ``pick up`` of what was picked up just now."""
    kept, looked_at, room = [], set(), ""
    for action, _ in rows:
        if found := _GO.fullmatch(action):
            room = found[1]
        if action == "look around":
            waited = kept and kept[-1].startswith("wait")
            if room in looked_at and not waited:
                continue
            looked_at.add(room)
        if kept and action == kept[-1] and action.startswith("pick up"):
            continue
        kept.append(action)
    return kept


def _waited(actions: list[str]) -> list[str]:
    """Runs of wait1 and of measurements with a wait in place of every five of them."""
    kept = []
    for kind, group in groupby(actions, _kind):
        run = list(group)
        if kind == "wait1":
            waits, rest = divmod(len(run), _MOMENTS)
            kept += ["wait"] * waits + run[:rest]
        elif kind == _MEASURE:
            kept.append(run[0])
            for end in range(_MOMENTS, len(run) - 1 + _MOMENTS, _MOMENTS):
                kept += ["wait", run[min(end, len(run) - 1)]]
        else:
            kept += run
    return kept


def _kind(action: str) -> str:
    return _MEASURE if action.startswith(_MEASURE) else action


def _teleported(actions: list[str]) -> list[str]:
    """Walks from door to door as one teleport each; "put down" for its other name "drop"."""
    kept, target = [], None
    for action in actions:
        if found := _GO.fullmatch(action):
            target = found[1]
        elif not (target and _ON_THE_WAY.match(action)):
            if target:
                kept.append(_TELEPORT + target)
                target = None
            kept.append(action.replace("drop ", "put down ", 1) if action.startswith("drop ") else action)
    return kept


def _with_looks(actions: list[str]) -> list[str]:
    """A look around before the first thing is done in a room: nobody acts on what they have not seen."""
    kept, looked_at, room = [], set(), ""
    for action in actions:
        if action.startswith(_TELEPORT):
            room = action
        elif room not in looked_at:
            looked_at.add(room)
            if action != "look around":
                kept.append("look around")
        kept.append(action)
    return kept
