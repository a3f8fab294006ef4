"""Tasks: which games a split has, what they are called, and what is said where there are none."""

import json
from pathlib import Path

import pytest

from eval_agent.config import TaskConfig, load_task_config, override
from eval_agent.errors import InputError
from eval_agent.tasks import Task, canonical_split, choose_evenly, load_tasks
from eval_agent.tasks.alfworld import data_path

OFFICIAL = load_task_config("alfworld", "configs/task")


def write_game(folder: Path, name: str, text: str) -> None:
    trial = folder / "train" / name / "trial_1"
    trial.mkdir(parents=True)
    (trial / "game.tw-pddl").write_text(text)


def config_of(folder: Path) -> TaskConfig:
    return override(OFFICIAL, {"task.data_path": str(folder)}, "test")


@pytest.mark.parametrize(
    "given, meant", [("train", "train"), ("seen", "dev"), ("dev", "dev"), ("unseen", "test")]
)
def test_splits_have_the_release_names_and_the_paper_s(given, meant):
    assert canonical_split(given) == meant


def test_an_unknown_split_names_the_known_ones():
    with pytest.raises(InputError, match='"valid".*train, dev, seen, test, unseen'):
        canonical_split("valid")


def test_only_solvable_games_of_the_six_types_are_tasks_in_alphabetical_order(tmp_path):
    mark = '{"grammar": "\\"solvable\\": true", "solvable": %s}'
    write_game(tmp_path, "pick_two_obj_and_place-Mug-None-Desk-1", mark % "true")
    write_game(tmp_path, "look_at_obj_in_light-Mug-None-DeskLamp-1", mark % "true")
    write_game(tmp_path, "look_at_obj_in_light-CD-None-DeskLamp-1", mark % "false")
    write_game(tmp_path, "look_at_obj_in_light-Pen-None-DeskLamp-1", '{"grammar": "\\"solvable\\": true"}')
    write_game(tmp_path, "pick_and_place_simple-AppleSliced-None-Desk-1", mark % "true")
    write_game(tmp_path, "pick_and_place_with_movable_recep-Mug-Bowl-Desk-1", mark % "true")
    tasks = load_tasks(config_of(tmp_path), "train")
    assert [(task.task_id, task.task_type) for task in tasks] == [
        ("look_at_obj_in_light-Mug-None-DeskLamp-1__trial_1", "look_at_obj_in_light"),
        ("pick_two_obj_and_place-Mug-None-Desk-1__trial_1", "pick_two_obj_and_place"),
    ]
    assert Path(tasks[0].game_file).is_file()


def test_the_mark_is_found_before_a_long_walkthrough_too(tmp_path):
    game = {"solvable": True, "walkthrough": ["go to desk 1"] * 1000}
    write_game(tmp_path, "pick_and_place_simple-Mug-None-Desk-1", json.dumps(game))
    assert len(load_tasks(config_of(tmp_path), "train")) == 1


def test_missing_games_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"json_2.1.1/valid_seen: no such folder .*alfworld-download"):
        load_tasks(OFFICIAL, "seen")
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"train: no solvable games .*eval_agent.demo.games"):
        load_tasks(config_of(tmp_path), "train")


def test_an_unknown_task_class_or_a_split_that_a_benchmark_lacks(tmp_path):
    with pytest.raises(InputError, match='unknown task class "CookingTask"'):
        load_tasks(override(OFFICIAL, {"task.task_class": "CookingTask"}, "test"), "train")
    with pytest.raises(InputError, match='no split "dev", only train'):
        load_tasks(override(OFFICIAL, {"task.splits": {"train": "train"}}, "test"), "seen")


def test_alfworld_data_has_alfworld_s_own_default(monkeypatch):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    assert data_path("$ALFWORLD_DATA/json_2.1.1") == Path.home() / ".cache/alfworld/json_2.1.1"
    monkeypatch.setenv("ALFWORLD_DATA", "~/games")
    assert data_path("$ALFWORLD_DATA/json_2.1.1") == Path.home() / "games/json_2.1.1"


def test_the_official_splits(alfworld_data, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(alfworld_data))
    assert len(load_tasks(OFFICIAL, "train")) == 3554
    assert len(load_tasks(OFFICIAL, "seen")) == 140


def test_a_limit_takes_every_type_alike_and_keeps_the_order():
    tasks = [Task(f"a{n}", "a") for n in range(8)] + [Task(f"b{n}", "b") for n in range(3)] + [Task("c", "c")]
    chosen = choose_evenly(tasks, 6)
    assert [task.task_type for task in chosen] == ["a", "a", "a", "b", "b", "c"]
    assert chosen == [task for task in tasks if task in chosen]
    assert chosen == choose_evenly(tasks, 6) != choose_evenly(tasks, 6, seed=1)
    assert choose_evenly(tasks, 99) == tasks
