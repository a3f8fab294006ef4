"""What the planner decided in a run: how often state knowledge overruled the agent, when, and how these games ended.

    python -m eval_agent.report.decisions outputs/quickstart/agent_model/alfworld_demo_eval/dev

Reads the finished episodes of one split's folder and prints Markdown. A decision is overruled where the chosen
verb is not the agent's own most probable one. Other values of gamma are redrawn from the stored p_agent and p_know
(Eq. 13): they hold for the states that this run came into, not for those that such a run would reach.
"""

from collections import Counter
from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.knowledge.gammas import agent_verb
from eval_agent.report.steps import overruled, overruled_at, planned
from eval_agent.report.table import grid
from eval_agent.trajectories.episodes import read_episodes

GAMMAS = [tenth / 10 for tenth in range(11)]
MOST = 10  # kinds of overruling that are listed


def to_markdown(episodes: list[dict]) -> str:
    """Three tables over finished ``episodes``: games, gammas and kinds of overruling."""
    decisions = [decision for episode in episodes for decision in planned(episode)]
    changed = sum(map(overruled, decisions))
    return "\n\n".join([
        f"{len(decisions)} decisions of the planner in {len(episodes)} finished games, {changed} overruled.",
        _games(episodes), _redrawn(decisions), _kinds(episodes),
    ])


def _games(episodes: list[dict]) -> str:
    groups: dict[bool, list[dict]] = {True: [], False: []}
    for episode in episodes:
        groups[any(map(overruled, planned(episode)))].append(episode)
    titles = {True: "overruled at least once", False: "never overruled"}
    return grid(
        ["games", "number", "won", "lost"],
        [[titles[key], len(group), _won(group), len(group) - _won(group)] for key, group in groups.items()],
    )


def _redrawn(decisions: list[dict]) -> str:
    return grid(
        ["gamma (redrawn)", "overruled", "share of the decisions"],
        [[gamma, count := sum(overruled_at(one, gamma) for one in decisions), f"{count / len(decisions):.1%}"]
         for gamma in GAMMAS],
    )


def _kinds(episodes: list[dict]) -> str:
    """By the agent's verb and the chosen one: how often, and in how many won and lost games it came first."""
    often: Counter = Counter()
    first: dict[bool, Counter] = {True: Counter(), False: Counter()}
    for episode in episodes:
        kinds = [(agent_verb(one), one["verb"]) for one in planned(episode) if overruled(one)]
        often.update(kinds)
        first[episode["meta"]["success"]].update(kinds[:1])
    return grid(
        ["agent's verb", "chosen verb", "decisions", "first in won games", "first in lost games"],
        [[*kind, count, first[True][kind], first[False][kind]] for kind, count in often.most_common(MOST)],
    )


def _won(episodes: list[dict]) -> int:
    return sum(episode["meta"]["success"] for episode in episodes)


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a split's folder of episode files")
    folder = parser.parse_args().folder
    episodes = [episode for episode in read_episodes(folder) if episode["meta"]["finished"]]
    if not any(map(planned, episodes)):
        raise InputError(f"{folder}: no finished episode with a decision of the planner")
    print(to_markdown(episodes))


if __name__ == "__main__":
    main()
