"""Where knowledge helps and where it misleads, counted in finished ALFWorld runs whose knowledge is by rule.

    OUT=outputs/tiny/alfworld EXP_CONFIG=alfworld_tiny bash scripts/explain_alfworld.sh

Prints five tables: games by whether task knowledge named a kind of place where the wanted object was (as any of the
runs found it); how often naming the room's kind of place with the most such objects in the expert trajectories would
have been right; how many states the world model wrote word for word as the rules would; how often the planner overruled
the agent directly after a failed action and else; and on the triplets, how often the most frequent next verb of the N
nearest is the expert's, a fifth of the trajectories against the others.
"""

import re
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import read_json, write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.state_base import FIRST_PRE_ACTION, StateBase, build_cache
from eval_agent.report.decisions import overruled, planned
from eval_agent.report.table import grid
from eval_agent.rules import alfworld as rules
from eval_agent.rules.alfworld_state import listed, parse_goal, type_of
from eval_agent.tasks.alfworld import NOTHING
from eval_agent.trajectories.episodes import read_episodes
from eval_agent.trajectories.format import OBSERVATION, action_verb, task_turns
from eval_agent.trajectories.reply import action_of

METHODS = ["sft", "sft_warm", "w_task", "w_state", "wkm"]
NEIGHBOURS = [1, 10, 100, 1000]
TAKE = re.compile(r"take (.+) from (.+)")


def played(out: Path, exp_config: str) -> dict[str, dict[str, dict]]:
    """Finished episodes of the seen split by method and game. Raises InputError naming the runs that are missing."""
    runs = {}
    for method in METHODS:
        for folder in out.glob(f"*/{exp_config}_{method}/dev"):
            runs[method] = {e["meta"]["task_id"]: e for e in read_episodes(folder) if e["meta"]["finished"]}
    missing = [method for method in METHODS if not runs.get(method)]
    if missing:
        raise InputError(f"{out}: no episodes of {exp_config} for {', '.join(missing)}; scripts/fig3.sh plays them")
    return runs


def history_of(episode: dict) -> tuple[str, list[tuple[str, str]]]:
    """The task as the agent read it, and its (action, observation) pairs."""
    name = episode["meta"]["task_id"] if "meta" in episode else episode["id"]  # the latter in training data
    task, *turns = [turn["value"] for turn in task_turns(episode, name)]
    pairs = zip(turns[::2], turns[1::2])
    return task, [(action_of(reply) or "", seen.removeprefix(OBSERVATION)) for reply, seen in pairs]


def places_of_the_object(episodes: list[dict]) -> set[str]:
    """Kinds of places from which a game's wanted object was taken in any of its ``episodes``."""
    found = set()
    for episode in episodes:
        task, history = history_of(episode)
        wanted = parse_goal(task).object
        taken = [(TAKE.fullmatch(action), seen) for action, seen in history]
        found |= {type_of(m[2]) for m, seen in taken if m and type_of(m[1]) == wanted and seen != NOTHING}
    return found


def named_place(episode: dict) -> str | None:
    """The kind of place that task knowledge sends the agent to for the object."""
    told = re.search(r"first look for an? .+? at the (\w+)", history_of(episode)[0])
    return told and told[1]


def usual_place(task: str, found: dict[str, Counter]) -> str | None:
    """The kind of place in the task's room with the most of the wanted objects by ``found``: object -> places."""
    in_room = dict.fromkeys(map(type_of, listed(task)))
    return max(in_room, key=lambda place: found[parse_goal(task).object][place], default=None)


def naming_table(runs: dict[str, dict[str, dict]], experts: list[dict]) -> str:
    found: defaultdict[str, Counter] = defaultdict(Counter)
    for expert in experts:
        found[parse_goal(history_of(expert)[0]).object].update(places_of_the_object([expert]))
    games = set.intersection(*map(set, runs.values()))
    right: Counter = Counter()
    for game in games:
        places = places_of_the_object([run[game] for run in runs.values()])
        right["the world model"] += named_place(runs["w_task"][game]) in places
        right["the usual place in expert trajectories"] += usual_place(
            history_of(runs["w_task"][game])[0], found) in places
    return grid(["named by", "games", "right"], [[name, len(games), n] for name, n in right.items()])


def task_knowledge_table(runs: dict[str, dict[str, dict]]) -> str:
    games = set.intersection(*map(set, runs.values()))
    groups: dict[str, list[str]] = {"right": [], "wrong": [], "not known": []}
    for game in games:
        places = places_of_the_object([run[game] for run in runs.values()])
        right = named_place(runs["w_task"][game]) in places
        groups[("right" if right else "wrong") if places else "not known"].append(game)
    rows = [
        [name, len(group), method, f"{mean(runs[method][game]['meta']['success'] for game in group):.1%}",
         f"{mean(runs[method][game]['meta']['steps'] for game in group):.1f}"]
        for name, group in groups.items() if group for method in runs
    ]
    return grid(["place named", "games", "method", "won", "average steps"], rows)


def state_knowledge_table(run: dict[str, dict]) -> str:
    """States by what the game was so far; "wrong before": the world model had written another state than the rules."""
    right, total = Counter(), Counter()
    for episode in run.values():
        task, history = history_of(episode)
        wrong_before = False
        for decision in episode["decisions"]:
            if decision["state_knowledge"]:
                before = history[:decision["step"]]
                failed = any(seen == NOTHING for _, seen in before)
                same = decision["state_knowledge"].strip() == rules.state_knowledge(task, before)
                kind = ("after a failed action" if failed else "no failed action", "yes" if wrong_before else "no")
                total[kind] += 1
                right[kind] += same
                wrong_before |= not same
    rows = [[*kind, total[kind], f"{right[kind] / total[kind]:.1%}"] for kind in sorted(total)]
    return grid(["state", "wrong before", "states", "as the rules write it"], rows)


def overruled_table(run: dict[str, dict]) -> str:
    """The planner's decisions by whether the action before them had failed."""
    changed, total = Counter(), Counter()
    for episode in run.values():
        seen = ["", *(observation for _, observation in history_of(episode)[1])]
        for decision in planned(episode):
            kind = "failed" if seen[decision["step"]] == NOTHING else "had an effect, or none before"
            total[kind] += 1
            changed[kind] += overruled(decision)
    rows = [[kind, total[kind], changed[kind], f"{changed[kind] / total[kind]:.1%}"] for kind in sorted(total)]
    return grid(["last action", "decisions", "overruled", "share"], rows)


def neighbours_table(out: Path) -> str:
    triplets = read_json(out / "state_action_pair.json")
    trajectory = np.cumsum([t["pre_action"] == FIRST_PRE_ACTION for t in triplets])
    names = np.unique(trajectory)
    held_out = np.isin(trajectory, np.random.default_rng(0).choice(names, len(names) // 5, replace=False))
    asked = [triplet for triplet, held in zip(triplets, held_out) if held]
    encoder = load_encoder("wkm-embedding", str(out / "peft" / "world_model"))
    with TemporaryDirectory() as folder:
        others = Path(folder) / "others.json"
        write_json(others, [triplet for triplet, held in zip(triplets, held_out) if not held])
        build_cache(others, folder, encoder, None)
        base = StateBase.load(folder, encoder)
    right = Counter()
    for triplet in asked:
        found = base.next_actions(triplet["state"], triplet["pre_action"], max(NEIGHBOURS))
        verbs = [action_verb(action) for action in found]
        for n in NEIGHBOURS:
            right[n] += Counter(verbs[:n]).most_common(1)[0][0] == action_verb(triplet["action"])
    rows = [[n, f"{right[n] / len(asked):.1%}"] for n in NEIGHBOURS]
    return f"{len(asked)} of {len(triplets)} triplets asked\n\n" + grid(["N", "expert's next verb"], rows)


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("out", metavar="OUT", type=Path, help="where the runs' folders and the triplets are")
    parser.add_argument("exp_config", metavar="EXP_CONFIG", help="the runs' task config, such as alfworld_tiny")
    args = parser.parse_args()
    runs = played(args.out, args.exp_config)
    wkm = runs["wkm"]
    named = naming_table(runs, read_json(args.out / "expert.json"))
    tables = state_knowledge_table(wkm), overruled_table(wkm), neighbours_table(args.out)
    print(task_knowledge_table(runs), named, *tables, sep="\n\n")


if __name__ == "__main__":
    main()
