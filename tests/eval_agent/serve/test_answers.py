"""Answers are given again only where the model would give the same, and where the worker was told to keep them."""

import pytest
import requests

from eval_agent.serve.caches import Answers, repeatable
from tests.eval_agent.serving import WORKER


def test_the_same_request_is_computed_once_and_the_oldest_is_forgotten():
    answers, computed = Answers(2), []

    def ask(prompt):
        def compute():
            computed.append(prompt)
            yield from ({"text": prompt[:1]}, {"text": prompt})

        return [answer["text"] for answer in answers.stream("generate", {"prompt": prompt}, compute)]

    assert ask("mug") == ["m", "mug"] and ask("mug") == ["mug"]  # a stream the second time too
    ask("cup"), ask("mug"), ask("pan"), ask("cup")
    assert computed == ["mug", "cup", "pan", "cup"]


def test_nothing_is_kept_of_an_answer_that_was_broken_off_or_failed():
    answers = Answers(9)

    def whole():
        yield {"text": "a"}
        yield {"text": "a mug"}

    def failing():
        raise ValueError("no")
        yield

    broken_off = answers.stream("generate", {}, whole)
    next(broken_off)
    broken_off.close()
    with pytest.raises(ValueError):
        list(answers.stream("generate", {}, failing))
    assert len(list(answers.stream("generate", {}, whole))) == 2


@pytest.mark.parametrize("params, same", [
    ({"temperature": 0.0}, True), ({"temperature": 0.5, "seed": 0}, True),
    ({"temperature": 0.5, "seed": None}, False), ({}, False),
])
def test_sampling_without_a_seed_is_never_repeated(params, same):
    assert repeatable(params) is same


@pytest.fixture(scope="module")
def keeping(served, base_model):
    worker = served.servers.start(WORKER, "--model-path", str(base_model), "--model-names", "keeping",
                                  "--answer-cache", "100")
    worker.wait("/worker_get_status")
    yield lambda route, **request: requests.post(worker.address + route, json=request, timeout=60).json()
    worker.process.kill()


def test_a_worker_told_to_keep_answers(keeping):
    request = {"model": "keeping", "prompt": "[INST] a mug [/INST]", "max_new_tokens": 24, "echo": False}
    seeded = {**request, "temperature": 0.9, "seed": 5}
    first = keeping("/worker_generate", **seeded)
    assert keeping("/worker_generate", **seeded) == first and first["usage"]["prefilled_tokens"] > 1
    assert keeping("/worker_generate", **{**seeded, "seed": 6})["text"] != first["text"]
    free = {keeping("/worker_generate", **request, temperature=0.9)["text"] for _ in range(3)}
    assert len(free) == 3
    scored = {"model": "keeping", "prompt": "[INST] the scored mug [/INST]", "candidates": [" go", " take"]}
    scores = keeping("/worker_score_candidates", **scored)
    assert keeping("/worker_score_candidates", **scored) == scores and scores["usage"]["prefilled_tokens"] > 1
    assert len(keeping("/worker_score_candidates", **{**scored, "candidates": [" go"]})["scores"]) == 1
