"""Many episodes: checking of everything they need, playing them side by side, resuming, the run's summary."""

import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from eval_agent.agents import ModelError, load_agent
from eval_agent.agents.chat_format import format_of_recipe
from eval_agent.config import Method, ModelConfig, PlannerSection, TaskConfig, read_instruction
from eval_agent.envs import ProcessEnv
from eval_agent.envs.worker import run_in_envs
from eval_agent.episode import Agent, Crashed, Planner, WorldModel, run_episode
from eval_agent.errors import InputError
from eval_agent.files import Lock, write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.gammas import shared_episodes
from eval_agent.knowledge.planner import by_first_token
from eval_agent.knowledge.state_base import StateBase, recorded_encoder_model
from eval_agent.progress import tqdm
from eval_agent.tasks import Task, canonical_split, choose_evenly, load_tasks
from eval_agent.trajectories.episodes import (
    RUN,
    SUMMARY,
    check_run,
    clear_run,
    episode_path,
    is_finished,
    read_episodes,
    summarize,
    summarize_by_type,
)
from eval_agent.trajectories.format import one_line
from eval_agent.trajectories.reply import ACTION

# so many episodes in a row lost for technical reasons: what they all need is gone
MOST_FAILURES_IN_A_ROW = 5
_ADDRESS = "controller_address"  # in a model config; where a model is served does not change its results
# what an episode does differently by method; its other fields act through the models and the task config
_OF_METHOD = {"instruction", "world_instruction", "task_knowledge", "state_knowledge", "action_path", "trials"}
_HELLO = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True)
class Evaluation:
    """One run: which models play which tasks by which method, and the folder of its results."""

    method: Method
    task_config: TaskConfig  # as the method overrides it
    model_config: ModelConfig  # how the agent model is served
    world_model_config: ModelConfig  # the same for the world model
    agent_model_name: str
    world_model_name: str | None  # None where the method has no world model
    split: str
    folder: Path
    seed: int  # of what is sampled: the same seed draws the same text after the same prompt

    def settings(self) -> dict:
        """What has to be the same for results to share a folder: all but where the models are served."""
        unused = {"planner", "state_base"} if not self.method.plans else set()
        if self.world_model_name is None:
            unused.add("world_model")
        return {
            "agent_model_name": self.agent_model_name,
            "world_model_name": self.world_model_name,
            "split": canonical_split(self.split),
            **({"seed": self.seed} if self._samples() else {}),
            "method": self.method.model_dump(include=_OF_METHOD),
            "model_config": _that_matters(self.model_config),
            "world_model_config": _that_matters(self.world_model_config) if self.world_model_name else None,
            "task_config": self.task_config.model_dump(exclude=unused),
            "instructions": self.texts(),
        }

    def _samples(self) -> bool:
        temperatures = [self.method.agent_temperature(self.task_config)]
        if self.world_model_name is not None:
            temperatures.append(self.task_config.world_model.temperature)
        return max(temperatures) > 0

    def texts(self) -> dict[str, str]:
        """Instructions and what else the method takes from text files. Raises InputError for a missing one."""
        method, config = self.method, self.task_config
        return {purpose: read_instruction(method.text_file(config, purpose)) for purpose in method.text_roles}

    def run(
        self, limit: int | None = None, num_workers: int = 1, override: bool = False,
        part: tuple[int, int] = (0, 1), verbose: bool = False, share_gammas: bool = False,
    ) -> dict:
        """Play what has no result yet, ``num_workers`` episodes side by side, and sum up the games asked for.

        These are at most ``limit``, and of ``part`` (index, number of parts) only that share; a part's summary
        is not written: that is for the run over the whole. Raises InputError, before the first episode, for anything
        that a person has to mend. ``verbose`` prints a line an episode. ``share_gammas`` takes what gammas.py finds.
        """
        settings = self.settings()
        index, parts = part
        env = ProcessEnv(self.task_config.env.env_class)  # starts nothing yet; a wrong class shows here
        tasks = choose_evenly(load_tasks(self.task_config, self.split), limit)[index::parts]
        limits = {task: self.task_config.env.step_limit(task) for task in tasks}
        if not override:
            check_run(self.folder, settings)
        pending = [task for task in tasks if override or not is_finished(self.folder, task.task_id)]
        shared = self._shared(settings, pending) if share_gammas else {}
        unplayed = [task for task in pending if task.task_id not in shared]
        if unplayed:
            env.check()
            models = self._load_models()
        if pending:
            with Lock(self.folder / f"part{index}of{parts}", "wait until it has ended, or choose another --exp_name"):
                if override:
                    clear_run(self.folder, settings, [task.task_id for task in tasks])
                write_json(self.folder / RUN, settings)
                for task_id, episode in shared.items():
                    write_json(episode_path(self.folder, task_id), episode)
                if unplayed:
                    self._run_episodes(unplayed, limits, models, num_workers, len(tasks), verbose)
        mine = {task.task_id for task in tasks}
        episodes = [episode for episode in read_episodes(self.folder) if episode["meta"]["task_id"] in mine]
        summary = _summary(tasks, episodes, settings)
        if parts == 1:
            write_json(self.folder / SUMMARY, summary)
        return summary

    def _shared(self, settings: dict, pending: list[Task]) -> dict[str, dict]:
        """The episodes of ``pending`` that runs with another gamma have, by task id."""
        # of several trials, and of several verbs asked for in one step, an episode keeps the last decision
        if not self.method.plans or self.method.trials > 1 or self.task_config.planner.only_when_stuck:
            return {}
        shared = shared_episodes(self.folder, settings, [task.task_id for task in pending])
        for folder, count in Counter(episode["meta"]["taken_from"] for episode in shared.values()).items():
            print(f"{count} of {len(pending)} episodes taken from {folder}, where every verb is that of this gamma, too")
        return shared

    def _load_models(self) -> "_Models":
        """Check that the models answer, load the state base, and give what makes a thread's own models."""
        try:
            self._try_models()
        except ModelError as error:
            raise InputError(f"cannot evaluate: {error}") from None
        state_base = None
        if self.method.plans:
            base, address = self.task_config.state_base, self.world_model_config.config.get(_ADDRESS)
            encoder_model = base.encoder_model or recorded_encoder_model(base.path)
            encoder = load_encoder(base.encoder, encoder_model, *([address] if address else []))
            state_base = StateBase.load(base.path, encoder, self.task_config.planner.pre_action_rule)
            if base.explored and not state_base.explored:
                raise InputError(f"{base.path}: holds no triplets of explored trajectories, which method "
                                 f'"{self.method.name}" needs; scripts/train.sh state_base_explored builds such a base')
        return _Models(self, state_base)

    def _try_models(self) -> None:
        agent = load_agent(self.model_config, self.agent_model_name)
        agent.generate(_HELLO, temperature=0, max_new_tokens=1)
        if self.world_model_name is None:
            return
        world_model = load_agent(self.world_model_config, self.world_model_name)
        world_model.generate(_HELLO, temperature=0, max_new_tokens=1)
        if not self.method.plans:
            return
        verbs = self.task_config.planner.verbs
        opened = {"role": "assistant", "content": f"Thought: Hello.\n{ACTION}"}
        scores = agent.score([*_HELLO, opened], [f" {verb}" for verb in verbs])
        shared = [group for group in by_first_token(dict(zip(verbs, scores))).values() if len(group) > 1]
        if shared:
            groups = "; ".join(map(", ".join, shared))
            way = "by their whole strings" if agent.scores_whole_strings else "evenly: this endpoint scores first tokens only"
            print(f"note: verbs that begin with the same token share its p_agent, {way}: {groups}")

    def _run_episodes(self, pending: list[Task], limits: dict[Task, int], models: "_Models", num_workers: int,
                      total: int, verbose: bool) -> None:
        """Play ``pending`` of ``total`` tasks; each episode's file is there as soon as it has ended."""
        split, env_class = canonical_split(self.split), self.task_config.env.env_class

        def play(env: ProcessEnv, task: Task) -> dict:
            path = episode_path(self.folder, task.task_id)
            try:
                result = run_episode(env, task, split, models.agent, models.world_model, limits[task])
            except Crashed as crash:  # the running episodes end first, then the run does
                write_json(path, crash.result)
                raise crash.__cause__
            write_json(path, result)
            return result["meta"]

        won = failures_in_a_row = 0
        bar = tqdm(total=total, initial=total - len(pending), desc=split, unit="episode")
        with bar, closing(run_in_envs(env_class, play, pending, min(num_workers, len(pending)))) as played:
            for task, meta in played:
                won += meta["success"]
                if verbose:
                    bar.write(f"{task.task_id}: {meta['terminate_reason']} after {meta['steps']} steps, "
                              f"reward {meta['reward']:.2f}")
                bar.set_postfix(won=won)
                bar.update()
                failures_in_a_row = 0 if meta["finished"] else failures_in_a_row + 1
                if not meta["finished"]:
                    bar.write(f"failed: {task.task_id}: {meta['error']}")
                if failures_in_a_row == MOST_FAILURES_IN_A_ROW:
                    bar.write(f"stopped: {failures_in_a_row} episodes in a row failed")
                    break


def _summary(tasks: list[Task], episodes: list[dict], settings: dict) -> dict:
    played = {episode["meta"]["task_id"] for episode in episodes}
    return {
        **summarize(episodes),
        "not_played": [task.task_id for task in tasks if task.task_id not in played],
        "by_task_type": summarize_by_type(episodes),
        "settings": settings,
    }


def _that_matters(model_config: ModelConfig) -> dict:
    """A model config without what does not change an episode: the address, and what only reports read.

    Of its recipe, if any, the chat format counts; without one a served model's is its own.
    """
    places = (_ADDRESS, "api_base")
    config = {key: value for key, value in model_config.config.items() if key not in places}
    if model_config.recipe:
        config["template"] = format_of_recipe(model_config.recipe).template
    return {"agent_class": model_config.agent_class, "config": config}


class _Models(threading.local):
    """Each thread's own agent and world model (an LMAgent is not shared by threads), over one state base."""

    def __init__(self, evaluation: Evaluation, state_base: StateBase | None):
        config, method, texts = evaluation.task_config, evaluation.method, evaluation.texts()
        task_knowledge = texts.get("task_knowledge")
        self.agent = Agent(
            load_agent(evaluation.model_config, evaluation.agent_model_name, evaluation.seed), texts["agent"],
            method.agent_temperature(config), config.agent.max_new_tokens,
            task_knowledge=one_line(task_knowledge) if task_knowledge else None,
            lower_case_actions=config.env.lower_case_actions, action_path=method.action_path,
            trials=method.trials, reflection=texts.get("reflection"),
        )
        self.world_model = None
        if evaluation.world_model_name is not None:
            settings = config.world_model
            self.world_model = WorldModel(
                load_agent(evaluation.world_model_config, evaluation.world_model_name, evaluation.seed),
                texts["world_model"], settings.temperature, settings.max_task_tokens, settings.max_state_tokens,
                method.task_knowledge == "world_model", _planner(config.planner, state_base),
                method.state_knowledge == "context",
            )


def _planner(settings: PlannerSection, state_base: StateBase | None) -> Planner | None:
    if state_base is None:
        return None
    return Planner(state_base, settings.gamma, settings.n_neighbours, settings.verbs, settings.min_similarity,
                   settings.agent_temperature or 1.0, bool(settings.only_when_stuck))
