"""The pre-training's recipe: the shipped ones are whole, a fault is told before the long work."""

from pathlib import Path

import pytest

from eval_agent.config import read_config
from eval_agent.errors import InputError
from eval_agent.files import write_json
from train.tiny_base.copying import KINDS
from train.tiny_base.recipe import load_recipe

SHIPPED = sorted(Path("configs/train").glob("tiny_base*.json"))


def test_shipped_recipes_are_whole():
    kinds = {load_recipe(path).copying_heads for path in SHIPPED}
    assert kinds == {None, *KINDS}


@pytest.mark.parametrize("field, value, told", [
    ("copying_heads", True, 'field "copying_heads" is True, expected \'shop\' or \'plain\''),
    ("shares", 3, 'field "shares" is 3, expected an object'),
    ("shares", {"sciworld": "half"}, 'field "shares.sciworld" is \'half\', expected a number'),
    ("shares", {"sciworld": 0}, 'field "shares.sciworld" is 0, expected greater than 0'),
    ("shares", {"crafter": 1}, "crafter"),
    ("learning_rat", 0.1, 'unknown field "learning_rat", expected tokenizer, model, '),
    ("model", {"hiden_size": 3}, 'unknown field "model.hiden_size", expected hidden_size, '),
    ("stages", [], 'field "stages" is [], expected'),
    ("stages", [{"minutes": 1, "tokens_per_batch": 9}], 'field "stages.0.lengths" is missing'),
    ("stages", [{"minutes": 1, "lengths": [8, 4], "tokens_per_batch": 9}],
     'field "stages.0.lengths" is [8, 4], expected ascending lengths'),
    ("stages", [{"minutes": 1, "lengths": [4, 8], "tokens_per_batch": 7}],
     'field "stages.0.tokens_per_batch" is 7, expected at least the longest of its "lengths", 8'),
    ("stages", [{"minutes": 1, "lengths": [4], "tokens_per_batch": 9, "shortened": 1.5}],
     'field "stages.0.shortened" is 1.5, expected less than or equal to 1'),
])
def test_a_wrong_field_is_told(field, value, told, tmp_path):
    recipe = read_config("configs/train/tiny_base.json")
    recipe[field] = recipe.get(field, {}) | value if field == "model" else value
    write_json(tmp_path / "recipe.json", recipe)
    with pytest.raises(InputError) as error:
        load_recipe(tmp_path / "recipe.json")
    assert f"{tmp_path}/recipe.json: " in str(error.value) and told in str(error.value)
