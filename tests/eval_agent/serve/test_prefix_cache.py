"""The prefix cache through an engine: what is reused, what is evicted, and that answers never change."""

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from eval_agent.serve.caches import GrowingLayer
from eval_agent.serve.engine import Engine
from eval_agent.serve.generation import TextStream, generate_stream
from eval_agent.serve.loading import add_adapters, plan_models
from eval_agent.serve.scoring import score_candidates

INSTRUCTION = "[INST] Your task is to put a clean mug in cabinet, and to hold nothing. [/INST] OK</s>[INST] "
EPISODES = [f"{INSTRUCTION}On the countertop {n}, you see a spoon {n}. [/INST] Thought:" for n in range(4)]


@pytest.fixture
def make_engine(base_model, adapters, tokenizer):
    def make(max_bytes: int = 2**30) -> Engine:
        base = AutoModelForCausalLM.from_pretrained(base_model)
        model, names = add_adapters(base, plan_models([str(path) for path in adapters.values()], None))
        return Engine(model, tokenizer, names, 1024, max_bytes)

    return make


def stream(engine, prompt, model="agent_model", **fields):
    request = {"model": model, "prompt": prompt, "temperature": 0.0, "max_new_tokens": 8, "echo": False}
    return generate_stream(engine, {**request, **fields}, stream_interval=1, seed=None)


def answer(*args, **fields) -> dict:
    return list(stream(*args, **fields))[-1]


def test_episodes_share_the_instruction_and_keep_their_own_dialogues(make_engine):
    engine = make_engine()
    before = [answer(engine, prompt)["usage"] for prompt in EPISODES]
    assert before[1]["prefilled_tokens"] < before[0]["prefilled_tokens"] == before[0]["prompt_tokens"]
    for prompt, usage in zip(EPISODES, before):  # all still known, none was cut down to the instruction
        after = answer(engine, prompt + " go</s>[INST] a mug 1 [/INST]")["usage"]
        assert after["prefilled_tokens"] == after["prompt_tokens"] - usage["prompt_tokens"]
    assert answer(engine, INSTRUCTION + "new [/INST]")["usage"]["prefilled_tokens"] < 8


def test_a_small_cache_evicts_the_oldest_and_answers_the_same(make_engine):
    roomy = make_engine()
    one_entry = answer(roomy, EPISODES[0]) and roomy._prefixes.nbytes
    tight = make_engine(int(2.5 * one_entry))
    for _ in range(2):
        for prompt in EPISODES:
            for model in ("agent_model", "world_model"):
                assert answer(tight, prompt, model)["text"] == answer(roomy, prompt, model)["text"]
                assert tight._prefixes.nbytes <= 2.5 * one_entry
    assert len(tight._prefixes) == 2
    held = [prefix.nbytes() for prefix, _, _ in tight._prefixes._entries.values()]
    assert sum(held) == tight._prefixes.nbytes
    assert answer(tight, EPISODES[3], "world_model")["usage"]["prefilled_tokens"] == 1
    assert answer(tight, EPISODES[0], "world_model")["usage"]["prefilled_tokens"] > 8


def test_no_cache_at_all(make_engine):
    engine = make_engine(0)
    assert answer(engine, EPISODES[0])["text"] == answer(engine, EPISODES[0])["text"]
    assert len(engine._prefixes) == 0


def test_long_dialogues_that_are_forgotten_give_their_memory_back():
    def read(megabytes: int) -> GrowingLayer:
        layer = GrowingLayer()
        layer.update(*torch.zeros(2, 1, 4, megabytes * 512, 64))  # keys and values, half of it each
        return layer

    read(40)  # from a block that was dropped malloc learns to keep blocks of its size
    known = [read(8) for _ in range(40)]
    before = psutil.Process().memory_info().rss
    del known[::2]
    assert before - psutil.Process().memory_info().rss > 0.9 * 20 * 8 * 2**20


def test_scores_between_generations_leave_the_states_right(make_engine, plain_scores):
    engine, prompt = make_engine(), EPISODES[1]
    candidates = [" go", " go to cabinet", " examine", "\nAction: go"]
    for n_tokens in (3, 5):
        prompt += answer(engine, prompt, max_new_tokens=n_tokens)["text"]
        scores = score_candidates(engine, "agent_model", prompt, candidates)["scores"]
        for score, (_, first, whole) in zip(scores, plain_scores("agent_model", prompt, candidates)):
            assert score["first_token_logprob"] == pytest.approx(first, abs=1e-4)
            assert score["logprob"] == pytest.approx(whole, abs=1e-4)
        prompt += candidates[1]


def test_two_streams_of_different_adapters_may_interleave(make_engine):
    engine = make_engine()
    alone = [answer(engine, EPISODES[0], model)["text"] for model in ("agent_model", "world_model")]
    streams = [stream(engine, EPISODES[0], model) for model in ("agent_model", "world_model")]
    outputs = [[output["text"] for output in pair] for pair in zip(*streams)]
    assert outputs[-1] == alone


def test_an_abandoned_stream_keeps_what_was_read(make_engine):
    engine = make_engine()
    abandoned = stream(engine, EPISODES[0])
    next(abandoned)
    abandoned.close()
    assert answer(engine, EPISODES[0])["usage"]["prefilled_tokens"] == 1


def test_text_is_decoded_in_pieces_as_in_one(tokenizer):
    text = " Thought: où est la tasse? 杯子 🍵 here\n it is"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    whole = TextStream(tokenizer, tokenizer("Observation").input_ids)
    assert not any(whole.push(token, ["never"]) for token in ids)
    assert whole.finish([]) == text
    stopped = TextStream(tokenizer, [])
    assert any(stopped.push(token, ["zzz", "tasse?"]) for token in ids)  # any() ends where a stop is complete
    assert stopped.text == " Thought: où est la "


def test_models_without_logits_to_keep(make_engine, plain_scores):
    engine = make_engine()
    engine._keeps_rows = False
    request = ("world_model", EPISODES[2], [" go", " take it"])
    scores = score_candidates(engine, *request)["scores"]
    for score, (_, first, whole) in zip(scores, plain_scores(*request)):
        assert (score["first_token_logprob"], score["logprob"]) == pytest.approx((first, whole), abs=1e-4)


def test_half_precision_scores_stay_close(make_engine, plain_scores):
    engine = make_engine()
    engine.lm.to(torch.bfloat16)
    request = ("agent_model", EPISODES[2], [" go", " take it"])
    scores = score_candidates(engine, *request)["scores"]
    for score, (_, _, whole) in zip(scores, plain_scores(*request)):
        assert score["logprob"] == pytest.approx(whole, rel=0.05)
