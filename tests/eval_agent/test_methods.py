"""Every method config fits both tasks; what is wrong in one is named."""

import json
import re
from fnmatch import fnmatch

import pytest

from eval_agent.config import METHODS, load_method, load_task_config, override, read_instruction
from eval_agent.errors import InputError
from eval_agent.rules.alfworld_state import AlfWorldState
from eval_agent.rules.sciworld_state import SciWorldState, parse_task
from eval_agent.trajectories.format import action_verb

TASKS = ("alfworld", "sciworld")
NAMES = {
    "react", "reflexion", "sft", "sft_warm", "nat", "eto", "knowagent", "wkm", "w_state", "w_task",
    "wo_rejected", "merge", "prompt", "explicit_state", "human", "react_strong", "weak_guide_strong",
    "wkm_unified", "wkm_exact", "wkm_hidden", "wkm_minilm",
    "wkm_outcome", "wkm_floor", "wkm_tempered", "wkm_explored", "wkm_explored_outcome", "wkm_stuck",
}


def task_config(task):
    return load_task_config(task, "configs/task")


def text(task, purpose, method):
    return read_instruction(load_method(method).text_file(task_config(task), purpose))


def test_these_are_the_methods():
    assert {path.stem for path in METHODS.glob("*.json")} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_method_s_adapters_are_trained_by_the_script_and_priced_by_the_estimate(name):
    method = load_method(name)
    wanted = {method.agent_model, method.world_model} - {None, "base"}
    script = (METHODS.parents[1] / "scripts" / "train.sh").read_text()
    trained = [glob for line in re.findall(r"^        (\w[\w |*]*|\*\w+)\)", script, re.MULTILINE) for glob in line.split(" | ")]
    assert all(any(fnmatch(adapter, glob) for glob in trained) for adapter in wanted)
    assert wanted <= json.loads((METHODS.parent / "estimate.json").read_text())["conversations_per_game"].keys()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_method_has_all_that_it_needs_for_each_task(name, task):
    method = load_method(name)
    config = method.apply(task_config(task))
    texts = {purpose: text(task, purpose, name) for purpose in method.text_roles}
    assert texts["agent"].startswith(read_instruction(config.agent.instruction))
    assert (method.world_model is None) == ("world_model" not in texts)


@pytest.mark.parametrize("name, temperature", [
    ("sft", 0.0), ("sft_warm", 0.5), ("knowagent", 0.0), ("reflexion", 0.0), ("wkm", 0.5), ("w_state", 0.5),
    ("w_task", 0.5), ("human", 0.5), ("explicit_state", 0.5), ("react_strong", 0.0),
    ("weak_guide_strong", 0.0),
])
def test_the_agent_s_temperature(name, temperature):
    method = load_method(name)
    assert method.agent_temperature(method.apply(task_config("alfworld"))) == temperature


def example(task):
    """(task, [(action, observation)]) of the ReAct instruction's example."""
    told = text(task, "agent", "react").partition("Here is an example of a task that was finished well.\n")[2]
    opening, *steps = re.split(r"\nThought: [^\n]*\nAction: ", told.partition("\nThe example ends here.")[0])
    return opening, [tuple(step.split("\nObservation: ")) for step in steps]


@pytest.mark.parametrize("task", TASKS)
def test_the_example_trajectory_is_worded_as_the_env_s(task):
    opening, steps = example(task)
    assert len(steps) >= 8
    assert {action_verb(action) for action, _ in steps} <= set(task_config(task).planner.verbs)
    world = AlfWorldState.at_start(opening) if task == "alfworld" else SciWorldState(parse_task(opening))
    for action, observation in steps:
        world.update(action, observation)
        assert world.failed is None
    if task == "alfworld":
        assert world.holding is None and world.placed == [("egg 3", "diningtable 1")]
    else:
        assert world.focused == ["thermometer", "chocolate"] and world.moved == {"chocolate": "blue box"}


@pytest.mark.parametrize("task", TASKS)
def test_prompted_and_written_knowledge_have_the_project_s_form(task):
    prompt = text(task, "world_model", "prompt").partition("Here are two examples.")[2]
    answers = re.findall(r"You answer:\n(.*)", prompt)
    assert sum(answer.startswith("Task Knowledge: When you have to ") for answer in answers) == 2
    assert all(answer.startswith(("Task Knowledge: ", "State Knowledge: The task is to ")) for answer in answers)
    for knowledge in (text(task, "task_knowledge", "human"), *(a for a in answers if a.startswith("Task"))):
        assert knowledge.startswith("Task Knowledge: When ") and " The action workflows are: " in knowledge


def changed(tmp_path, **fields):
    config = {**json.loads((METHODS / "wkm.json").read_text()), **fields}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))
    return str(path)


@pytest.mark.parametrize("fields, message", [
    ({"title": ...}, 'mine.json: field "title" is missing'),
    ({"task_knowlege": "none"}, 'mine.json: unknown field "task_knowlege", expected title, .*task_knowledge'),
    ({"trials": "2"}, "mine.json: field \"trials\" is '2', expected a whole number"),
    ({"trials": 0}, 'mine.json: field "trials" is 0, expected greater than 0'),
    ({"action_path": 1}, 'field "action_path" is 1, expected true or false'),
    ({"agent_model": ""}, 'field "agent_model" is \'\', expected a non-empty string'),
    ({"state_knowledge": "agent"}, "field \"state_knowledge\" is 'agent', expected 'none', 'planner' or 'context'"),
    ({"world_model": None}, 'field "world_model" is null, but'),
    ({"task_knowledge": "none", "state_knowledge": "none"}, 'field "world_model" names a model whose knowledge'),
])
def test_a_wrong_field_is_named(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        load_method(changed(tmp_path, **fields))


@pytest.mark.parametrize("overrides, message", [
    ({"planner.gama": 1}, 'overrides of method "mine": a task config has no field "planner.gama"'),
    ({"planner.gamma": 2}, 'overrides of method "mine": field "planner.gamma" is 2, expected less than or equal to 1'),
])
def test_a_wrong_override_is_named(tmp_path, overrides, message):
    with pytest.raises(InputError, match=message):
        load_method(changed(tmp_path, overrides=overrides)).apply(task_config("alfworld"))


def test_unknown_methods_and_missing_texts_are_told():
    with pytest.raises(InputError, match="wmk.json: no such config .*knowagent, merge, .*wkm"):
        load_method("wmk")
    config = task_config("alfworld")
    config = override(config, {"agent.instruction": "eval_agent/prompt/instructions/wordle_agent.txt"}, "test")
    with pytest.raises(InputError, match='method "react" cannot play this task: .*/wordle_react.txt is missing'):
        load_method("react").text_file(config, "agent")
    config = override(config, {"agent.instruction": "mine.txt"}, "test")
    assert load_method("sft").text_file(config, "agent") == "mine.txt"
    with pytest.raises(InputError, match='agent.instruction is "mine.txt", expected TASK_agent.txt'):
        load_method("react").text_file(config, "agent")
