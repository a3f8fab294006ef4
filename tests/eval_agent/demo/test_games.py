"""The demo games: what is planned, what is in a game, and that making them again changes nothing."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from alfworld.gen import constants

from eval_agent.demo.games import GAMES_PER_TYPE, MAX_EXPERT_STEPS, main, make_games, plan
from eval_agent.demo.layout import FITS, WORK, goals_in, place_things
from eval_agent.demo.rooms import THINGS, TRAIN_ROOMS, UNSEEN_ROOMS
from eval_agent.errors import InputError
from eval_agent.tasks import load_tasks
from eval_agent.tasks.alfworld import TASK_TYPES

SLOTS = plan(seed=0)
ROOMS = TRAIN_ROOMS + UNSEEN_ROOMS
ALL_GOALS = [goal for room in ROOMS for kind in TASK_TYPES for goal in goals_in(room, kind)]


def files_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_there_are_enough_games_of_every_type():
    planned = Counter((slot.split, slot.goals[0].task_type) for slot in SLOTS)
    assert planned == {(split, kind): n for split, n in GAMES_PER_TYPE.items() for kind in TASK_TYPES}
    totals = Counter(slot.split for slot in SLOTS)
    assert totals["train"] >= 24 and totals["valid_seen"] >= 12 and totals["valid_unseen"] >= 12
    assert len({(slot.split, slot.trial) for slot in SLOTS}) == len(SLOTS)


def test_no_goal_is_in_two_games():
    goals = [goal for slot in SLOTS for goal in slot.goals]
    assert len(set(goals)) == len(goals)
    assert all(slot.goals for slot in SLOTS)


def test_seen_rooms_are_train_rooms_and_unseen_rooms_are_not():
    rooms = {split: {goal.room.number for slot in SLOTS if slot.split == split for goal in slot.goals}
             for split in GAMES_PER_TYPE}
    assert rooms["valid_seen"] <= rooms["train"]
    assert not rooms["valid_unseen"] & rooms["train"]
    numbers = [room.number for room in ROOMS]
    assert len(set(numbers)) == len(numbers) and not set(numbers) & set(constants.SCENE_NUMBERS)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.number))
def test_rooms_use_alfworld_s_own_names_and_have_10_to_20_receptacles(room):
    assert 10 <= sum(room.receptacles.values()) <= 20
    assert set(room.receptacles) <= set(constants.RECEPTACLES)
    assert set(THINGS[room.kind]) <= set(constants.OBJECTS)
    assert room.lamp_on is None or room.lamp_on in room.receptacles


def test_goals_can_be_done_in_their_room():
    assert {goal.task_type for goal in ALL_GOALS} == set(TASK_TYPES)
    for goal in ALL_GOALS:
        if goal.task_type in WORK:
            affordance, workplace = WORK[goal.task_type]
            assert goal.thing in constants.VAL_ACTION_OBJECTS[affordance]
            assert workplace in goal.room.receptacles
        if goal.task_type == "look_at_obj_in_light":
            assert goal.target == "DeskLamp" and goal.room.lamp_on
        else:
            assert goal.thing in FITS[goal.target] and goal.target in goal.room.receptacles


def test_nothing_of_the_goal_is_done_at_the_start():
    for number, goal in enumerate(ALL_GOALS):
        layout = place_things(goal, random.Random(number))
        targets = [place for thing, place in layout.things if thing == goal.thing]
        assert len(targets) >= (2 if goal.task_type == "pick_two_obj_and_place" else 1)
        assert goal.target not in [receptacle for receptacle, _ in targets]
        for thing, (receptacle, index) in layout.things:
            assert index < goal.room.receptacles[receptacle]
            assert thing == "DeskLamp" or thing in FITS[receptacle]


def test_a_game_has_alfworld_s_format_and_one_of_its_wordings(demo_games):
    for task in load_tasks(demo_games.task_config, "train"):
        game = json.loads(Path(task.game_file).read_text())
        assert set(game) == {"pddl_domain", "grammar", "pddl_problem", "solvable"}
        assert game["solvable"] is True
        assert "UNKNOWN GOAL" not in game["grammar"]
        traj = json.loads((Path(task.game_file).parent / "traj_data.json").read_text())
        kind, thing, movable, target, scene = Path(task.game_file).parts[-3].split("-")
        params = traj["pddl_params"]
        assert (traj["task_type"], params["object_target"]) == (kind, thing)
        assert traj["scene"]["scene_num"] == int(scene)
        assert target in (params["parent_target"], params["toggle_target"]) and movable == "None"


def test_the_expert_s_way_is_short_enough_for_an_episode(demo_games):
    assert all(0 < len(actions) <= MAX_EXPERT_STEPS < 40 for actions in demo_games.expert_actions.values())


def test_the_same_seed_gives_the_same_bytes_and_finished_games_stay(demo_games, tmp_path):
    slots = [slot for slot in SLOTS if slot.split == "valid_seen"][:1]
    made = make_games(slots, tmp_path, num_workers=1)
    assert made == {"valid_seen": 1}
    first = files_of(tmp_path)
    elsewhere = files_of(demo_games.folder)  # made in another run, among other games
    assert first == {name: data for name, data in elsewhere.items() if name.startswith("valid_seen")}
    assert make_games(slots, tmp_path, num_workers=1) == {}
    assert files_of(tmp_path) == first


def test_games_of_another_seed_are_not_mixed_in(demo_games, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["demo_games", "--output_dir", str(demo_games.folder), "--seed", "1"])
    with pytest.raises(SystemExit):
        main()
    assert "holds games of another seed, such as train/trial_D0000_" in capsys.readouterr().err
    with pytest.raises(InputError, match="another seed"):
        make_games(plan(seed=2), demo_games.folder, num_workers=1)
