"""A run's episodes and steps as tables for a notebook. What their columns mean stands here, and in --help."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

import pandas as pd
import pyarrow as pa

from eval_agent.knowledge.gammas import agent_verb
from eval_agent.report.episodes import RUN, split_folders
from eval_agent.report.steps import check, gamma_of, overruled, planned, steps
from eval_agent.trajectories.episodes import Meta, digest, episode_path, read_episodes

_FOLDERS = ["folder above the agent's", "folder of the agent model", "folder of the run", "folder of the split"]
_OF_RUN = dict(zip(RUN, _FOLDERS))
EPISODES = {
    **_OF_RUN,
    **{name: field.description for name, field in Meta.model_fields.items()},
    "planned": "decisions of the planner (Eq. 13)",
    "overruled": "of these, where another verb than the agent's own was chosen",
    "gamma": "that the planner used, as its stored blends tell; empty where none does",
    "digest": "of the conversations: equal for two plays that are the same word for word",
}
_P = pa.map_(pa.string(), pa.float64())  # pandas shows a list of pairs: dict(row.p_agent)
_TYPES = {
    **{name: (pa.string(), what) for name, what in _OF_RUN.items()},
    "task_id": (pa.string(), "the game or variation"),
    "step": (pa.int32(), "from 0"),
    "observation": (pa.string(), "what the reply answers; at step 0 the task"),
    "thought": (pa.string(), "of the agent's reply"),
    "action": (pa.string(), "of the agent's reply; null where it has none"),
    "invalid": (pa.bool_(), "whether the environment refused the action; null where older results do not tell"),
    "state_knowledge": (pa.string(), "the world model's; null where it was not asked or had no room"),
    "n_neighbours": (pa.int32(), "triplets that gave p_know; null where the planner decided nothing"),
    "next_actions": (pa.map_(pa.string(), pa.int32()), "the most frequent next actions among them, with their counts"),
    "p_agent": (_P, "Eq. 12 by verb of A_u"),
    "p_know": (_P, "Eq. 11; null where nothing was retrieved"),
    "blend": (_P, "what Eq. 13 takes the largest of"),
    "agent_verb": (pa.string(), "the verb that the agent would have gone on with"),
    "verb": (pa.string(), "the verb that was chosen"),
    "overruled": (pa.bool_(), "whether these two differ; false where the planner decided nothing"),
}
DECISIONS = pa.schema([pa.field(name, kind, metadata={"description": what}) for name, (kind, what) in _TYPES.items()])


def columns() -> str:
    """What the columns of both tables mean."""
    tables = {"episodes.csv": EPISODES, "decisions.parquet": {name: what for name, (_, what) in _TYPES.items()}}
    lines = [[f"columns of {title}:", *(fill(f"{name}: {what}", 110, initial_indent="  ", subsequent_indent="      ")
                                        for name, what in table.items())] for title, table in tables.items()]
    return "\n\n".join("\n".join(part) for part in lines)


def run_tables(run: Path) -> tuple[pd.DataFrame, pa.Table]:
    """(episodes, decisions) of a run's folder or of a split's. Raises InputError where there are none."""
    episodes, rows = [], []
    for place, episode in _episodes(run):
        decisions, meta = planned(episode), episode["meta"]
        counts = {"planned": len(decisions), "overruled": sum(map(overruled, decisions))}
        episodes.append({**meta, **place, **counts, "gamma": gamma_of(episode), "digest": digest(episode)})
        rows += [{**place, "task_id": meta["task_id"], **row} for row in _rows(episode)]
    return pd.DataFrame(episodes, columns=list(EPISODES)), pa.Table.from_pylist(rows, DECISIONS)


def _episodes(run: Path) -> Iterator[tuple[dict, dict]]:
    for folder in split_folders(run):
        for episode in read_episodes(folder):
            check(episode, episode_path(folder, episode["meta"]["task_id"]))
            yield dict(zip(RUN, folder.absolute().parts[-len(RUN):])), episode


def _rows(episode: dict) -> Iterator[dict]:
    for step in steps(episode):
        made = step.decision if step.decision.get("p_agent") else {}
        yield {
            "step": step.number, "observation": step.observation, "thought": step.thought, "action": step.action,
            "invalid": step.invalid, "state_knowledge": step.decision.get("state_knowledge"),
            **{name: made.get(name) for name in ("n_neighbours", "next_actions", "p_agent", "p_know", "blend")},
            "agent_verb": agent_verb(made) if made else None, "verb": step.decision.get("verb"),
            "overruled": bool(made) and overruled(made),
        }  # fmt: skip
