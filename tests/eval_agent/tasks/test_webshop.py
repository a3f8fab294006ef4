"""WebShop's goals as tasks: splits, what a task is made of, and what is refused before any model is loaded."""

import json
from dataclasses import asdict

import pytest

from eval_agent.config import load_task_config, override
from eval_agent.errors import InputError
from eval_agent.tasks import load_tasks, task_class
from eval_agent.webshop.data import data_file
from eval_agent.webshop.goals import indices_of
from tests.eval_agent.small_shop import record, write_shop


def test_a_task_is_a_goal_of_a_shop(small_shop):
    tasks = load_tasks(small_shop.config(), "test")
    assert sorted(task.task_id for task in tasks) == [f"webshop_{n}" for n in range(4)]
    assert {task.task_type for task in tasks} == {"garden", "electronics"}
    assert {task.goal.asin for task in tasks} == {"B00MUG0001", "B00MUG0002", "B00LAMP004"}
    assert {task.benchmark for task in tasks} == {"webshop"}
    assert load_tasks(small_shop.config(), "test") == tasks and len(set(tasks)) == 4


def test_a_task_goes_through_json(small_shop):
    task = load_tasks(small_shop.config(), "test")[0]
    again = task_class("WebShopTask")(**json.loads(json.dumps(asdict(task))))
    assert again == task and again.goal.price_upper == task.goal.price_upper


def test_identity_is_what_the_shop_holds_not_where_it_lies(small_shop, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = write_shop(tmp_path)
    task = load_tasks(small_shop.config(), "test")[0]
    there = small_shop.__class__(tmp_path, small_shop.shop)
    same = load_tasks(there.config(store=None), "test")[0]
    assert same.store != task.store and same.identity() == task.identity()
    files[0].write_text(json.dumps([record("B00MUG0001", "Another mug")]))
    other = load_tasks(there.config(store=None), "test")[0]
    assert other.identity() != task.identity()


@pytest.mark.parametrize("indices, message", [
    ([0, 4], "indices.json: goal index 4 is outside the set of 4 goals"),
    (["0"], "indices.json: goal index '0' is outside"),
])
def test_an_index_file_of_another_set_is_refused(small_shop, indices, message):
    (small_shop.folder / "indices.json").write_text(json.dumps(indices))
    config = override(small_shop.config(), {"task.splits": {"train": "indices.json"}}, "test")
    with pytest.raises(InputError, match=message):
        load_tasks(config, "train")
    (small_shop.folder / "indices.json").write_text("[3, 1]")
    assert [task.task_id for task in load_tasks(config, "train")] == ["webshop_3", "webshop_1"]


def test_the_number_of_goals_has_to_be_that_of_the_index_files(small_shop):
    with pytest.raises(InputError, match="attributes.json: 4 goals for the products of .*, expected 12087"):
        load_tasks(small_shop.config(n_goals=12087), "test")


def test_a_store_of_another_product_file_is_refused(small_shop, tmp_path):
    write_shop(tmp_path, [record("B1", "Another mug")])
    there = small_shop.__class__(tmp_path, small_shop.shop)
    with pytest.raises(InputError, match="store: built with products .* is asked for"):
        load_tasks(there.config(store=str(small_shop.folder / "store")), "test")


def test_missing_files_name_the_command_that_fetches_them(monkeypatch, tmp_path):
    monkeypatch.setenv("WEBSHOP_DATA", str(tmp_path))
    for name, file in (("webshop", "items_shuffle.json"), ("webshop_1k", "items_shuffle_1000.json")):
        with pytest.raises(InputError, match=f"{file}: no such file; fetch it with .*download_data.sh webshop"):
            load_tasks(load_task_config(name, "configs/task"), "test")


def test_a_config_without_a_shop_is_refused():
    config = override(load_task_config("webshop", "configs/task"), {"task.shop": None}, "test")
    with pytest.raises(InputError, match="no task.shop"):
        load_tasks(config, "test")


def test_webshop_1k(webshop_data, monkeypatch):
    monkeypatch.setenv("WEBSHOP_DATA", str(webshop_data))
    config = load_task_config("webshop_1k", "configs/task")
    train, test = load_tasks(config, "train"), load_tasks(config, "unseen")
    assert len(test) >= 200 and not {task.goal.asin for task in train} & {task.goal.asin for task in test}
    assert {task.task_type for task in test} == {"beauty", "electronics", "fashion", "garden", "grocery"}


def test_the_paper_s_index_files(webshop_data):
    if not (webshop_data / "train_indices.json").is_file():
        pytest.skip(f"no index files at {webshop_data}")
    train, test = (indices_of(data_file(webshop_data, f"{name}_indices.json"), 12_087) for name in ("train", "test"))
    assert (len(train), len(test), len(set(train) & set(test))) == (1_823, 200, 21)
