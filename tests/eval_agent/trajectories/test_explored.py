"""Of the explored episodes those that won are kept, with the steps that were refused."""

import pytest

from eval_agent.errors import InputError
from eval_agent.trajectories.explored import won_trajectories
from tests.eval_agent.toy_paper import episode, write_json


def test_won_episodes_with_an_answer_at_every_step_are_kept(tmp_path):
    won = {**episode("a", reward=1.0), "invalid_steps": [0]}
    empty = {**episode("b", reward=1.0), "invalid_steps": []}
    empty["conversations"] += [{"from": "gpt", "value": " "}]
    for one in (won, empty, {**episode("c"), "invalid_steps": []}):
        write_json(tmp_path / f"{one['meta']['task_id']}.json", one)
    (kept,) = won_trajectories(str(tmp_path))
    assert kept == {"id": "a", "reward": 1.0, "conversations": won["conversations"], "invalid_steps": [0]}
    with pytest.raises(InputError, match="no won episode"):
        won_trajectories(str(tmp_path / "nothing"))
