"""The agent over an OpenAI-compatible endpoint, against the same model on our worker.

The endpoint is a plain transformers model that tells its most probable tokens and no others; the scores of one that
tells more (vLLM) are in test_openai_scores.py.
"""

import json
import threading
from http.server import ThreadingHTTPServer

import httpx
import pytest
import torch
from endpoint import JsonHandler
from openai import OpenAI
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval_agent.agents import ContextOverflow, ModelError, load_agent
from eval_agent.agents.fastchat import FastChatAgent
from eval_agent.agents.openai import OpenAIAgent, connect, may_pass
from eval_agent.config import ModelConfig, load_model_config
from eval_agent.errors import InputError

CONTEXT = 1024
RECIPE = "configs/train/mistral.json"
MESSAGES = [
    {"role": "user", "content": "Your task is to: put a clean mug in cabinet."},
    {"role": "assistant", "content": "Thought: I need to find a mug.\nAction:"},
]
VERBS = [" go", " find", " hold", " put", " take", " open"]


class Handler(JsonHandler):
    model = tokenizer = None
    seeds: list = []

    def do_POST(self):
        request = self.read()
        if self.path != "/v1/completions":
            return self.reply(404, {"error": {"message": "Not Found"}})
        self.seeds.append(request.get("seed"))
        if request["model"] != "base":
            return self.reply(404, {"error": {"message": f"The model {request['model']} does not exist."}})
        ids = self.tokenizer(request["prompt"]).input_ids
        if len(ids) + request["max_tokens"] > CONTEXT:
            text = f"This model's maximum context length is {CONTEXT} tokens. However, you requested more."
            return self.reply(400, {"error": {"message": text}})
        new, top = [], []
        with torch.inference_mode():
            for _ in range(request["max_tokens"]):
                logprobs = self.model(torch.tensor([ids + new])).logits[0, -1].log_softmax(-1)
                best = logprobs.topk(min(request.get("logprobs") or 1, len(logprobs)))
                top.append({self.tokenizer.decode(i): p for p, i in zip(*map(torch.Tensor.tolist, best))})
                new.append(int(best.indices[0]))
        text = self.tokenizer.decode(new)
        for stop in request.get("stop") or []:
            text = text.partition(stop)[0]
        logprobs = {"top_logprobs": top} if request.get("logprobs") else None
        choice = {"index": 0, "text": text, "finish_reason": "length", "logprobs": logprobs}
        self.reply(200, {"id": "x", "object": "text_completion", "created": 0, "model": "base", "choices": [choice]})


@pytest.fixture(scope="module")
def api_base(base_model):
    Handler.model = AutoModelForCausalLM.from_pretrained(base_model).eval()
    Handler.tokenizer = AutoTokenizer.from_pretrained(base_model)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_text_and_scores_are_those_of_our_worker(api_base, served):
    verbs = [verb for verb in VERBS if len(Handler.tokenizer(verb, add_special_tokens=False).input_ids) == 1]
    assert len(verbs) > 1
    theirs = OpenAIAgent("base", api_base, RECIPE, top_logprobs=400)  # the whole vocabulary
    ours = FastChatAgent("base", served.controller)
    settings = {"stop": ["</s>"], "temperature": 0.0, "max_new_tokens": 6}
    assert theirs.generate(MESSAGES, **settings) == ours.generate(MESSAGES, **settings)
    for a, b in zip(theirs.score(MESSAGES, verbs), ours.score(MESSAGES, verbs)):
        assert a.first_token_logprob == pytest.approx(b.first_token_logprob, abs=1e-4)


def test_a_verb_that_is_not_among_the_most_probable_gets_the_least_of_them(api_base):
    everything = OpenAIAgent("base", api_base, RECIPE, top_logprobs=400).score(MESSAGES, VERBS)
    few = OpenAIAgent("base", api_base, RECIPE, top_logprobs=5).score(MESSAGES, VERBS)
    assert any(a.first_token_logprob > b.first_token_logprob for a, b in zip(few, everything))
    unknown = [score for score, known in zip(few, everything) if score.first_token_logprob > known.first_token_logprob]
    assert len({score.first_token for score in unknown}) == len(unknown)  # none is taken for another's sharer


def test_the_server_gets_a_seed_for_each_prompt_that_it_samples_for(api_base):
    config = ModelConfig(agent_class="OpenAIAgent", recipe=RECIPE, config={"api_base": api_base})
    agent = load_agent(config, "base", seed=1)
    Handler.seeds.clear()
    for messages, temperature in ((MESSAGES, 0.5), (MESSAGES, 0.5), (MESSAGES[:1], 0.5), (MESSAGES, 0.0)):
        agent.generate(messages, temperature=temperature, max_new_tokens=1)
    first, again, other, greedy = Handler.seeds
    assert first == again != other and None not in (first, other) and greedy is None


def test_what_goes_wrong_is_told(api_base):
    with pytest.raises(InputError, match='no model "bose" at http'):
        OpenAIAgent("bose", api_base, RECIPE).generate(MESSAGES, temperature=0.0, max_new_tokens=1)
    with pytest.raises(ContextOverflow, match="maximum context length is 1024"):
        OpenAIAgent("base", api_base, RECIPE).generate(MESSAGES, temperature=0.0, max_new_tokens=2000)
    with pytest.raises(ModelError, match="Connection refused"):
        OpenAIAgent("base", "http://127.0.0.1:9/v1", RECIPE).score(MESSAGES, VERBS)


def test_a_chat_endpoint_writes_whole_replies(serve):
    endpoint = serve(lambda messages: "Action: look")
    agent = OpenAIAgent("tiny", endpoint.address)
    assert agent.generate(MESSAGES[:1], stop=["\nObservation"], temperature=0.5, max_new_tokens=9) == "Action: look"
    request, = endpoint.requests
    assert request["messages"] == MESSAGES[:1] and request["stop"] == ["\nObservation"]
    assert (request["temperature"], request["max_tokens"]) == (0.5, 9)
    agent.generate(MESSAGES[:1], temperature=0.0, max_new_tokens=1)
    assert "stop" not in endpoint.requests[1]  # an empty list is refused by some servers


def test_a_chat_endpoint_neither_continues_replies_nor_scores(serve):
    agent = OpenAIAgent("tiny", serve(lambda messages: "x").address)
    with pytest.raises(ModelError, match="cannot continue a reply"):
        agent.generate(MESSAGES, temperature=0.0, max_new_tokens=1)
    with pytest.raises(ModelError, match='no scores to plan with.*"recipe"'):
        agent.score(MESSAGES, VERBS)


def test_a_chat_endpoint_s_full_context_is_told_from_other_errors(serve):
    long, broken = ((400, text) for text in ("maximum context length is 8192 tokens", "no such role"))
    for answer, error in ((long, ContextOverflow), (broken, ModelError)):
        with pytest.raises(error) as caught:
            agent = OpenAIAgent("tiny", serve(lambda messages, answer=answer: answer).address)
            agent.generate(MESSAGES[:1], temperature=0.0, max_new_tokens=1)
        assert caught.type is error


def answer_with(**changes) -> dict:
    """A chat answer with other fields; ``choice`` and ``message`` change those."""
    message = {"role": "assistant", "content": "Action: look", **changes.pop("message", {})}
    choice = {"index": 0, "finish_reason": "stop", "message": message, **changes.pop("choice", {})}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice], **changes}


class Oddities(JsonHandler):
    """Status 200 and whatever body the test puts here."""

    body: bytes = b""
    kind = "application/json"
    asked = 0

    def do_POST(self):
        self.read()
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


@pytest.fixture
def odd_endpoint(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Oddities)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    Oddities.asked, Oddities.kind = 0, "application/json"
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("answer, said", [
    (answer_with(choices=[]), '"choices": List should have at least 1 item'),
    (answer_with(choices=None), '"choices"'),
    (answer_with(choices={"a": 1}), '"choices"'),
    ({"error": {"message": "overloaded", "code": 500}}, "overloaded"),
    (answer_with(message={"content": None}), '"choices.0.message.content'),
    (answer_with(message={"content": 5}), '"choices.0.message.content'),
    (answer_with(choice={"message": "hi"}), '"choices.0.message"'),
    (answer_with(message={"content": ""}, choice={"finish_reason": "length"}), '"finish_reason" is "length"'),
    (answer_with(message={"content": ""}, choice={"finish_reason": "content_filter"}), 'is "content_filter"'),
    ([], '"the whole"'), (None, '"the whole"'),
])
def test_an_answer_that_is_none_is_asked_for_again_and_then_a_technical_fault(odd_endpoint, answer, said):
    Oddities.body = json.dumps(answer).encode()
    with pytest.raises(ModelError) as fault:
        OpenAIAgent("tiny", odd_endpoint).generate(MESSAGES[:1], temperature=0.0, max_new_tokens=9)
    assert said in str(fault.value) and "not the answer expected" in str(fault.value)
    assert Oddities.asked == 4


def test_a_web_page_with_status_200_is_a_technical_fault(odd_endpoint):
    Oddities.body = b"<html>Welcome</html>"
    for Oddities.kind in ("text/html", "application/json"):
        with pytest.raises(ModelError, match="not the answer expected"):
            OpenAIAgent("tiny", odd_endpoint).generate(MESSAGES[:1], temperature=0.0, max_new_tokens=9)
    with pytest.raises(ModelError, match="not the answer expected"):
        OpenAIAgent("base", odd_endpoint, RECIPE).score(MESSAGES, VERBS)


def test_an_empty_reply_and_one_in_parts_are_replies(odd_endpoint):
    for content, text in (("", ""), ([{"type": "text", "text": "Action: "}, {"type": "text", "text": "look"}],
                                     "Action: look")):
        Oddities.body = json.dumps(answer_with(message={"content": content})).encode()
        assert OpenAIAgent("tiny", odd_endpoint).generate(MESSAGES[:1], temperature=0.0, max_new_tokens=9) == text


@pytest.mark.parametrize("key, sent", [("", "EMPTY"), (" \n", "EMPTY"), ("sk-1\n", "sk-1"), ("sk-1", "sk-1")])
def test_a_key_is_sent_without_the_blanks_around_it(monkeypatch, key, sent):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert connect("http://localhost:8000/v1", "--api_base")["api_key"] == sent


@pytest.mark.parametrize("key", ["sk 1", "sk\n1", "sk-\u00e9", "sk\t1"])
def test_a_key_that_no_request_can_carry_is_refused(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match="OPENAI_API_KEY holds a blank, a line break or a letter that no key has"):
        OpenAIAgent("tiny", "http://localhost:8000/v1")


@pytest.mark.parametrize("address", ["", "localhost:8000/v1", "ftp://localhost", "http://local host/v1"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match='field "api_base" of the model config is ".*", expected an address such as'):
        OpenAIAgent("tiny", address)


def test_loopback_is_asked_past_any_proxy(monkeypatch, serve):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9" if name == "ALL_PROXY" else "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY"), monkeypatch.delenv("no_proxy")
    agent = OpenAIAgent("tiny", serve(lambda messages: "Action: look").address)
    assert agent.generate(MESSAGES[:1], temperature=0.0, max_new_tokens=9) == "Action: look"


def test_a_refused_key_is_told_from_other_failures(serve):
    refused_key = r"HTTP 401 .*no entry.*the key comes from \$OPENAI_API_KEY"
    for status, said in ((401, refused_key), (400, "HTTP 400 .*no entry")):
        agent = OpenAIAgent("tiny", serve(lambda messages, status=status: (status, "no entry")).address)
        with pytest.raises(ModelError, match=said):
            agent.generate(MESSAGES[:1], temperature=0.0, max_new_tokens=1)


def test_the_shipped_chat_configuration_loads():
    assert load_agent(load_model_config("openai_chat", "configs/model"), "gpt-4").template is None


def test_the_shipped_configuration_loads():
    agent = load_agent(load_model_config("openai", "configs/model"), "some-model")
    assert isinstance(agent, OpenAIAgent) and agent.template.name == "mistral_v02"


def test_the_shipped_configuration_follows_the_recipe_of_the_scripts(monkeypatch):
    monkeypatch.setenv("RECIPE", "configs/train/gemma.json")
    assert load_agent(load_model_config("openai", "configs/model"), "some-model").template.name == "gemma"


@pytest.mark.parametrize("code, again", [
    ("INTERNAL_ERROR", True), ("CONTROLLER_NO_WORKER", True), ("ENGINE_OVERLOADED", True),
    ("VALIDATION_TYPE_ERROR", False), ("INVALID_MODEL", False), ("CONTEXT_OVERFLOW", False),
])
def test_fastchat_s_server_says_400_to_all_and_its_own_code_tells_whether_to_ask_again(code, again):
    """A worker that died amid a request is "Server disconnected", 50001, with HTTP status 400."""
    from fastchat.constants import ErrorCode
    from fastchat.serve.openai_api_server import create_error_response

    told = create_error_response(ErrorCode[code], "Server disconnected")
    request = httpx.Request("POST", "http://localhost:8000/v1/chat/completions")
    answer = httpx.Response(told.status_code, content=told.body, request=request)
    error = OpenAI(api_key="EMPTY")._make_status_error_from_response(answer)
    assert told.status_code == 400 and may_pass(error) == again
