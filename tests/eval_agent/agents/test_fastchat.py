"""The agent over real servers: our worker and FastChat's own give the same text and the same scores."""

import threading
import time
from http.server import ThreadingHTTPServer

import pytest
from endpoint import JsonHandler

from eval_agent.agents import ContextOverflow, ModelError, load_agent
from eval_agent.agents.base import draw_seed
from eval_agent.agents.fastchat import FastChatAgent
from eval_agent.config import ModelConfig, load_model_config
from eval_agent.errors import InputError
from tests.eval_agent.serving import ROOT, WORKER, free_port

MESSAGES = [
    {"role": "user", "content": "Interact with a household."},
    {"role": "assistant", "content": "OK"},
    {"role": "user", "content": "Your task is to: put a clean mug in cabinet."},
]
OPENED = [*MESSAGES, {"role": "assistant", "content": "Thought: I need to find a mug.\nAction:"}]
VERBS = [" go", " go to cabinet 3", " take", " examine", " toggle", " put", "\nObservation"]


def make_agent(served, model_name, seed=None, recipe=None, **config) -> FastChatAgent:
    config = {"controller_address": served.controller, "retry_seconds": 20, **config}
    return load_agent(ModelConfig(agent_class="FastChatAgent", config=config, recipe=recipe), model_name, seed)


@pytest.fixture(scope="module")
def ours(served):
    return make_agent(served, "agent_model")


@pytest.fixture(scope="module")
def stock(served):
    served.need_stock()
    return make_agent(served, "stock_agent")


def test_scores_are_the_same_through_the_stock_worker(ours, stock):
    ours_scores, stock_scores = ours.score(OPENED, VERBS), stock.score(OPENED, VERBS)
    for mine, theirs in zip(ours_scores, stock_scores, strict=True):
        assert mine.first_token_logprob == pytest.approx(theirs.first_token_logprob, abs=1e-4)
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
    for scores in (ours_scores, stock_scores):
        assert scores[0].first_token == scores[1].first_token != scores[2].first_token
        assert scores[0].logprob != scores[1].logprob


def test_scores_where_prompt_and_candidate_merge(ours, stock):
    messages = [*MESSAGES, {"role": "assistant", "content": "Thought: I nee"}]
    candidates = ["d to find a mug.", " x", "ds"]
    for mine, theirs in zip(ours.score(messages, candidates), stock.score(messages, candidates), strict=True):
        assert mine.first_token_logprob == pytest.approx(theirs.first_token_logprob, abs=1e-4)
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)


@pytest.mark.parametrize("messages, stop", [
    ([{"role": "user", "content": "spoon"}], "countertop"),  # what this random model happens to say
    ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "spoon"}], "`\\"),
])
def test_text_is_the_same_through_the_stock_worker(ours, stock, messages, stop):
    mine = ours.generate(messages, temperature=0.0, max_new_tokens=16)
    assert mine == stock.generate(messages, temperature=0.0, max_new_tokens=16)
    cut = mine[: mine.index(stop)]
    assert ours.generate(messages, stop=[stop], temperature=0.0, max_new_tokens=16) == cut
    assert stock.generate(messages, stop=[stop], temperature=0.0, max_new_tokens=16) == cut


def test_a_seed_repeats_samples_and_draws_anew_for_each_prompt(served):
    settings = {"temperature": 1.0, "max_new_tokens": 16}
    one, same, other = (make_agent(served, "base", seed=seed) for seed in (1, 1, 2))
    text = one.generate(MESSAGES, **settings)
    assert same.generate(MESSAGES, **settings) == text != other.generate(MESSAGES, **settings)
    assert make_agent(served, "base").generate(MESSAGES, **settings) != text
    assert draw_seed(1, "[INST] a") != draw_seed(1, "[INST] b") != draw_seed(2, "[INST] b")


def test_a_long_dialogue_overflows_on_either_worker(ours, stock):
    long = [{"role": "user", "content": "a mug 1, " * 400}]
    for agent in (ours, stock):
        with pytest.raises(ContextOverflow, match="1024"):
            agent.generate(long, temperature=0.0, max_new_tokens=8)
        with pytest.raises(ContextOverflow, match="1024"):
            agent.score(long, VERBS)


def test_a_prompt_that_just_fits_is_no_overflow(ours, stock):
    # the stock worker keeps context - max_new_tokens - 1 tokens of a prompt
    fits = [{"role": "user", "content": "1" * (1024 - 8 - 1 - 3)}]
    assert stock.generate(fits, temperature=0.0, max_new_tokens=8) == ours.generate(
        fits, temperature=0.0, max_new_tokens=8
    )
    with pytest.raises(ContextOverflow):
        stock.generate([{"role": "user", "content": "1" * (1024 - 8 - 3)}], temperature=0.0, max_new_tokens=8)


def test_a_model_that_nobody_serves(served):
    with pytest.raises(InputError, match='serves model "nobody".* knows agent_model, base,.* world_model'):
        make_agent(served, "nobody").generate(MESSAGES, temperature=0.0, max_new_tokens=4)


def test_no_controller(served):
    agent = make_agent(served, "agent_model", controller_address=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match="no FastChat controller at http://127.0.0.1"):
        agent.score(OPENED, VERBS)


def test_the_chat_format_is_the_served_model_s(served, ours, stock):
    """gemma_agent's training run tells; the others have FastChat's for a base called random-mistral."""
    assert make_agent(served, "gemma_agent").template.name == "gemma"
    assert make_agent(served, "gemma_agent", recipe="configs/train/gemma.json").template.name == "gemma"
    for agent in (ours, stock, make_agent(served, "base")):
        assert agent.template.name == "mistral_v02"


def test_a_recipe_with_another_chat_format_is_refused(served):
    agent = make_agent(served, "gemma_agent", recipe="configs/train/mistral.json")
    with pytest.raises(InputError) as refused:
        agent.generate(MESSAGES, temperature=0.0, max_new_tokens=4)
    assert 'its chat format is "gemma"' in str(refused.value) and "run_settings.json" in str(refused.value)
    assert '"mistral_v02" is expected' in str(refused.value) and "configs/train/mistral.json" in str(refused.value)
    served.need_stock()
    with pytest.raises(InputError, match='FastChat.s conversation template "mistral".*configs/train/llama3.json'):
        make_agent(served, "stock_agent", recipe="configs/train/llama3.json").score(OPENED, VERBS)


def test_a_format_that_nobody_knows_is_asked_for_before_anything_is_generated(served, adapters):
    flags = ("--model-path", str(adapters["agent_model"]), "--model-names", "strange", "--conv-template", "one_shot")
    worker = served.servers.start(WORKER, *flags)
    worker.wait("/worker_get_status")
    with pytest.raises(InputError, match='strange at .* nothing says its chat format .*"one_shot".* name the recipe'):
        make_agent(served, "strange").generate(MESSAGES, temperature=0.0, max_new_tokens=4)
    assert "/worker_generate" not in worker.log.read_text()
    agent = make_agent(served, "strange", recipe="configs/train/gemma.json")
    assert agent.generate(MESSAGES, temperature=0.0, max_new_tokens=4) == make_agent(served, "gemma_agent").generate(
        MESSAGES, temperature=0.0, max_new_tokens=4
    )
    worker.process.kill()


class ChangingWorker(JsonHandler):
    """Controller and worker in one: each address that it gives out is another worker's, with the next format."""

    formats = ["gemma", "gemma", "llama3"]
    asked: list[str] = []

    def do_POST(self):
        self.read()
        self.asked.append(self.path)
        number = self.asked.count("/get_worker_address") - 1
        address = f"http://127.0.0.1:{self.server.server_port}/{number}"
        told = {"template": self.formats[min(number, 2)], "source": f"worker {number}"}
        answers = {"get_worker_address": {"address": address}, "worker_chat_format": told}
        route = self.path.rpartition("/")[2]
        self.reply(200 if route in answers else 500, answers.get(route, {}))  # none of them ever generates


def test_a_worker_that_takes_over_has_to_tell_the_same_format():
    server = ThreadingHTTPServer(("127.0.0.1", 0), ChangingWorker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    agent = FastChatAgent("changing", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(InputError, match=r'"llama3" \(worker 2\), but "gemma" is expected \(worker 1\)'):
        agent.generate(MESSAGES, temperature=0.0, max_new_tokens=4)
    server.shutdown()
    server.server_close()
    asked = [path for path in ChangingWorker.asked if path.endswith("/worker_chat_format")]
    assert asked == [f"/{number}/worker_chat_format" for number in range(3)]  # each worker once


def test_configurations_load_and_bad_ones_say_what(served):
    for name in ("fastchat", "tiny", "mistral-7b", "gemma-7b", "llama3-8b"):
        config = load_model_config(name, ROOT / "configs" / "model")
        assert isinstance(load_agent(config, "agent_model"), FastChatAgent)
    with pytest.raises(InputError, match="no model name"):
        load_agent(config, None)
    with pytest.raises(InputError, match="nowhere.json: no such file"):
        make_agent(served, "agent_model", recipe="configs/train/nowhere.json")
    with pytest.raises(InputError, match="eto.json: field \"template\" is None, expected one of mistral_v02"):
        make_agent(served, "agent_model", recipe="configs/train/eto.json")
    with pytest.raises(InputError, match="temprature"):
        make_agent(served, "agent_model", temprature=1)


def test_a_worker_that_dies_is_named_and_one_that_comes_back_is_found(served, adapters):
    def start():
        flags = ("--model-path", str(adapters["world_model"]), "--model-names", "mortal")
        worker = served.servers.start(WORKER, *flags)
        worker.wait("/worker_get_status")
        return worker

    worker = start()
    agent = make_agent(served, "mortal", retry_seconds=60)
    before = agent.generate(MESSAGES, temperature=0.0, max_new_tokens=4)
    worker.process.kill()
    worker.process.wait()
    impatient = make_agent(served, "mortal", retry_seconds=1)
    with pytest.raises(ModelError, match=worker.address):
        impatient.generate(MESSAGES, temperature=0.0, max_new_tokens=4)
    successor = threading.Thread(target=start)
    successor.start()
    started = time.monotonic()
    assert agent.generate(MESSAGES, temperature=0.0, max_new_tokens=4) == before
    assert time.monotonic() - started < 60
    successor.join()
