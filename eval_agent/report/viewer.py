"""Episodes to look at: runs game by game and step by step, as one HTML page that needs no server and no network.

    python -m eval_agent.report.viewer outputs/quickstart/experienced_agent/alfworld_demo_eval \\
        "WKM=outputs/quickstart/agent_model/alfworld_demo_eval" --output_path outputs/quickstart/viewer.html

A run's folder has its splits (dev, test) or the episode files themselves. Games on which the runs differ come first.
Where the episodes are more than a page should hold, they go into a folder beside it, a file for each game.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from jinja2.utils import htmlsafe_json_dumps

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import write_text
from eval_agent.knowledge.gammas import agent_verb
from eval_agent.report.episodes import split_folders
from eval_agent.report.experiment import SPLITS
from eval_agent.report.steps import (
    check,
    gamma_of,
    last_observation,
    opening,
    overruled,
    overruled_at,
    planned,
    steps,
)
from eval_agent.report.summary import difference, estimate
from eval_agent.trajectories.episodes import digest, episode_path, read_episodes

PAGE = Path(__file__).parent / "page"
GAMMAS = [twentieth / 20 for twentieth in range(21)]  # the slider's places
PAGE_BYTES = 15_000_000  # of episodes within the page
_GOALS = ("Your task is to:", "Your task is to", "Instruction: [SEP]", "Instruction:")
Key = tuple[str, str]  # a game: its split and task id


@dataclass(frozen=True)
class Run:
    """A run's episodes by game."""

    label: str
    episodes: dict[Key, dict]

    @property
    def gamma(self) -> float | None:
        return next((gamma for gamma in map(gamma_of, self.episodes.values()) if gamma is not None), None)


def read_runs(specifications: list[str]) -> list[Run]:
    """Runs of "FOLDER" or "LABEL=FOLDER". Raises InputError for a folder without episodes, a label that comes twice."""
    labels, folders = zip(*map(_parts, specifications))
    named = [label or name for label, name in zip(labels, _names(folders))]
    twice = next((label for label in named if named.count(label) > 1), None)
    if twice:
        raise InputError(f'two runs are called "{twice}": give LABEL=FOLDER')
    return [Run(label, dict(_episodes(folder))) for label, folder in zip(named, folders)]


def _parts(text: str) -> tuple[str, Path]:
    label, _, folder = ("", "", text) if Path(text).is_dir() else text.rpartition("=")
    return label, Path(folder)


def _names(folders: tuple[Path, ...]) -> list[str]:
    """What tells the folders apart: those parts of their paths that differ, the last part of one folder alone."""
    parts = [folder.absolute().parts for folder in folders]
    columns = list(zip(*(part[-min(map(len, parts)):] for part in parts)))
    differing = [column for column in columns if len(set(column)) > 1] or columns[-1:]
    return ["/".join(name) for name in zip(*differing)]


def _episodes(run: Path) -> Iterator[tuple[Key, dict]]:
    for folder in split_folders(run):
        for episode in read_episodes(folder):
            check(episode, episode_path(folder, episode["meta"]["task_id"]))
            split = episode["meta"].get("split") or folder.name
            yield (SPLITS.get(split, split), episode["meta"]["task_id"]), episode


def write_page(runs: list[Run], path: Path) -> Path | None:
    """Write the page and, where they are too many for it, its episodes beside it: the folder, None without."""
    keys = sorted({key for run in runs for key in run.episodes})
    games = [(key, [run.episodes.get(key) for run in runs]) for key in keys]
    games.sort(key=lambda game: ["result", "way", "no"].index(_differ(game[1])))
    texts = [_json([play and _play(play) for play in plays]) for _, plays in games]
    beside = path.with_name(f"{path.stem}_games") if sum(map(len, texts)) > PAGE_BYTES else None
    if beside:
        for number, text in enumerate(texts):
            write_text(beside / f"{number}.js", f"loaded({number}, {text})\n")
    index = {
        "runs": [{"label": run.label, "gamma": run.gamma} for run in runs],
        "games": [_game(key, plays) for key, plays in games],
        "beside": beside and beside.name,
    }
    code = (PAGE / "page.js").read_text()
    pages = Environment(loader=FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    code_hash = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()  # no other code may run in the page
    write_text(path, pages.get_template("page.html").render(
        runs=runs, head=list(_head(runs)), index=_json(index), games=[] if beside else texts, beside=beside,
        style=(PAGE / "page.css").read_text(), code=code, code_hash=code_hash,
    ))  # fmt: skip
    return beside


def _json(value: object) -> str:
    """JSON in which no text can end the <script> that it stands in."""
    return htmlsafe_json_dumps(value, ensure_ascii=False, separators=(",", ":"))


def _head(runs: list[Run]) -> Iterator[dict]:
    """A line for each run and split: means over finished games, intervals, and the difference from the first run."""
    for split in sorted({split for run in runs for split, _ in run.episodes}):
        tables = [_table(run, split) for run in runs]
        for run, table in zip(runs, tables):
            if not table.empty:
                paired = difference(table["reward"], tables[0]["reward"]) if run is not runs[0] else {}
                measures = {name: estimate(table[name]) for name in ("success", "reward")}
                yield {"split": split, "label": run.label, "games": len(table), **measures, "difference": paired,
                       **table[["steps", "invalid_actions", "overruled"]].mean()}


def _table(run: Run, split: str) -> pd.DataFrame:
    finished = {game: episode for (part, game), episode in run.episodes.items()
                if part == split and episode["meta"]["finished"]}
    rows = [{**{name: episode["meta"][name] for name in ("steps", "invalid_actions")},
             "success": 100.0 * episode["meta"]["success"], "reward": 100.0 * episode["meta"]["reward"],
             "overruled": _overruled(episode)} for episode in finished.values()]
    return pd.DataFrame(rows, index=list(finished), dtype="float64")


def _overruled(episode: dict) -> int | None:
    """How many decisions were overruled; None where the planner made none."""
    return sum(map(overruled, decisions)) if (decisions := planned(episode)) else None


def _game(key: Key, plays: list[dict | None]) -> dict:
    """A line of the list of games."""
    there = next(filter(None, plays))
    return {
        "split": key[0], "id": key[1], "goal": _goal(there), "type": there["meta"]["task_type"],
        "differ": _differ(plays), "plays": [play and _summary(play) for play in plays],
    }  # fmt: skip


def _goal(episode: dict) -> str:
    text = " ".join(opening(episode).task.split())
    sentence = next((text.partition(mark)[2].partition("[SEP]")[0] for mark in _GOALS if mark in text), "").strip()
    return sentence[:200] or episode["meta"]["task_id"]


def _differ(plays: list[dict | None]) -> str:
    """How the plays of a game differ: in "result", in the "way" to the same one, or "no"."""
    there = [play for play in plays if play]
    results = {(play["meta"]["finished"], play["meta"]["success"], play["meta"]["reward"]) for play in there}
    return "result" if len(results) > 1 else "way" if len(set(map(digest, there))) > 1 else "no"


def _summary(episode: dict) -> dict:
    meta, decisions = episode["meta"], planned(episode)
    counts = [sum(overruled_at(one, gamma) for one in decisions) for gamma in GAMMAS] if decisions else []
    return {
        "result": ("won" if meta["success"] else "lost") if meta["finished"] else "not finished",
        **{name: meta[name] for name in ("reward", "steps", "invalid_actions")},
        "reason": meta.get("error") or meta.get("terminate_reason"),
        "overruled": _overruled(episode), "at": counts,
    }  # fmt: skip


def _play(episode: dict) -> dict:
    """What the page shows of an episode beside its line in the list."""
    start = opening(episode)
    verbs = next((list(decision["p_agent"]) for decision in planned(episode)), [])
    return {
        "knowledge": start.task_knowledge, "read": start.read_by_agent, "verbs": verbs,
        "end": last_observation(episode), "trials": len(episode.get("trials") or []),
        "told": all(step.invalid is not None for step in steps(episode)),
        "steps": [
            {"seen": step.observation, "thought": step.thought, "action": step.action, "invalid": step.invalid,
             **_decision(step.decision, verbs)} for step in steps(episode)
        ],
    }  # fmt: skip


def _decision(decision: dict, verbs: list[str]) -> dict:
    known = {"known": decision.get("state_knowledge")}
    if not decision.get("p_agent"):
        return known
    p_know = decision["p_know"] and [decision["p_know"].get(verb, 0.0) for verb in verbs]
    return {**known, "p_agent": [decision["p_agent"].get(verb, 0.0) for verb in verbs], "p_know": p_know,
            "n": decision["n_neighbours"], "next": decision.get("next_actions"), "own": agent_verb(decision),
            "verb": decision["verb"]}


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN_FOLDER", help="a run's folder, or LABEL=FOLDER to name it")
    parser.add_argument("--output_path", "--output", type=Path, required=True, help="the page (.html)")
    args = parser.parse_args()
    if args.output_path.is_dir():
        raise InputError(f"--output_path {args.output_path}: is a folder, expected a file such as {args.output_path / 'viewer.html'}")
    runs = read_runs(args.runs)
    beside = write_page(runs, args.output_path)
    many = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
    print(f"wrote {args.output_path}: {sum(len(run.episodes) for run in runs)} episodes of {many}"
          + (f", those themselves in {beside}, to be kept beside it" if beside else ""))


if __name__ == "__main__":
    main()
