"""Which episodes another gamma shares, over results written here; the two verbs' probabilities say where gamma tips."""

import pytest

from eval_agent.files import write_json
from eval_agent.knowledge.gammas import agent_verb, decided_at, shared_episodes

SURE = {"go": 0.8, "open": 0.2}
KNOWN = {"go": 0.0, "open": 1.0}  # blended with SURE, "go" wins above gamma 0.625
FIRST = {"p_agent": None, "p_know": None, "blend": None, "agent_verb": "go", "verb": "go"}  # not planned


def planned(verb, p_know=KNOWN):
    return {"p_agent": SURE, "p_know": p_know, "blend": None, "agent_verb": "go", "verb": verb}


def settings(gamma, seed=1):
    return {"seed": seed, "task_config": {"planner": {"gamma": gamma, "n_neighbours": 10}}}


def write_run(folder, settings, **games):
    write_json(folder / "run.json", settings)
    for task_id, decisions in games.items():
        meta = {"task_id": task_id, "task_type": "pick", "steps": 2, "reward": 1.0, "finished": True, "success": True,
                "invalid_actions": 0}
        write_json(folder / f"{task_id}.json", {"meta": meta, "decisions": decisions})
    return folder


GAMES = {"agreed": [FIRST, planned("go", SURE)], "known": [FIRST, planned("open")], "first": [FIRST]}


@pytest.mark.parametrize("gamma, shared", [(0.5, {"agreed", "known", "first"}), (0.7, {"agreed", "first"}), (1, {"agreed", "first"})])
def test_an_episode_is_shared_where_every_verb_is_the_same(tmp_path, gamma, shared):
    played = write_run(tmp_path / "wkm/dev", settings(0.4), **GAMES)
    found = shared_episodes(tmp_path / "wkm_other/dev", settings(gamma), list(GAMES))
    assert found.keys() == shared
    assert {episode["meta"]["taken_from"] for episode in found.values()} == {str(played)}


def test_a_shared_episode_has_the_blends_of_its_own_gamma(tmp_path):
    write_run(tmp_path / "wkm/dev", settings(0.4), **GAMES)
    first, second = shared_episodes(tmp_path / "wkm_other/dev", settings(0.5), ["known"])["known"]["decisions"]
    assert first == FIRST and second["blend"] == pytest.approx({"go": 0.4, "open": 0.6})


def test_the_first_player_of_an_episode_is_named_however_often_it_is_shared(tmp_path):
    played = write_run(tmp_path / "wkm/dev", settings(0.4), **GAMES)
    again = tmp_path / "wkm_gamma0.5/dev"
    write_run(again, settings(0.5))
    for task_id, episode in shared_episodes(again, settings(0.5), list(GAMES)).items():
        write_json(again / f"{task_id}.json", episode)
    (played / "run.json").unlink()
    found = shared_episodes(tmp_path / "wkm_gamma0.6/dev", settings(0.6), ["known"])
    assert found["known"]["meta"]["taken_from"] == str(played)


def test_only_runs_that_differ_in_gamma_alone_share(tmp_path):
    write_run(tmp_path / "wkm_run2/dev", settings(0.4, seed=2), **GAMES)
    write_run(tmp_path / "wkm/test", settings(0.4), **GAMES)
    assert shared_episodes(tmp_path / "wkm_other/dev", settings(0.5), list(GAMES)) == {}


def test_a_decision_at_another_gamma():
    assert [decided_at(planned("open"), gamma)[0] for gamma in (0, 0.6, 0.7, 1)] == ["open", "open", "go", "go"]
    assert agent_verb({"p_agent": {"go": 0.4, "open": 0.6}}) == "open"  # recorded before agent_verb was
