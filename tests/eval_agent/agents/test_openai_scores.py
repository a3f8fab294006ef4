"""Exact scores of a completions endpoint, and what is done where it tells none: against answers that vLLM gave.

fixtures/vllm_answers.json holds requests to vLLM 0.32.0 (the tiny base, three shipped adapters) and what it answered;
scripts/bench/check_vllm.py records them.
"""

import json
import re
import threading
from pathlib import Path

import pytest
import torch
from endpoint import Replay
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.agents import ContextOverflow, ModelError
from eval_agent.agents import openai as openai_agent
from eval_agent.agents.chat_format import template_of_recipe
from eval_agent.agents.openai import OpenAIAgent
from eval_agent.agents.openai_scores import MOST_IDS, NotExact, Tree
from eval_agent.config import load_task_config
from eval_agent.errors import InputError
from eval_agent.knowledge.planner import agent_distribution
from eval_agent.serve.engine import Engine
from eval_agent.serve.loading import add_adapters, plan_models
from eval_agent.serve.scoring import score_candidates

ROOT = Path(__file__).resolve().parents[3]
RECORDING = json.loads((Path(__file__).parent / "fixtures" / "vllm_answers.json").read_text())
RECIPE, BASE, ADAPTER = "configs/train/tiny_official.json", ROOT / "data/tiny-mistral", ROOT / "data/results/tiny/peft"
TASK = [{"role": "user", "content": "Your task is to: put a clean mug in cabinet."}]
SCORED = [*TASK, {"role": "assistant", "content": "Thought: I need to find a mug.\nAction:"}]
VERBS = [f" {verb}" for verb in load_task_config("alfworld", ROOT / "configs/task").planner.verbs]


@pytest.fixture
def replay(monkeypatch):
    """Starts servers that answer as vLLM did: ``replay(change) -> Replay``."""
    started = []
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    monkeypatch.setattr(openai_agent, "_WARNED", set())

    def start(change=None) -> Replay:
        started.append(Replay(RECORDING, change))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return started[-1]

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def agent_at(server: Replay, **settings) -> OpenAIAgent:
    return OpenAIAgent("agent_model", server.address, RECIPE, **settings)


def completions(server: Replay) -> list[dict]:
    return [body for path, body in server.asked if path == "/v1/completions"]


def test_scores_are_those_of_our_worker(replay):
    """First tokens and whole verbs; " toggle" has three tokens, the others one."""
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    model, names = add_adapters(base, plan_models([str(ADAPTER / "agent_model")], [["agent_model"]]))
    engine = Engine(model, AutoTokenizer.from_pretrained(BASE), names, 5120, 2**28)
    prompt = template_of_recipe(RECIPE).render(SCORED)
    ours = score_candidates(engine, "agent_model", prompt, VERBS)["scores"]
    server = replay()
    agent = agent_at(server)
    theirs = agent.score(SCORED, VERBS)
    assert len(ours) == len(theirs) == 13 and agent.scores_whole_strings
    for mine, other in zip(ours, theirs):
        assert other.first_token == mine["first_token"]
        assert other.first_token_logprob == pytest.approx(mine["first_token_logprob"], abs=1e-4)
        assert other.logprob == pytest.approx(mine["logprob"], abs=1e-4)
    assert sum(score.logprob < score.first_token_logprob for score in theirs) == 1
    assert sum(agent_distribution(dict(zip(VERBS, theirs))).values()) == pytest.approx(1)
    request, = completions(server)  # all nodes of the tree: before any verb, and twice within " toggle"
    assert len(request["prompt"]) == 3 and len(request["logprob_token_ids"]) == 15


def test_a_tokenizer_of_one_s_own_asks_for_the_same(replay):
    server = replay()
    scores = agent_at(server, tokenizer=str(BASE)).score(SCORED, VERBS)
    assert scores == agent_at(replay()).score(SCORED, VERBS)
    assert [path for path, _ in server.asked] == ["/v1/completions"]
    with pytest.raises(InputError, match='field "tokenizer" of the model config is "nowhere": no such folder'):
        agent_at(server, tokenizer="nowhere")


def test_a_base_whose_own_chat_format_is_meant_is_tokenised_with_here(replay, tmp_path):
    """Its tokenizer was read for the format, so the server need not be asked once a verb."""
    recipe = tmp_path / "own.json"
    recipe.write_text(json.dumps({"model_name_or_path": str(BASE), "template": "auto"}))
    server = replay()
    scores = OpenAIAgent("agent_model", server.address, str(recipe)).score(SCORED, VERBS)
    assert scores == agent_at(replay()).score(SCORED, VERBS)
    assert [path for path, _ in server.asked] == ["/v1/completions"]


def without_the_ids(path, answer):
    """As a server answers that does not know the field: the token that it chose, and no other."""
    for choice in answer.get("choices", []):
        for top in choice["logprobs"]["top_logprobs"]:
            for name in [name for name in top if name.startswith("token_id:")][1:]:
                del top[name]
    return answer


@pytest.mark.parametrize("change, why", [
    (without_the_ids, "token ids .* were asked for and did not come back"),
    (lambda path, answer: (404, "Not Found") if path == "/tokenize" else answer, "HTTP 404"),
    (lambda path, answer: {"tokens": []} if path == "/tokenize" else answer, '"tokens": List should have at least 1'),
    (lambda path, answer: (400, "unknown field") if len(answer.get("choices", [])) > 1 else answer, "unknown field"),
])
def test_where_none_are_told_the_most_probable_tokens_count_and_one_warning_names_the_guesses(
    replay, capsys, change, why
):
    agent = agent_at(replay(change))
    scores = dict(zip(VERBS, agent.score(SCORED, VERBS)))
    assert agent.score(SCORED, VERBS) == list(scores.values()) and not agent.scores_whole_strings
    warning, = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: agent_model at http")
    assert re.search(f"gives no exact scores .*{why}.*; guesses, as none of the 2. most", warning)
    guessed = [f" {verb}" for verb in warning.rpartition(": ")[2].split(", ")]
    assert 5 < len(guessed) < 13
    least = min(score.first_token_logprob for score in scores.values())
    assert all(scores[verb].first_token_logprob == least for verb in guessed)
    assert len({scores[verb].first_token for verb in guessed}) == len(guessed)  # none is taken for another's sharer
    exact = dict(zip(VERBS, agent_at(replay()).score(SCORED, VERBS)))
    for verb in scores.keys() - set(guessed):
        assert scores[verb].first_token_logprob == pytest.approx(exact[verb].first_token_logprob, abs=1e-4)


def test_a_server_that_has_told_them_is_not_believed_when_it_tells_others(replay):
    """Guesses amid exact scores would change decisions unseen."""
    server = replay()
    agent = agent_at(server)
    agent.score(SCORED, VERBS)
    for change, said in (
        (without_the_ids, "did not come back"), (lambda path, answer: (400, "no"), "HTTP 400"),
        (lambda path, answer: answer | {"choices": answer["choices"][1:]} if "choices" in answer else answer,
         "2 answers to 3 prompts"),
    ):
        server.change = change
        with pytest.raises(ModelError, match=said):
            agent.score(SCORED, VERBS)


def test_an_answer_is_read_in_the_order_of_the_prompts(replay):
    turned = replay(lambda path, answer: answer | {"choices": answer["choices"][::-1]} if "choices" in answer else answer)
    assert agent_at(turned).score(SCORED, VERBS) == agent_at(replay()).score(SCORED, VERBS)


def test_an_answer_without_any_log_probabilities_is_a_fault(replay):
    def change(path, answer):
        for choice in answer.get("choices", []):
            choice["logprobs"] = None
        return answer

    with pytest.raises(ModelError, match="no top_logprobs to score with"):
        agent_at(replay(change)).score(SCORED, VERBS)


def test_more_new_tokens_than_the_context_has_are_cut_down_to_it(replay):
    server = replay()
    settings = {"stop": ["\nObservation"], "temperature": 0.0}
    text = agent_at(server).generate(TASK, **settings, max_new_tokens=6000)  # vLLM refuses, our worker would not
    assert [body["max_tokens"] for body in completions(server)] == [6000, 5120]
    assert text == agent_at(server).generate(TASK, **settings, max_new_tokens=64) != ""


def test_a_server_that_takes_no_more_than_has_room_is_asked_for_that(serve):
    """vLLM's older words, and OpenAI's: the prompt fits, all the new tokens do not."""
    asked = []

    def answer(messages):
        asked.append(endpoint.requests[-1]["max_tokens"])
        said = "maximum context length is 4096 tokens. However, you requested 4256 tokens (4000 in the messages, 256 in"
        return (400, f"This model's {said} the completion).") if asked[-1] > 96 else "Action: look"

    endpoint = serve(answer)
    agent = OpenAIAgent("tiny", endpoint.address)
    assert agent.generate(TASK, temperature=0.0, max_new_tokens=256) == "Action: look" and asked == [256, 96]


def test_a_prompt_without_room_for_one_token_is_a_full_context(replay):
    """vLLM has one sentence for a prompt that is too long, and another one for one that fills the context."""
    server = replay()
    refused = [entry["answer"]["error"]["message"] for entry in RECORDING if "sha256" in entry.get("body", {})]
    for words, said in ((5117, "max_tokens must be at least 1, got 0"), (5200, "maximum context length is 5120")):
        with pytest.raises(ContextOverflow, match=said):
            agent_at(server).generate([{"role": "user", "content": "look " * words}], temperature=0.0, max_new_tokens=8)
    for message in refused:
        agent = agent_at(replay(lambda path, answer: (400, message) if path == "/v1/completions" else answer))
        with pytest.raises(ContextOverflow):
            agent.score(SCORED, VERBS)
        assert agent.scores_whole_strings  # a full context says nothing of what the server can do
    assert len(refused) == 2


def answered(question, logprob):
    return [{f"token_id:{token}": logprob(node, token) for token in question.tokens} for node in question.nodes]


def test_a_tree_asks_once_for_what_candidates_share():
    """" go", " go on", " take" after two tokens; " go" and " go on" share their first."""
    tree = Tree([1, 2], [[1, 2, 5], [1, 2, 5, 6], [1, 2, 7]])
    question, = tree.questions()
    assert question.nodes == ((1, 2), (1, 2, 5)) and question.tokens == (5, 7, 6)
    found = tree.read(question, answered(question, lambda node, token: -token - len(node) / 10))
    scores = tree.scores(found)
    assert [(score.first_token, score.first_token_logprob, score.logprob) for score in scores] == [
        (5, -5.2, -5.2), (5, -5.2, pytest.approx(-5.2 - 6.3)), (7, -7.2, -7.2)]


def test_a_candidate_that_merges_with_the_prompt_counts_from_the_first_token_unlike_it():
    tree = Tree([1, 2, 3], [[1, 2, 9], [1, 2, 3, 4]])
    question, = tree.questions()
    assert question.nodes == ((1, 2), (1, 2, 3))
    scores = tree.scores(tree.read(question, answered(question, lambda node, token: -float(token))))
    assert [score.first_token for score in scores] == [9, 4]
    with pytest.raises(ModelError, match="nothing precedes"):
        Tree([1], [[2, 3]])


def test_many_candidates_are_asked_for_in_several_requests():
    candidates = [[1, 2, token, token + 1000] for token in range(10, 210)]
    tree = Tree([1, 2], candidates)
    found, requests = {}, list(tree.questions())
    assert len(requests) == 4 and max(len(question.tokens) for question in requests) == MOST_IDS
    for question in requests:
        found |= tree.read(question, answered(question, lambda node, token: -float(token)))
    assert [score.logprob for score in tree.scores(found)] == [-2 * token - 1000 for token in range(10, 210)]


def test_an_answer_for_other_tokens_is_none():
    tree = Tree([1, 2], [[1, 2, 5], [1, 2, 7]])
    question, = tree.questions()
    for told in ([{"token_id:5": -1.0, "token_id:8": -2.0}], [None], [{" go": -1.0, " take": -2.0}], []):
        with pytest.raises(NotExact):
            tree.read(question, told)
