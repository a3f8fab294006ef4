"""The files of a run: what an episode has to say of itself, and what is summed up of many."""

import pytest

from eval_agent.errors import InputError
from eval_agent.files import write_json
from eval_agent.trajectories.episodes import digest, read_episodes, summarize, summarize_by_type
from tests.eval_agent.toy_paper import episode


def test_episodes_come_by_task_id_without_the_run_s_own_files(tmp_path):
    for name in ("b", "a"):
        write_json(tmp_path / f"{name}.json", episode(name))
    write_json(tmp_path / "run.json", {})
    write_json(tmp_path / "summary.json", {})
    assert [one["meta"]["task_id"] for one in read_episodes(tmp_path)] == ["a", "b"]
    assert read_episodes(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": "ten"}, 'a.json: field "meta.steps" is .ten., expected '),
        ({"reward": None}, 'a.json: field "meta.reward" is None, expected a number'),
        ({"finished": 1}, 'a.json: field "meta.finished" is 1, expected true or false'),
    ],
)
def test_a_faulty_field_is_named(change, message, tmp_path):
    one = episode("a")
    one["meta"] |= change
    write_json(tmp_path / "a.json", one)
    with pytest.raises(InputError, match=message):
        read_episodes(tmp_path)


def test_a_missing_field_and_a_file_that_is_no_episode_are_named(tmp_path):
    one = episode("a")
    del one["meta"]["success"]
    faults = [(one, 'field "meta.success" is missing'), ({}, 'field "meta" is missing'), ([], "a.json: ")]
    for content, message in faults:
        write_json(tmp_path / "a.json", content)
        with pytest.raises(InputError, match=message):
            read_episodes(tmp_path)


def test_a_digest_tells_conversations_apart_and_nothing_else():
    one, again = episode("a", conversation="x"), episode("b", conversation="x", steps=3)
    assert digest(one) == digest(again) != digest(episode("a", conversation="y"))


def test_a_summary_names_failures_and_splits_by_type():
    failed = episode("c", finished=False)
    failed["meta"]["error"] = "ModelError: off"
    episodes = [episode("a", reward=1), episode("b", "melt"), failed]
    summary = summarize(episodes)
    assert summary["games"] == 2 and summary["success_rate"] == 0.5
    assert summary["failures"] == [{"task_id": "c", "error": "ModelError: off"}]
    assert {kind: part["success_rate"] for kind, part in summarize_by_type(episodes).items()} == {"boil": 1, "melt": 0}
    assert summarize([])["average_steps"] is None


def test_the_share_of_repaired_replies_is_of_the_episodes_that_count_them():
    """One reply a step; results from before they were counted do not tell."""
    told, older = episode("a", steps=4), episode("b", steps=6)
    told["meta"]["repaired_replies"] = 1
    assert summarize([told, older])["repaired_replies"] == 0.25
    assert summarize([older])["repaired_replies"] is None
