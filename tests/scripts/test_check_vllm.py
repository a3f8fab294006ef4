"""What scripts/check_vllm.sh asks both servers: the decisions of episodes that were played."""

import json
from pathlib import Path

from eval_agent.config import load_task_config
from eval_agent.files import read_json
from eval_agent.knowledge.state_base import read_triplets
from scripts.bench.check_vllm import AGENT, EXPERIENCED, WORLD, decisions, prepare

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "data" / "results" / "tiny" / "samples" / "wkm"


def test_a_decision_is_asked_as_it_was_in_the_episode():
    episodes = {path.stem: read_json(path) for path in SAMPLES.glob("*.json")}
    config = load_task_config("alfworld_tiny", ROOT / "configs" / "task")
    planned = [(one, d) for one in episodes.values() for d in one["decisions"] if d["p_agent"]]
    found = list(decisions(episodes, config))
    assert len(found) == len(planned) > 20
    for asked, (episode, decision) in zip(found, planned):
        state, thought, rest, alone = asked["texts"]
        assert [one["model"] for one in asked["texts"]] == [WORLD, AGENT, AGENT, EXPERIENCED]
        place = len(thought["messages"])
        reply = episode["conversations"][place]["value"]
        begun = rest["messages"][-1]["content"]
        assert episode["conversations"][place]["from"] == "gpt" and reply.startswith(begun)
        assert begun == f"{asked['scored'][-1]['content']} {decision['verb']}" and begun.count("Action:") == 1
        known = episode["world_model_conversations"][len(state["messages"])]["value"]
        assert known == decision["state_knowledge"] and alone["messages"] == thought["messages"]


def test_both_servers_play_greedily_with_a_base_of_won_games(tmp_path):
    prepare(tmp_path)
    config = load_task_config(str(tmp_path / "alfworld_greedy.json"), ".")
    assert config.agent.temperature_with_knowledge == config.world_model.temperature == 0
    triplets = read_triplets(tmp_path / "triplets.json")
    assert len(triplets) == 22 and triplets[0]["pre_action"] == "look"
    assert all(one["state"].startswith("State Knowledge: The task is to") for one in triplets)
    meta = json.loads((tmp_path / "state_base" / "meta.json").read_text())
    assert sum(group["rows"] for group in meta["groups"].values()) == 22
