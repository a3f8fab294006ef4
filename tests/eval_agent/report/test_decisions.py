"""The planner's decisions counted over episode files written here."""

import json
import sys

import pytest

from eval_agent.report import decisions


def decision(p_agent, p_know, verb):
    return {"step": 1, "p_agent": p_agent, "p_know": p_know, "verb": verb}


SURE = {"go": 0.9, "open": 0.1}
EVEN = {"go": 0.6, "open": 0.4}
OPEN = {"go": 0.0, "open": 1.0}
AGREED = decision(SURE, SURE, "go")
OVERRULED = decision(SURE, OPEN, "open")
ALONE = decision(None, None, "go")  # the first step: no state knowledge yet


def episode(task_id, success, *made, finished=True):
    meta = {"task_id": task_id, "task_type": "pick", "steps": 3, "reward": float(success), "finished": finished,
            "success": success, "invalid_actions": 0}
    return {"meta": meta, "conversations": [], "decisions": list(made)}


def report(tmp_path, monkeypatch, capsys, *episodes):
    for one in episodes:
        (tmp_path / f"{one['meta']['task_id']}.json").write_text(json.dumps(one))
    monkeypatch.setattr(sys, "argv", ["decisions", str(tmp_path)])
    decisions.main()
    return capsys.readouterr().out.splitlines()


def test_an_overruled_decision_is_one_against_the_agents_most_probable_verb():
    assert decisions.overruled(OVERRULED) and not decisions.overruled(AGREED)


@pytest.mark.parametrize("p_agent, last", [(SURE, 0.5), (EVEN, 0.8)])
def test_other_gammas_are_redrawn_from_both_distributions(p_agent, last):
    # with p_know certain of "open", "go" needs gamma * (p(go) - p(open)) >= 1 - gamma
    changed = [gamma for gamma in decisions.GAMMAS if decisions.overruled_at(decision(p_agent, OPEN, "open"), gamma)]
    assert changed == [gamma for gamma in decisions.GAMMAS if gamma <= last]


def test_without_neighbours_nothing_is_overruled_at_any_gamma():
    assert not any(decisions.overruled_at(decision(SURE, None, "go"), gamma) for gamma in decisions.GAMMAS)


def test_games_gammas_and_kinds_are_counted(tmp_path, monkeypatch, capsys):
    back = decision({"go": 0.1, "open": 0.9}, {"go": 1.0, "open": 0.0}, "go")
    lines = report(
        tmp_path, monkeypatch, capsys,
        episode("a", True, ALONE, AGREED), episode("b", False, AGREED, OVERRULED, back, OVERRULED),
        episode("c", True, back), episode("d", False, OVERRULED, finished=False),  # a technical failure
    )
    assert lines[0] == "6 decisions of the planner in 3 finished games, 4 overruled."
    assert "| overruled at least once | 2 | 1 | 1 |" in lines and "| never overruled | 1 | 1 | 0 |" in lines
    assert "| 0.0 | 4 | 66.7% |" in lines and "| 0.6 | 0 | 0.0% |" in lines
    assert "| go | open | 2 | 0 | 1 |" in lines and "| open | go | 2 | 1 | 0 |" in lines


def test_a_folder_without_the_planner_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        report(tmp_path, monkeypatch, capsys, episode("a", True, ALONE))
    assert "no finished episode with a decision of the planner" in capsys.readouterr().err
