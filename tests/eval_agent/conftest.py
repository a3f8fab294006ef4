"""For the tests of loop and evaluation: real games, made in seconds, and a controller with its workers."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from eval_agent.config import TaskConfig, load_task_config, override
from eval_agent.demo.games import MAX_EXPERT_STEPS, make_game, plan
from eval_agent.envs import ProcessEnv
from eval_agent.tasks import load_tasks
from tests.eval_agent.serving import served  # noqa: F401  a fixture
from tests.eval_agent.small_shop import small_shop  # noqa: F401  a fixture
from tests.eval_agent.toy_paper import toy_paper  # noqa: F401  a fixture


@dataclass(frozen=True)
class DemoGames:
    folder: Path
    task_config: TaskConfig  # configs/task/alfworld.json over these games: two for train, one for dev
    expert_actions: dict[str, list[str]]  # by task id


@pytest.fixture(scope="session")
def demo_games(tmp_path_factory) -> DemoGames:
    folder = tmp_path_factory.mktemp("games")
    games = {"task.data_path": str(folder), "task.splits": {"train": "train", "dev": "valid_seen"}}
    config = override(load_task_config("alfworld", "configs/task"), games, "demo games")
    slots = plan(seed=0)
    train = [slot for slot in slots if slot.split == "train"]
    seen = [slot for slot in slots if slot.split == "valid_seen"]
    with ProcessEnv(config.env.env_class) as env:
        for slot in [train[0], train[-1], seen[0]]:
            make_game(env, slot, folder)
        tasks = [*load_tasks(config, "train"), *load_tasks(config, "dev")]
        actions = {task.task_id: env.expert(task, MAX_EXPERT_STEPS) for task in tasks}
    return DemoGames(folder, config, actions)


@pytest.fixture(scope="session")
def env(demo_games):
    """One env process for all tests that play a game."""
    with ProcessEnv(demo_games.task_config.env.env_class) as env:
        yield env
