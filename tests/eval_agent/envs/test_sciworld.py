"""ScienceWorld's env against its real simulator: gold paths, scores, and what "easy" opens up."""

import pytest

from eval_agent.agents.base import LMAgent
from eval_agent.config import load_task_config
from eval_agent.envs import ExpertFailed
from eval_agent.envs.sciworld import shorter_ways
from eval_agent.episode import Agent, run_episode
from eval_agent.errors import InputError
from eval_agent.rules.sciworld_state import SciWorldState, parse_task
from eval_agent.tasks.sciworld import NUMBERS, SciWorldTask

CONFIG = load_task_config("sciworld", "configs/task")
BOIL = SciWorldTask.of("boil", 0)


@pytest.fixture(scope="module")
def env():
    """One simulator for all of these tests, in this process: they look behind the env too."""
    from eval_agent.envs.sciworld import SciWorldEnv

    try:
        SciWorldEnv.check_requirements()
    except InputError as error:
        pytest.skip(str(error))
    with SciWorldEnv() as env:
        yield env
    assert env._java.poll() is not None, "the Java server is still there"


class Replay(LMAgent):
    """Answers turn n with action n."""

    def __init__(self, actions):
        self.actions = actions

    def generate(self, messages, *, stop=(), temperature, max_new_tokens):
        turn = sum(message["role"] == "user" for message in messages) - 2
        return f"Thought: next.\nAction: {self.actions[turn]}"

    def score(self, messages, candidates):
        raise AssertionError("a plain agent scores nothing")


def play(env, actions):
    return [env.step(action) for action in actions]


def episode(env, task, actions, max_steps):
    return run_episode(env, task, "train", Agent(Replay(actions), "Act.", 0.0, 99), None, max_steps)["meta"]


@pytest.mark.parametrize("task_type", NUMBERS)
def test_the_gold_path_of_each_task_type_earns_reward_1_and_each_action_is_a_step(env, task_type):
    task = SciWorldTask.of(task_type, 1)
    env._load(task, with_gold_path=True)
    gold = list(env._client.server.getGoldActionSequence())
    for _ in range(3):  # a few things happen by chance: whether a circuit is powered at once, where a bee goes
        meta = episode(env, task, gold, max_steps=len(gold))
        if meta["success"]:
            break
    assert (meta["reward"], meta["success"], meta["terminate_reason"]) == (1.0, True, "success")
    assert 0 < meta["steps"] <= len(gold) and meta["finished"]
    short = episode(env, task, gold, max_steps=meta["steps"] // 2)
    assert (short["steps"], short["success"]) == (meta["steps"] // 2, False)
    assert short["terminate_reason"] == "max_steps" and 0 <= short["reward"] < 1


@pytest.mark.parametrize("task_type", ["melt", "test-conductivity", "grow-plant", "lifespan-shortest-lived"])
def test_the_expert_keeps_the_step_limit_and_looks_before_it_acts(env, task_type):
    task = SciWorldTask.of(task_type, 2)
    limit = CONFIG.env.step_limit(task)
    actions = env.expert(task, limit)
    assert not any(action.startswith(("go to", "open door", "examine")) for action in actions)
    assert "look around" in actions[:2]
    assert any(episode(env, task, actions, limit)["success"] for _ in range(3))


@pytest.mark.parametrize("task_type", ["freeze", "use-thermometer", "find-animal", "chemistry-mix", "grow-plant"])
def test_the_rules_know_where_the_expert_is_and_what_it_holds(env, task_type):
    """State knowledge is read off the answers alone; the simulator tells what is true."""
    task = SciWorldTask.of(task_type, 3)
    actions = env.expert(task, CONFIG.env.step_limit(task))
    state = SciWorldState(parse_task(env.reset(task)))
    for action in actions:
        result = env.step(action)
        state.update(action, result.observation)
        assert result.valid == (state.failed is None)
        room = env._client.look().split("the ", 1)[1].split(".")[0]
        assert state.place in (None, room)
        held = env._client.inventory()
        assert all(thing.split()[-1] in held for thing in state.held), (state.held, held)
        if result.done:
            break
    assert state.place


def test_an_expert_that_cannot_keep_the_limit_says_so(env):
    with pytest.raises(ExpertFailed, match=r"no way of at most 2 steps \(the gold path has \d+\)"):
        env.expert(BOIL, 2)


def test_what_is_left_out_of_a_gold_path():
    gold = [
        ("open door to hallway", "The door is already open."), ("go to hallway", "You move to the hallway."),
        ("open door to kitchen", "The door is already open."), ("go to kitchen", "You move to the kitchen."),
        ("pick up cup", "You move the cup to the inventory."), ("pour cup into cup", "You can't move something into "
                                                                                   "itself."),
        ("look around", "This room is called the kitchen."), ("drop cup", "You move the cup to the kitchen."),
        ("look around", "This room is called the kitchen."),
        *[("examine cup", "a cup"), ("use thermometer on cup", "the thermometer measures 5 degrees")] * 7,
        *[("wait1", "You decide to wait for 1 iterations.")] * 6,
    ]
    ways = list(shorter_ways(gold))
    measure = "use thermometer on cup"
    assert ways[0] == [
        "teleport to kitchen", "look around", "pick up cup", "look around", "put down cup",
        measure, "wait", measure, "wait", measure, "wait", "wait1",
    ]
    assert ways[-1] == [action for action, _ in gold]


@pytest.mark.parametrize("task_type", ["boil", "test-conductivity", "grow-plant", "lifespan-longest-lived"])
def test_a_step_gives_what_the_package_s_own_step_gives_after_load_and_reset(env, task_type):
    task = SciWorldTask.of(task_type, 0)
    env._load(task, with_gold_path=True)
    gold = list(env._client.server.getGoldActionSequence())[:20]
    actions = ["teleport to kitchen", "open cupboard", "pick up thermometer", "fly", *gold]
    text = env.reset(task)
    ours = [(step.observation, step.reward) for step in play(env, actions)]
    env._client.load(task_type, 0, "easy")
    _, info = env._client.reset()
    theirs, best = [], 0
    for action in actions:
        observation, _, _, after = env._client.step(action)
        best = max(best, after["score"])
        theirs.append((observation.strip(), best / 100))
    assert (text, ours) == (info["taskDesc"].strip(), theirs)


def test_the_task_is_told_as_in_the_published_trajectories(env):
    text = env.reset(SciWorldTask.of("find-plant", 0))
    assert text.startswith("Task Description:\nYour task is to find a(n) plant. First, focus on the thing.")


def test_easy_opens_doors_and_teleports_but_opens_no_container(env):
    env.reset(BOIL)
    steps = play(env, ["open door to kitchen", "teleport to kitchen", "teleport to moon", "look in fridge"])
    assert [step.observation for step in steps[:3]] == [
        "The door is already open.", "You teleport to the kitchen.", "No known action matches that input."
    ]
    assert steps[3].observation == "The fridge isn't open, so you can't see inside."
    assert [step.valid for step in steps] == [True, True, False, False]
    used = env._client.get_simplifications_used()
    assert set(used.split(", ")) == {"noElectricalAction", "openDoors", "selfWateringFlowerPots", "teleportAction"}
    env.reset(SciWorldTask.of("power-component", 0))  # which is about electricity
    used = env._client.get_simplifications_used()
    assert set(used.split(", ")) == {"openDoors", "selfWateringFlowerPots", "teleportAction"}


def test_without_simplification_nobody_teleports(env):
    env.reset(SciWorldTask.of("boil", 0, simplification=""))
    steps = play(env, ["teleport to kitchen", "go to kitchen"])
    assert [step.observation for step in steps] == ["No known action matches that input.", "The door is not open."]
    assert not any(step.valid for step in steps)


def test_wait_is_ten_moments_and_wait1_is_one(env):
    env.reset(BOIL)
    steps = play(env, ["wait", "wait1", "wait 1"])
    assert [step.observation for step in steps] == [
        "You decide to wait for 10 iterations.", "You decide to wait for 1 iterations.",
        "No known action matches that input.",
    ]


def test_an_ambiguous_action_is_answered_with_a_number(env):
    env.reset(BOIL)
    play(env, ["teleport to kitchen"])  # with an orange in hand, and another one in the bowl
    asked = env.step("pick up orange")
    assert asked.observation.startswith("Ambiguous request: Please enter the number for the action you intended")
    assert asked.valid and "\n0:\tpick up orange (in " in asked.observation and "\n1:\t" in asked.observation
    answered = env.step("1")
    assert answered.observation == "You move the orange to the inventory." and answered.valid
    assert not env.step("1").valid  # nobody has asked
    env.step("pick up orange")
    other = env.step("look around")  # anything else gives the question up
    assert other.observation.startswith("Unknown action.") and not other.valid
    assert env.step("look around").valid


def test_the_best_score_so_far_is_the_reward(env):
    env.reset(BOIL)
    best = play(env, ["teleport to kitchen", "look around", "teleport to outside"])[-1].reward
    assert best > 0
    env.step("teleport to kitchen")
    reset = env.step("reset task")  # as the simulator calls it: all progress is given up
    assert reset.reward == best and not reset.done
    assert env._client.server.getScore() < best


def test_a_wrong_focus_ends_the_episode_and_what_was_reached_stays(env):
    env.reset(BOIL)
    before = play(env, ["teleport to outside", "teleport to kitchen"])[-1]
    assert before.reward > 0
    wrong = env.step("focus on table")
    assert (wrong.reward, wrong.done, wrong.success) == (before.reward, True, False)


@pytest.mark.parametrize(
    "scores, reward", [([0, 0.17, 0.5, -1], 0.5), ([0.5, 0.17, -1], 0.5), ([-1], 0), ([0.2, 1], 1)]
)
def test_the_reward_is_the_best_score_and_at_least_0(env, monkeypatch, scores, reward):
    env.reset(BOIL)
    given = iter(scores)
    monkeypatch.setattr(env, "_take", lambda action: ("You focus on it.", next(given), False))
    steps = play(env, ["focus on it"] * len(scores))
    assert steps[-1].reward == reward
    assert [step.done for step in steps] == [score < 0 for score in scores]
    assert [step.success for step in steps] == [score == 1 for score in scores]


@pytest.mark.parametrize("action", ["", "fly", "look\nround", "pick up stove", "focus on", "7", "{o}"])
def test_whatever_is_said_gets_an_answer(env, action):
    env.reset(BOIL)
    step = env.step(action)
    assert step.observation and not step.valid and not step.done


def test_an_unknown_variation_is_named(env):
    with pytest.raises(InputError, match="0_999: .*exceeds the total number of variations"):
        env.reset(SciWorldTask.of("boil", 999))


def test_unseen_is_the_first_variations_of_the_simulator_s_test_half(env):
    """The rule by which the config lists them."""
    for task_type, variations in CONFIG.task.splits["test"].items():
        assert not env._client.server.load(task_type, 0, "easy", False)
        assert variations == env._client.get_variations_test()[:10], task_type
