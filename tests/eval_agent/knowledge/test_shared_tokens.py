"""ScienceWorld's verbs under the tokenizers of three backbone families, where numbers may share their first token."""

import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

from eval_agent.agents.base import CandidateScore
from eval_agent.config import load_task_config
from eval_agent.knowledge.planner import decide
from eval_agent.serve.engine import Engine
from eval_agent.serve.scoring import score_candidates

TOKENIZERS = Path(__file__).resolve().parents[2] / "train/fixtures/llamafactory"
VERBS = load_task_config("sciworld", "configs/task").planner.verbs
PROMPT = "Ambiguous request: Please enter the number for the action you intended.\nThought: The second one.\nAction:"


@pytest.fixture(scope="module", params=["mistral", "gemma", "llama3"])
def engine(request):
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZERS / request.param / "tokenizer")
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, sliding_window=None,
    ))
    for weight in model.parameters():  # so that some tokens are much likelier than others, and prompts matter
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.5)
    return Engine(model, tokenizer, {"agent": None}, 512, prefix_cache_bytes=0)


def scores_of(engine, prompt) -> dict[str, CandidateScore]:
    answer = score_candidates(engine, "agent", prompt, [f" {verb}" for verb in VERBS])
    return {verb: CandidateScore(**score) for verb, score in zip(VERBS, answer["scores"])}


def test_each_token_s_mass_counts_once(engine):
    scores = scores_of(engine, PROMPT)
    sharers = Counter(score.first_token for score in scores.values())
    assert sharers.most_common(1)[0][1] > 1  # "wait" and "wait1" at least
    p_token = {score.first_token: score.first_token_logprob for score in scores.values()}
    total = torch.tensor(list(p_token.values())).exp().sum()
    p_agent = decide(scores, [], 1.0).p_agent
    assert sum(p_agent.values()) == pytest.approx(1)
    for token, logprob in p_token.items():
        mass = sum(p_agent[verb] for verb, score in scores.items() if score.first_token == token)
        assert mass == pytest.approx(float(torch.tensor(logprob).exp() / total), rel=1e-4)


def test_with_gamma_1_the_verb_is_what_the_agent_goes_on_with(engine):
    """Of the tokens that a verb may begin with the likeliest, and of the verbs that begin so the likeliest."""
    rng, chosen = random.Random(0), set()
    for _ in range(30):
        prompt = f"{''.join(rng.choices('abcdefgh ', k=12))} {PROMPT}"
        scores = scores_of(engine, prompt)
        verb = decide(scores, ["look around"] * 9, 1.0).verb
        best = max(score.first_token_logprob for score in scores.values())
        beginning_so = {name: score for name, score in scores.items() if score.first_token_logprob == best}
        assert verb == max(beginning_so, key=lambda name: beginning_so[name].logprob)
        chosen.add(verb)
    assert len(chosen) > 1
