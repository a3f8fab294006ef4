"""The demo shop: the same for the same seed, near twins, goals that a careful buyer reaches and a blind one does not."""

import subprocess
import sys

import pytest

from eval_agent.config import load_task_config
from eval_agent.demo.shop_making import GOALS, MAX_EXPERT_STEPS, PRODUCTS, make_shop
from eval_agent.demo.shop_products import make_products
from eval_agent.errors import InputError
from eval_agent.files import read_json
from eval_agent.tasks import load_tasks
from eval_agent.webshop import Session, Shop
from eval_agent.webshop.expert import blind_actions, expert_actions, reward_of
from eval_agent.webshop.goals import read_goal


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "shop"
    make_shop(0, folder)
    return folder


@pytest.fixture(scope="module")
def goals(demo):
    return [read_goal(entry, "goal") for entry in read_json(demo / GOALS)]


def test_the_same_seed_gives_the_same_shop_and_is_not_made_again(demo, tmp_path):
    about = make_shop(0, tmp_path / "again")
    for name in (PRODUCTS, GOALS):
        assert (tmp_path / "again" / name).read_bytes() == (demo / name).read_bytes()
    (demo / GOALS).touch()
    made = (demo / GOALS).stat().st_mtime_ns
    assert make_shop(0, demo) == about and (demo / GOALS).stat().st_mtime_ns == made
    with pytest.raises(InputError, match="holds the shop of seed 0, expected 1"):
        make_shop(1, demo)


def test_other_seeds_share_no_product():
    first, second = ({product.asin for product in make_products(seed)} for seed in (0, 1000))
    assert len(first) == 204 and not first & second


def test_goals_are_split_by_product_with_all_kinds_in_both(goals):
    train, test = ([goal for goal in goals if goal.split == split] for split in ("train", "test"))
    assert (len(train), len(test)) == (48, 24)
    assert not {goal.asin for goal in train} & {goal.asin for goal in test}
    assert len({goal.query for goal in train}) == len({goal.query for goal in test}) == 12
    assert len({goal.category for goal in test}) == 5


def test_the_buyer_earns_all_in_few_steps_and_the_blind_one_does_not(demo, goals):
    shop = Shop.open(demo / "store")
    for goal in goals:
        actions = expert_actions(shop, goal, MAX_EXPERT_STEPS)
        session = Session(shop, goal)
        turns = [session.step(action) for action in actions]
        assert all(turn.valid for turn in turns) and turns[-1].reward == 1.0
        assert reward_of(shop, goal, blind_actions(shop, goal)) < 1.0


def test_most_products_have_a_twin_that_only_reading_tells_apart(demo, goals):
    """Same words in the title, another price or another option."""
    titles = [record["name"] for record in read_json(demo / PRODUCTS)]
    assert sum(titles.count(goal.name) > 1 for goal in goals) > len(goals) / 2


def test_the_command_prints_the_blind_baseline_and_the_config_reads_the_shop(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "eval_agent.demo.shop", "--output_dir", str(tmp_path / "data" / "demo_shop")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "204 products" in run.stdout and "test: 24 goals; buying the first result blindly earns 6" in run.stdout
    config = load_task_config("webshop_demo", "configs/task")
    monkeypatch.chdir(tmp_path)
    tasks = load_tasks(config, "test")
    assert len(tasks) == 24 and {task.benchmark for task in tasks} == {"webshop"}
