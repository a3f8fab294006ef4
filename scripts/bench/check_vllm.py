"""Whether vLLM answers as our worker does, with the same adapters (see the .sh, which serves them one after the other).

    python -m scripts.bench.check_vllm prepare OUT     a task config without sampling, and a state base
    python -m scripts.bench.check_vllm record OUT      our worker's answers at decisions of the episodes it has played
    python -m scripts.bench.check_vllm compare OUT     vLLM's, and the episodes played with it; JSON in the last line
    python -m scripts.bench.check_vllm answers FILE    some of vLLM's answers over HTTP, for the tests to replay
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import requests

from eval_agent.agents import ContextOverflow, LMAgent
from eval_agent.agents.base import CandidateScore
from eval_agent.agents.fastchat import FastChatAgent
from eval_agent.agents.openai import OpenAIAgent
from eval_agent.command_line import Parser
from eval_agent.config import TaskConfig, load_task_config, override
from eval_agent.errors import exit_on_input_error
from eval_agent.files import cache_key, read_json, write_json
from eval_agent.knowledge.encoders import load_encoder
from eval_agent.knowledge.planner import agent_distribution
from eval_agent.knowledge.state_base import FIRST_PRE_ACTION, build_cache
from eval_agent.rules import alfworld as rules
from eval_agent.trajectories.episodes import read_episodes
from eval_agent.trajectories.reply import ACTION
from scripts.explain_alfworld import history_of

SAMPLES = Path("data/results/tiny/samples")  # won games, for the state base
BASE, RECIPE = "data/tiny-mistral", "configs/train/tiny_official.json"
TASK_CONFIG, DECISIONS = "alfworld_greedy.json", "decisions.json"
API_BASE, CONTROLLER = "http://localhost:8000/v1", "http://localhost:21001"
AGENT, WORLD, EXPERIENCED = "agent_model", "world_model", "experienced_agent"
N_DECISIONS, MOST_DP = 40, 1e-6
FULL = 5117  # so many times "look ": a prompt of 5,120 tokens, which is the tiny model's context
_LONG = 20_000  # bytes of a request that the tests know by its digest
ROLES = {"human": "user", "gpt": "assistant"}


def prepare(out: Path) -> None:
    """A copy of alfworld_tiny that plays greedily, and a base of the states, by rule, of the shipped samples."""
    greedy = {"agent.temperature_with_knowledge": 0.0}
    config = override(load_task_config("alfworld_tiny", "configs/task"), greedy, "check_vllm")
    write_json(out / TASK_CONFIG, config.model_dump())
    triplets = []
    for episode in (read_json(path) for method in ("sft", "w_task") for path in sorted((SAMPLES / method).glob("*.json"))):
        task, history = history_of(episode)
        befores = [FIRST_PRE_ACTION, *(action for action, _ in history)]
        triplets += [
            {"pre_action": before, "state": rules.state_knowledge(task, history[:step]), "action": action}
            for step, (before, (action, _)) in enumerate(zip(befores, history))
        ]
    write_json(out / "triplets.json", triplets)
    build_cache(out / "triplets.json", out / "state_base", load_encoder("wkm-embedding", BASE), BASE)


def episodes_of(out: Path, engine: str) -> dict[str, dict]:
    folder = out / engine / AGENT / f"{Path(TASK_CONFIG).stem}_wkm" / "dev"
    return {episode["meta"]["task_id"]: episode for episode in read_episodes(folder)}


def decisions(episodes: dict[str, dict], config: TaskConfig) -> Iterator[dict]:
    """What each planned step of the episodes asked: four texts, and scores with the p_agent that they led to."""
    for episode in episodes.values():
        said, known = (
            [{"role": ROLES[turn["from"]], "content": turn["value"]} for turn in episode[side]]
            for side in ("conversations", "world_model_conversations")
        )
        for decision in (decision for decision in episode["decisions"] if decision["p_agent"]):
            length = 4 + 2 * decision["step"]  # instruction, "OK", task, first reply, then two turns a step
            if decision["state_knowledge"] is None or len(known) < length:
                continue  # the world model's context was full
            opened = said[length - 1]["content"].partition(f"{ACTION} ")[0] + ACTION
            begun = f"{opened} {decision['verb']}"
            before = said[: length - 1]
            most, states = config.agent.max_new_tokens, config.world_model.max_state_tokens
            yield {
                "texts": [
                    {"model": WORLD, "messages": known[: length - 1], "stop": [], "most": states},
                    {"model": AGENT, "messages": before, "stop": [f"\n{ACTION}", "\nObservation"], "most": most},
                    {"model": AGENT, "messages": [*before, _reply(begun)], "stop": ["\n"], "most": most},
                    {"model": EXPERIENCED, "messages": before, "stop": ["\nObservation"], "most": most},
                ],
                "scored": [*before, _reply(opened)],
                "p_agent": decision["p_agent"],
            }


def _reply(content: str) -> dict:
    return {"role": "assistant", "content": content}


def written(agents: dict[str, LMAgent], asked: dict) -> str:
    return agents[asked["model"]].generate(
        asked["messages"], stop=asked["stop"], temperature=0.0, max_new_tokens=asked["most"]
    )


def record(out: Path) -> None:
    config = load_task_config(str(out / TASK_CONFIG), ".")
    found = list(decisions(episodes_of(out, "fastchat"), config))
    chosen = found[:: max(1, len(found) // N_DECISIONS)][:N_DECISIONS]
    ours = {name: FastChatAgent(name, CONTROLLER) for name in (AGENT, WORLD, EXPERIENCED)}
    verbs = [f" {verb}" for verb in config.planner.verbs]
    for decision in chosen:
        decision["answers"] = [written(ours, asked) for asked in decision["texts"]]
        scores = ours[AGENT].score(decision["scored"], verbs)
        decision["scores"] = [[score.first_token, score.first_token_logprob, score.logprob] for score in scores]
    write_json(out / DECISIONS, {"decisions": chosen, "ends": context_ends(ours[AGENT], verbs)})
    print(f"{len(chosen)} of {len(found)} decisions of our worker recorded")


def context_ends(agent: LMAgent, verbs: list[str]) -> list[list]:
    """What is answered, or that the context is full, for prompts around the model's context length."""
    ends = []
    for length in (4000, 5000, FULL - 20, *range(FULL - 4, FULL + 4), 6000):
        messages = [{"role": "user", "content": "look " * length}]
        for ask in (
            lambda: agent.generate(messages, temperature=0.0, max_new_tokens=256),
            lambda: agent.generate(messages, temperature=0.0, max_new_tokens=6000),
            lambda: bool(agent.score(messages, verbs)),
        ):
            try:
                ends.append(ask())
            except ContextOverflow:
                ends.append("context overflow")
    return ends


def compare(out: Path) -> dict:
    config, recorded = load_task_config(str(out / TASK_CONFIG), "."), read_json(out / DECISIONS)
    agents = {name: OpenAIAgent(name, API_BASE, RECIPE) for name in (AGENT, WORLD, EXPERIENCED)}
    verbs = config.planner.verbs
    texts = same = 0
    max_dp = max_first = max_whole = 0.0
    for decision in recorded["decisions"]:
        answers = [written(agents, asked) for asked in decision["texts"]]
        texts += len(answers)
        same += sum(one == other for one, other in zip(answers, decision["answers"]))
        scores = agents[AGENT].score(decision["scored"], [f" {verb}" for verb in verbs])
        for score, (token, first, whole) in zip(scores, decision["scores"]):
            assert score.first_token == token
            max_first = max(max_first, abs(score.first_token_logprob - first))
            max_whole = max(max_whole, abs(score.logprob - whole))
        max_dp = max(max_dp, _difference(verbs, scores, decision["p_agent"]))
    ends = context_ends(agents[AGENT], [f" {verb}" for verb in verbs])
    ours, theirs = episodes_of(out, "fastchat"), episodes_of(out, "vllm")
    return {
        "texts": f"{same} of {texts}", "max_dp": max_dp, "games": f"{_same_games(ours, theirs)} of {len(ours)}",
        "decisions": len(recorded["decisions"]), "max_first_token": max_first, "max_whole": max_whole,
        "max_dp_in_games": max(map(_game_difference, ours.values(), (theirs[name] for name in ours))),
        "won": [sum(episode["meta"]["success"] for episode in side.values()) for side in (ours, theirs)],
        "context_ends": f"{sum(a == b for a, b in zip(ends, recorded['ends']))} of {len(ends)}",
    }


def _difference(verbs: list[str], scores: list[CandidateScore], recorded: dict[str, float]) -> float:
    p_agent = agent_distribution(dict(zip(verbs, scores)))
    return max(abs(p_agent[verb] - recorded[verb]) for verb in verbs)


def _same_games(ours: dict[str, dict], theirs: dict[str, dict]) -> int:
    """Games in which both models said and saw the same from beginning to end."""
    sides = ("conversations", "world_model_conversations")
    return sum(all(ours[name][side] == theirs[name][side] for side in sides) for name in ours)


def _game_difference(mine: dict, other: dict) -> float:
    pairs = [(a["p_agent"], b["p_agent"]) for a, b in zip(mine["decisions"], other["decisions"]) if a["p_agent"] and b["p_agent"]]
    return max((abs(a[verb] - b[verb]) for a, b in pairs for verb in a), default=0.0)


class _Recorder(OpenAIAgent):
    """Keeps each request to the server with its answer."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.kept: list[dict] = []
        self._client._client.event_hooks["response"] = [self._keep]

    def _keep(self, response) -> None:
        response.read()
        body = json.loads(response.request.content)
        if len(response.request.content) > _LONG:
            body = {"sha256": cache_key(**body)}
        path = response.request.url.path
        self.kept.append({"path": path, "body": body, "status": response.status_code, "answer": response.json()})


def answers(file: Path) -> None:
    """Scores, texts with all the room that they ask for and without, and a prompt without any."""
    agent = _Recorder(AGENT, API_BASE, RECIPE)
    task = {"role": "user", "content": "Your task is to: put a clean mug in cabinet."}
    scored = [task, _reply(f"Thought: I need to find a mug.\n{ACTION}")]
    verbs = [f" {verb}" for verb in load_task_config("alfworld", "configs/task").planner.verbs]
    agent.score(scored, verbs)
    agent.generate([task], stop=["\nObservation"], temperature=0.0, max_new_tokens=64)
    agent.generate([task], stop=["\nObservation"], temperature=0.0, max_new_tokens=6000)
    for words in (FULL, 5200):
        try:
            agent.generate([{"role": "user", "content": "look " * words}], temperature=0.0, max_new_tokens=8)
        except ContextOverflow:
            pass
    agent._exact = False  # as with a server that does not tell them
    agent.score(scored, verbs)
    models = requests.get(f"{API_BASE}/models", timeout=60).json()
    text = ",\n".join(json.dumps(one) for one in [*agent.kept, {"path": "/v1/models", "status": 200, "answer": models}])
    file.write_text(f"[{text}]\n")


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    steps = {"prepare": prepare, "record": record, "compare": compare, "answers": answers}
    parser.add_argument("step", metavar="STEP", choices=steps, help="one of those above")
    parser.add_argument("path", metavar="PATH", type=Path, help="the folder OUT, or the FILE of answers")
    args = parser.parse_args()
    result = steps[args.step](args.path)
    if result:
        print(json.dumps(result))
        counts = [result[name].split(" of ") for name in ("texts", "games", "context_ends")]
        sys.exit(any(same != all_of_them for same, all_of_them in counts) or result["max_dp"] > MOST_DP)


if __name__ == "__main__":
    main()
