"""Configs are checked before anything is loaded."""

import json

import pytest

from eval_agent.config import load_model_config, load_task_config, override
from eval_agent.errors import InputError

FOLDER = "configs/task"


def changed(tmp_path, field, value):
    config = load_task_config("alfworld", FOLDER)
    section, key = field.split(".")
    if value is None:
        del config[section][key]
    else:
        config[section][key] = value
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(config))
    return str(path)


def test_the_paper_s_hyperparameters_are_the_defaults():
    config = load_task_config("alfworld", FOLDER)
    assert (config["planner"]["gamma"], config["planner"]["n_neighbours"]) == (0.4, 3000)
    assert config["env"]["max_steps"] == 40
    assert config["agent"]["temperature"] == config["world_model"]["temperature"] == 0
    assert config["agent"]["temperature_with_knowledge"] == 0.5
    assert load_model_config("fastchat", "configs/model")["agent_class"] == "FastChatAgent"


def test_fields_are_replaced_in_a_copy():
    config = load_task_config("alfworld", FOLDER)
    changed = override(config, {"planner.gamma": 1.0, "state_base.path": "elsewhere"}, "--gamma")
    assert (changed["planner"]["gamma"], changed["state_base"]["path"]) == (1.0, "elsewhere")
    assert config == load_task_config("alfworld", FOLDER)
    with pytest.raises(InputError, match='--gamma: field "planner.gamma" is 1.5, expected a number from 0 to 1'):
        override(config, {"planner.gamma": 1.5}, "--gamma")
    with pytest.raises(InputError, match='x.json: a task config has no field "planner.gama", only .*planner.gamma'):
        override(config, {"planner.gama": 1.0}, "x.json")


@pytest.mark.parametrize("field, value, message", [
    ("planner.gamma", 2, 'field "planner.gamma" is 2, expected a number from 0 to 1'),
    ("planner.gamma", None, 'field "planner.gamma" is missing'),
    ("planner.verbs", ["go", "go"], "list of different, non-empty verbs"),
    ("env.lower_case_actions", "yes", "expected true or false"),
    ("env.max_steps", 0, "positive whole number"),
    ("env.max_steps", {"boil": 100, "melt": "80"}, "positive whole number for each task type"),
    ("agent.temperature", "hot", "number of at least 0"),
])
def test_a_bad_field_is_named_with_its_file(tmp_path, field, value, message):
    with pytest.raises(InputError, match=message) as caught:
        load_task_config(changed(tmp_path, field, value), FOLDER)
    assert "changed.json" in str(caught.value)


def test_an_unknown_config_lists_the_known_ones():
    with pytest.raises(InputError, match="configs in configs/task: .*alfworld"):
        load_task_config("alfwold", FOLDER)
