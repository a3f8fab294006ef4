"""Configs are checked before anything is loaded, and what is wrong in one is named."""

import json
from pathlib import Path

import pytest

from eval_agent.config import load_method, load_model_config, load_task_config, override, read_config
from eval_agent.errors import InputError

FOLDER = "configs/task"


def written(tmp_path, config, name="changed") -> str:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(config))
    return str(path)


def test_the_paper_s_hyperparameters_are_the_defaults():
    config = load_task_config("alfworld", FOLDER)
    assert (config.planner.gamma, config.planner.n_neighbours) == (0.4, 3000)
    assert config.env.max_steps == 40
    assert config.agent.temperature == config.world_model.temperature == 0
    assert config.agent.temperature_with_knowledge == 0.5
    assert config.world_model.max_state_tokens == 128
    assert load_model_config("fastchat", "configs/model").agent_class == "FastChatAgent"


@pytest.mark.parametrize("path", sorted(Path("configs").glob("[mt][eoa][tds][hek]*/*.json")), ids=str)
def test_every_config_that_ships_is_valid(path):
    load = {"task": load_task_config, "model": load_model_config, "method": load_method}[path.parent.name]
    load(path.stem, path.parent)


def test_fields_are_replaced_in_a_copy():
    config = load_task_config("alfworld", FOLDER)
    changed = override(config, {"planner.gamma": 1.0, "state_base.path": "elsewhere"}, "--gamma")
    assert (changed.planner.gamma, changed.state_base.path) == (1.0, "elsewhere")
    assert config == load_task_config("alfworld", FOLDER)
    with pytest.raises(InputError, match='--gamma: field "planner.gamma" is 1.5, expected less than or equal to 1'):
        override(config, {"planner.gamma": 1.5}, "--gamma")
    with pytest.raises(InputError, match='x.json: a task config has no field "planner.gama", only .*planner.gamma'):
        override(config, {"planner.gama": 1.0}, "x.json")


@pytest.mark.parametrize("field, value, message", [
    ("planner.gamma", 2, 'field "planner.gamma" is 2, expected less than or equal to 1'),
    ("planner.gamma", None, 'field "planner.gamma" is missing'),
    ("planner.score", "whole", 'unknown field "planner.score", expected gamma, n_neighbours,'),
    ("planner.verbs", ["go", "go"], "expected a list of different, non-empty verbs"),
    ("planner.pre_action_rule", "first", "'first', expected 'verb', 'exact' or 'outcome'"),
    ("env.lower_case_actions", "yes", "is 'yes', expected true or false"),
    ("env.max_steps", 0, 'field "env.max_steps" is 0, expected greater than 0 or an object'),
    ("env.max_steps", {"boil": 100, "melt": "80"}, 'field "env.max_steps.melt" is \'80\', expected a whole number'),
    ("agent.temperature", "hot", 'field "agent.temperature" is \'hot\', expected a number'),
    ("agent.temperature", True, 'field "agent.temperature" is True, expected a number'),
    ("agent.instruction", "", "expected a non-empty string"),
])
def test_a_bad_field_is_named_with_its_file(tmp_path, field, value, message):
    config = load_task_config("alfworld", FOLDER).model_dump()
    section, key = field.split(".")
    config[section][key] = value
    if value is None:
        del config[section][key]
    with pytest.raises(InputError) as caught:
        load_task_config(written(tmp_path, config), FOLDER)
    assert str(caught.value).startswith(f"{tmp_path}/changed.json: ") and message in str(caught.value)


def test_a_config_extends_another_one_by_the_fields_of_its_sections(tmp_path):
    written(tmp_path, {"task": {"a": {"b": 1}, "c": 2}, "d": [3]}, "base")
    middle = written(tmp_path, {"extends": "base", "task": {"a": {"e": 4}}}, "middle")
    assert read_config(middle) == {"task": {"a": {"e": 4}, "c": 2}, "d": [3]}
    last = written(tmp_path, {"extends": "middle.json", "d": []}, "last")
    assert read_config(last) == {"task": {"a": {"e": 4}, "c": 2}, "d": []}


@pytest.mark.parametrize("extends, message", [
    ("loop", 'field "extends" leads back to it'),
    ("nowhere", "nowhere.json: no such config .*loop"),
    (5, 'field "extends" is 5, expected the name of a config beside it'),
])
def test_a_config_that_cannot_be_extended_is_named(tmp_path, extends, message):
    with pytest.raises(InputError, match=message):
        read_config(written(tmp_path, {"extends": extends}, "loop"))


def test_an_unknown_config_lists_the_known_ones():
    with pytest.raises(InputError, match="configs in configs/task: .*alfworld"):
        load_task_config("alfwold", FOLDER)
