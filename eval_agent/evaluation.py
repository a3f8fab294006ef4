"""Many episodes: checking of everything they need, scheduling over threads, resuming, the run's summary."""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from eval_agent.agents import load_agent
from eval_agent.config import read_instruction
from eval_agent.envs.process import ProcessEnv
from eval_agent.files import write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.state_base import StateBase, recorded_encoder_model
from eval_agent.loop import Agent, WorldModel, run_episode
from eval_agent.report.summary import summarize, summarize_by_type
from eval_agent.results import RUN, SUMMARY, check_run, clear_run, episode_path, is_finished, read_episodes
from eval_agent.tasks import Task, canonical_split, load_tasks

# so many episodes in a row lost for technical reasons: what they all need is gone
MOST_FAILURES_IN_A_ROW = 5
_WITHOUT_KNOWLEDGE = ("task", "env", "agent")
_ADDRESS = "controller_address"


@dataclass(frozen=True)
class Evaluation:
    """One run: which models play which tasks, and the folder of its results."""

    task_config: dict  # configs/task/*.json, checked
    model_config: dict  # configs/model/*.json, checked
    agent_model_name: str
    world_model_name: str | None
    split: str
    folder: Path

    def settings(self) -> dict:
        """What has to be the same for results to share a folder: all but where the models are served."""
        config = self.task_config
        sections = _WITHOUT_KNOWLEDGE if self.world_model_name is None else tuple(config)
        roles = [role for role in ("agent", "world_model") if role in sections]
        serving = {key: value for key, value in self.model_config["config"].items() if key != _ADDRESS}
        return {
            "agent_model_name": self.agent_model_name,
            "world_model_name": self.world_model_name,
            "split": canonical_split(self.split),
            "model_config": {**self.model_config, "config": serving},
            "task_config": {name: config[name] for name in sections},
            "instructions": {role: read_instruction(config[role]["instruction"]) for role in roles},
        }

    def run(self, limit: int | None = None, num_workers: int = 1, override: bool = False) -> dict:
        """Play what has no result yet, ``num_workers`` episodes side by side, and give the summary.

        Raises InputError, before the first episode, for anything that a person has to mend.
        """
        settings = self.settings()
        tasks = load_tasks(self.task_config, self.split)[:limit]
        ProcessEnv(self.task_config["env"])  # starts nothing yet; a wrong class shows here
        if not override:
            check_run(self.folder, settings)
        pending = [task for task in tasks if override or not is_finished(self.folder, task.task_id)]
        if pending:
            agent, world_model = self._load_models()
            if override:
                clear_run(self.folder, settings, [task.task_id for task in tasks])
            write_json(self.folder / RUN, settings)
            _Schedule(self, agent, world_model, pending).play(num_workers, len(tasks))
        summary = self._summary(tasks, settings)
        write_json(self.folder / SUMMARY, summary)
        return summary

    def _load_models(self) -> tuple[Agent, WorldModel | None]:
        config = self.task_config
        agent_model = load_agent(self.model_config, self.agent_model_name)
        side, with_knowledge = config["agent"], self.world_model_name is not None
        agent = Agent(
            agent_model, read_instruction(side["instruction"]),
            side["temperature_with_knowledge" if with_knowledge else "temperature"], side["max_new_tokens"],
        )
        return agent, self._load_world_model() if with_knowledge else None

    def _load_world_model(self) -> WorldModel:
        side, planner, base = (self.task_config[name] for name in ("world_model", "planner", "state_base"))
        model = load_agent(self.model_config, self.world_model_name)
        address = self.model_config["config"].get(_ADDRESS)
        encoder_model = base["encoder_model"] or recorded_encoder_model(base["path"])
        encoder = load_encoder(base["encoder"], encoder_model, *([address] if address else []))
        return WorldModel(
            model, read_instruction(side["instruction"]), side["temperature"], side["max_task_tokens"],
            side["max_state_tokens"], StateBase.load(base["path"], encoder, planner["pre_action_rule"]),
            planner["gamma"], planner["n_neighbours"], planner["verbs"], planner["score"] == "whole",
        )

    def _summary(self, tasks: list[Task], settings: dict) -> dict:
        episodes = read_episodes(self.folder)
        played = {episode["meta"]["task_id"] for episode in episodes}
        return {
            **summarize(episodes),
            "not_played": [task.task_id for task in tasks if task.task_id not in played],
            "by_task_type": summarize_by_type(episodes),
            "settings": settings,
        }


class _Schedule:
    """Threads that take tasks from one queue, each with an env of its own."""

    def __init__(self, evaluation: Evaluation, agent: Agent, world_model: WorldModel | None, tasks: list[Task]):
        self._evaluation = evaluation
        self._agent = agent
        self._world_model = world_model
        self._split = canonical_split(evaluation.split)
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            self._tasks.put(task)
        self._pending = len(tasks)
        self._failures_in_a_row = self._successes = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def play(self, num_workers: int, total: int) -> None:
        with tqdm(total=total, initial=total - self._pending, desc=self._split, unit="episode") as bar:
            with ThreadPoolExecutor(min(num_workers, self._pending)) as pool:
                workers = [pool.submit(self._work, bar) for _ in range(min(num_workers, self._pending))]
                try:
                    for worker in as_completed(workers):
                        worker.result()
                except BaseException:
                    self._stop.set()
                    bar.write("stopping when the episodes under way have ended")
                    raise

    def _work(self, bar: tqdm) -> None:
        with ProcessEnv(self._evaluation.task_config["env"]) as env:
            while not self._stop.is_set():
                try:
                    task = self._tasks.get_nowait()
                except queue.Empty:
                    return
                max_steps = self._evaluation.task_config["env"]["max_steps"]
                result = run_episode(env, task, self._split, self._agent, self._world_model, max_steps)
                write_json(episode_path(self._evaluation.folder, task.task_id), result)
                self._count(result["meta"], bar)

    def _count(self, meta: dict, bar: tqdm) -> None:
        with self._lock:
            bar.update()
            self._successes += meta["success"]
            bar.set_postfix(won=self._successes)
            if meta["finished"]:
                self._failures_in_a_row = 0
                return
            bar.write(f"failed: {meta['task_id']}: {meta['error']}")
            self._failures_in_a_row += 1
            if self._failures_in_a_row == MOST_FAILURES_IN_A_ROW and not self._stop.is_set():
                self._stop.set()
                bar.write(f"stopped: {MOST_FAILURES_IN_A_ROW} episodes in a row failed")
