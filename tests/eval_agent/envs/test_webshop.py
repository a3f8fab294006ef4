"""WebShop's env in a process of its own, an episode through the loop, and the planner's verbs in a web shop."""

import shutil
from dataclasses import replace

import pytest

from eval_agent.agents.base import CandidateScore, LMAgent
from eval_agent.config import load_task_config
from eval_agent.envs import ProcessEnv
from eval_agent.envs.webshop import WebShopEnv
from eval_agent.episode import Agent, Planner, WorldModel, run_episode
from eval_agent.tasks import load_tasks

BUY = ["search[coffee mug]", "click[B00MUG0001]", "click[12 oz]", "click[dark red]", "click[Buy Now]"]


@pytest.fixture(scope="module")
def task(small_shop):
    """Dark red, 12 oz, dishwasher safe."""
    return next(task for task in load_tasks(small_shop.config(), "test") if "dark red" in task.goal.instruction)


@pytest.fixture(scope="module")
def env():
    with ProcessEnv("WebShopEnv") as env:
        yield env


class Script(LMAgent):
    """Answers turn n with reply n; scores of verbs are the same."""

    def __init__(self, replies):
        self.replies, self.scored, self.prefilled = replies, [], []

    def generate(self, messages, *, stop=(), temperature, max_new_tokens):
        turn = sum(message["role"] == "user" for message in messages) - 2
        if messages[-1]["role"] == "assistant":  # the verb is there already
            self.prefilled.append(messages[-1]["content"])
            return self.replies[turn].partition("Action: ")[2].lstrip("searchlick")
        return self.replies[turn].partition("Action:")[0] if "Action:" in stop else self.replies[turn]

    def score(self, messages, candidates):
        self.scored.append(candidates)
        return [CandidateScore(number, -1.0, -1.0) for number, _ in enumerate(candidates)]


def thoughts(actions):
    return [f"Thought: next.\nAction: {action}" for action in actions]


def play(env, task, agent, max_steps=10, world_model=None):
    return run_episode(env, task, "test", Agent(agent, "Shop.", 0.0, 64), world_model, max_steps)


def test_a_purchase(env, task):
    assert env.reset(task) == f"WebShop [SEP] Instruction: [SEP] {task.goal.instruction_text} [SEP] Search"
    results = [env.step(action) for action in BUY]
    assert [result.valid for result in results] == [True] * 5
    assert [result.done for result in results] == [False] * 4 + [True]
    assert results[2].observation == results[1].observation  # a chosen option does not show
    last = results[-1]
    assert (last.reward, last.success) == (1.0, True)
    assert last.reward_parts["r_option"] == 1.0 and last.reward_parts["nouns"] == "rule"
    assert all(result.reward == 0.0 and result.reward_parts is None for result in results[:-1])


def test_an_episode_s_file_tells_what_was_bought(env, task):
    meta = play(env, task, Script(thoughts([*BUY[:2], "click[Sold Out]", *BUY[3:]])))["meta"]
    assert (meta["terminate_reason"], meta["success"], meta["steps"], meta["invalid_actions"]) == ("ended", False, 5, 1)
    assert meta["reward"] == 0.75 and meta["task_type"] == "garden"
    assert meta["reward_parts"]["asin"] == "B00MUG0001" and meta["reward_parts"]["options"] == {"color": "dark red"}


def test_without_a_purchase_there_is_no_reward(env, task):
    meta = play(env, task, Script(thoughts(["search[mug]"] * 10)))["meta"]
    assert (meta["terminate_reason"], meta["reward"], meta["steps"]) == ("max_steps", 0.0, 10)
    assert "reward_parts" not in meta


def test_a_purchase_in_the_last_step_counts(env, task):
    meta = play(env, task, Script(thoughts(["search[mug]"] * 5 + BUY)))["meta"]
    assert (meta["terminate_reason"], meta["reward"], meta["steps"]) == ("success", 1.0, 10)


def test_the_planner_chooses_the_verb_and_the_argument_follows_without_a_blank(env, task):
    class Base:
        asked = []

        def next_actions(self, state_text, pre_action, n, failed, min_similarity):
            self.asked.append(pre_action)
            return ["click"] * 3 + ["click[Buy Now]", "search[x]"]

    settings = load_task_config("webshop", "configs/task").planner
    assert (settings.verbs, settings.gamma, settings.n_neighbours) == (["search", "click"], 0.5, 3000)
    agent = Script(thoughts(BUY))
    planner = Planner(Base(), settings.gamma, settings.n_neighbours, settings.verbs)
    world_model = WorldModel(Script(["Known."] * 9), "Know.", 0.0, 64, 64, True, planner)
    result = play(env, task, agent, world_model=world_model)
    assert result["meta"]["success"]
    assert agent.scored == [[" search", " click"]] * 4
    assert agent.prefilled == ["Thought: next.\nAction: click"] * 4
    assert result["conversations"][5]["value"] == "Thought: next.\nAction: click[B00MUG0001]"
    assert result["decisions"][1]["p_know"] == {"search": 0.2, "click": 0.8}
    assert Base.asked[0] == "search[coffee mug]"  # StateBase takes what stands before the bracket


def test_one_env_goes_from_shop_to_shop(small_shop, task, tmp_path):
    shutil.copytree(small_shop.folder / "store", tmp_path / "other")
    with WebShopEnv() as env:
        first = env.reset(task)
        assert env.reset(replace(task, store=str(tmp_path / "other"))) == first
        assert env.step("search[tea]").observation.endswith("B00TEA0003 [SEP] Tea Kettle, Whistling [SEP] $100.0")


def test_identity_counts_the_code_and_the_packages_of_its_texts():
    identity = WebShopEnv.identity()
    assert {"eval_agent.webshop.analyser", "eval_agent.webshop.reward"} < set(identity["source"])
    assert identity["packages"]["thefuzz"] == "0.20.0"
