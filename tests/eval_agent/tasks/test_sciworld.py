"""ScienceWorld's splits: the paper's variations under the simulator's names, and what is said without the files."""

import json
from collections import Counter

import pytest

from eval_agent.config import TaskConfig, load_task_config, override
from eval_agent.errors import InputError
from eval_agent.files import write_json
from eval_agent.tasks import load_tasks
from eval_agent.tasks.sciworld import NUMBERS, current_name, read_indices


@pytest.fixture(scope="module")
def config() -> TaskConfig:
    return load_task_config("sciworld", "configs/task")


@pytest.mark.parametrize("old, new", [
    ("task-1-boil", "boil"),
    ("task-2a-test-conductivity-of-unknown-substances", "test-conductivity-of-unknown-substances"),
    ("task-10-measure-melting-point-(known-substance)", "measure-melting-point-known-substance"),
    ("task-5-chemistry-mix-paint-(secondary-color)", "chemistry-mix-paint-secondary-color"),
    ("find-plant", "find-plant"),
])
def test_old_task_names_are_mapped(old, new):
    assert current_name(old) == new


def test_a_task_type_outside_the_paper_is_refused():
    with pytest.raises(InputError, match='"task-9-mendellian-genetics-.*none of the 24'):
        current_name("task-9-mendellian-genetics-(known-plant)")


def test_unseen_needs_no_file(config, monkeypatch, tmp_path):
    monkeypatch.setenv("SCIWORLD_INDICES", str(tmp_path / "nowhere"))
    tasks = load_tasks(config, "unseen")
    assert len(tasks) == 211 and set(Counter(task.task_type for task in tasks)) == set(NUMBERS)
    assert (tasks[0].task_id, tasks[0].task_type, tasks[0].variation) == ("0_21", "boil", 21)
    assert {task.simplification for task in tasks} == {"easy"}


@pytest.mark.parametrize("split, name", [("seen", "dev"), ("train", "train")])
def test_a_missing_file_names_the_command_that_fetches_it(config, monkeypatch, tmp_path, split, name):
    monkeypatch.setenv("SCIWORLD_INDICES", str(tmp_path))
    with pytest.raises(InputError, match=f"{name}_indices.json: no such index file.*download_data.sh sciworld"):
        load_tasks(config, split)


@pytest.mark.parametrize("entry", [["task-1-boil"], ["task-1-boil", "4"], "boil", [4, "task-1-boil"]])
def test_an_entry_that_is_none_is_named(tmp_path, entry):
    write_json(tmp_path / "indices.json", [["task-1-boil", 4], entry])
    with pytest.raises(InputError, match=r"indices.json: entry 1 is .*expected \[task name, variation\]"):
        read_indices(tmp_path / "indices.json")


def test_the_paper_s_splits(config, sciworld_indices, monkeypatch):
    monkeypatch.setenv("SCIWORLD_INDICES", str(sciworld_indices))
    assert {split: len(load_tasks(config, split)) for split in ("train", "seen", "unseen")} == {
        "train": 1483, "seen": 194, "unseen": 211
    }
    listed = read_indices(sciworld_indices / "test_indices.json")
    assert {(task.task_type, task.variation) for task in load_tasks(config, "unseen")} == set(listed)
    numbers = json.loads((sciworld_indices / "taskname2id.json").read_text())
    assert {NUMBERS[current_name(name)] for name, _ in listed} <= set(numbers.values())
    assert all(numbers[name] == NUMBERS[current_name(name)] for name in numbers if current_name_or_none(name))


def test_the_step_limits_are_the_paper_s(config, sciworld_indices):
    limits = json.loads((sciworld_indices / "max_steps.json").read_text())
    assert config.env.max_steps == {current_name(name): limit for name, limit in limits.items()}
    assert (min(limits.values()), max(limits.values())) == (10, 120)
    assert config.env.step_limit(load_tasks(config, "unseen")[0]) == 100


def test_a_task_type_without_a_step_limit_is_named(config):
    with pytest.raises(InputError, match='env.max_steps of the task config has no entry "boil"'):
        override(config, {"env.max_steps": {"melt": 80}}, "test").env.step_limit(load_tasks(config, "unseen")[0])


def current_name_or_none(name: str) -> str | None:
    try:
        return current_name(name)
    except InputError:
        return None
