"""The ALFWorld env on real games of both grammars, in its child process."""

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from eval_agent.envs import EnvError, ExpertFailed
from eval_agent.errors import InputError
from eval_agent.tasks import load_tasks
from eval_agent.tasks.alfworld import AlfWorldTask
from eval_agent.trajectories.format import task_turns


def play(env, actions):
    return [env.step(action) for action in actions]


@pytest.fixture(scope="module")
def demo_task(demo_games):
    return load_tasks(demo_games.task_config, "train")[0]


def official(alfworld_data, n) -> tuple[AlfWorldTask, list[str], list[str]]:
    """The n-th published expert trajectory: its game, its actions and what was seen (the task first)."""
    file = alfworld_data / "expert_train.jsonl"
    if not file.exists():
        pytest.skip(f"no published expert trajectories at {file}")
    with open(file) as lines:
        record = json.loads(next(islice(lines, n, None)))
    turns = [turn["value"] for turn in task_turns(record, "record")]
    return AlfWorldTask.of(alfworld_data / record["game_file"]), turns[1::2], turns[::2]


def test_a_new_grammar_game_speaks_put_and_is_won_by_the_expert(env, demo_task, demo_games):
    assert 'move {o} to {r}' in Path(demo_task.game_file).read_text()
    for task in load_tasks(demo_games.task_config, "train") + load_tasks(demo_games.task_config, "dev"):
        actions = demo_games.expert_actions[task.task_id]
        text = env.reset(task)
        assert text.startswith("You are in the middle of a room.") and text.count("\nYour task is to: ") == 1
        *before, last = play(env, actions)
        assert (last.reward, last.done, last.success) == (1.0, True, True)
        assert not any(step.done or step.reward for step in before)
        assert all(step.valid for step in [*before, last])
        seen = " ".join(step.observation for step in before)
        assert "You arrive at" not in seen and "You move" not in seen
    verbs = {action.split()[0] for actions in demo_games.expert_actions.values() for action in actions}
    assert "put" in verbs and "move" not in verbs


def test_put_is_taken_however_it_is_said(env, demo_games):
    task = next(t for t in load_tasks(demo_games.task_config, "train") if t.task_type.startswith("pick"))
    *actions, last = demo_games.expert_actions[task.task_id]
    _, thing, place = last.replace(" in/on ", "|").replace("put ", "|").split("|")
    for said in (last, f"put {thing} in {place}", f"move {thing} to {place}"):
        env.reset(task)
        play(env, actions)
        won = env.step(said)
        assert won.success and won.observation == f"You put the {thing} in/on the {place}."


@pytest.mark.parametrize(
    "action", ["go to desk 99", "fly away", "", "put x 1 in/on desk 1", "look\nlook", "{o.name}"]
)
def test_an_impossible_action_is_not_valid_and_changes_nothing(env, demo_task, action):
    env.reset(demo_task)
    step = env.step(action)
    assert (step.observation, step.valid, step.done, step.reward) == ("Nothing happens.", False, False, 0.0)


def test_a_reset_starts_afresh(env, demo_task, demo_games):
    actions = demo_games.expert_actions[demo_task.task_id]
    text = env.reset(demo_task)
    first = play(env, actions)
    assert env.reset(demo_task) == text
    assert play(env, actions) == first


@pytest.mark.parametrize("n", [0, 1700, 3000])
def test_published_expert_trajectories_win_and_read_the_same(env, alfworld_data, n):
    task, actions, seen = official(alfworld_data, n)
    text = env.reset(task)
    steps = play(env, actions)
    assert steps[-1].success
    assert text == seen[0].split("=-")[1].strip().replace("\n\n", "\n")
    assert [step.observation for step in steps] == seen[1:]


def test_old_grammar_games_take_put_and_move_alike(env, alfworld_data):
    task, actions, seen = official(alfworld_data, 1700)
    assert any(action.startswith("put ") for action in actions)
    env.reset(task)
    steps = play(env, [action.replace("put ", "move ").replace(" in/on ", " to ") for action in actions])
    assert steps[-1].success and [step.observation for step in steps] == seen[1:]


def test_the_expert_plays_old_grammar_games_too(env, alfworld_data):
    task, _, _ = official(alfworld_data, 1700)
    actions = env.expert(task, 40)
    env.reset(task)
    assert play(env, actions)[-1].success
    with pytest.raises(ExpertFailed, match="not win in 2 steps"):
        env.expert(task, 2)


def test_a_file_that_is_no_game_is_named(env, tmp_path):
    broken = tmp_path / "a-b" / "trial" / "game.tw-pddl"
    broken.parent.mkdir(parents=True)
    for text, reason in [("{", "cannot be read"), ('{"grammar": ""}', '"pddl_domain" is missing')]:
        broken.write_text(text)
        with pytest.raises(InputError, match=f"{broken}.*{reason}"):
            env.reset(AlfWorldTask.of(broken))
    os.remove(broken)
    with pytest.raises(InputError, match=str(broken)):
        env.reset(AlfWorldTask.of(broken))


def test_a_fault_inside_the_benchmark_is_an_env_error_and_the_next_game_plays(env, tmp_path, demo_task):
    game = json.loads(Path(demo_task.game_file).read_text())
    broken = tmp_path / "a-b" / "trial" / "game.tw-pddl"
    broken.parent.mkdir(parents=True)
    broken.write_text(json.dumps(game | {"grammar": game["grammar"].replace("#task#", "#tusk#")}))
    with pytest.raises(EnvError, match="tusk"):
        env.reset(AlfWorldTask.of(broken))
    assert env.reset(demo_task).startswith("You are in")
