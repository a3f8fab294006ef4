"""The worker over HTTP, beside plain forward passes, Hugging Face's generate and FastChat's own worker."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import torch
import torch.nn.functional as F
from fastchat.constants import ErrorCode

from eval_agent.errors import InputError
from eval_agent.serve.model_worker import build_parser, main, wait_for_controller, worker_address
from tests.eval_agent.serving import ROOT

TASK = "[INST] Your task is to: put a clean mug in cabinet. [/INST] Thought: I need to find a mug.\nAction:"
# " go" and " go to" share a first token; "\n" may merge with what follows
VERBS = [" go", " go to cabinet 3", " take", " examine", " toggle", " use", " put", " heat a mug"]
MODELS = ["agent_model", "world_model", "base"]


def greedy(served, model: str, prompt: str, **fields) -> dict:
    request = {"model": model, "prompt": prompt, "temperature": 0.0, "max_new_tokens": 24, "echo": False}
    return served.ask("/worker_generate", **{**request, **fields})


def test_one_process_serves_all_names(served):
    models = requests.post(served.controller + "/list_models").json()["models"]
    assert {"agent_model", "world_model", "base"} <= set(models)
    address = requests.post(served.controller + "/get_worker_address", json={"model": "world_model"}).json()
    assert address["address"] == served.worker.address
    assert served.ask("/model_details", model="agent_model")["context_length"] == 1024


def test_each_model_tells_its_chat_format_and_who_says_so(served):
    told = served.ask("/worker_chat_format", model="gemma_agent")
    assert told["template"] == "gemma" and told["source"].endswith("/run_settings.json")
    for model in MODELS:  # without a training run's settings FastChat goes by the name random-mistral
        told = served.ask("/worker_chat_format", model=model)
        assert told["template"] == "mistral_v02" and 'FastChat\'s conversation template "mistral"' in told["source"]
    assert served.ask("/worker_chat_format")["template"] == "mistral_v02"  # the first model's
    assert served.ask("/worker_chat_format", model="nobody")["error_code"] == ErrorCode.INVALID_MODEL


@pytest.mark.parametrize("model", MODELS)
def test_scores_equal_a_plain_forward_pass(served, plain_scores, model):
    prompt = f"{model}: {TASK}"
    expected = plain_scores(model, prompt, VERBS)
    fresh = served.ask("/worker_score_candidates", model=model, prompt=prompt, candidates=VERBS)
    cached = served.ask("/worker_score_candidates", model=model, prompt=prompt, candidates=VERBS)
    for reply in (fresh, cached):
        for score, (token, first, whole) in zip(reply["scores"], expected, strict=True):
            assert score["first_token"] == token
            assert score["first_token_logprob"] == pytest.approx(first, abs=1e-4)
            assert score["logprob"] == pytest.approx(whole, abs=1e-4)
    assert fresh["usage"]["prefilled_tokens"] > 10
    assert cached["usage"]["prefilled_tokens"] == 1  # the row that predicts the first token


def test_a_shared_first_token_ties_and_the_whole_string_does_not(served):
    go, go_to = served.ask(
        "/worker_score_candidates", model="agent_model", prompt=TASK, candidates=[" go", " go to cabinet 3"]
    )["scores"]
    assert go["first_token"] == go_to["first_token"]
    assert go["first_token_logprob"] == go_to["first_token_logprob"] == go["logprob"]
    assert go_to["logprob"] < go["logprob"] - 1


@pytest.mark.parametrize("prompt", ["[INST] a mug [/INST] Thought: I nee", "[INST] a mug [/INST] Obs"])
def test_tokens_that_merge_across_the_border(served, plain_scores, tokenizer, prompt):
    candidates = ["d to find a mug.", "ervation: On", " x", "1"]
    whole = tokenizer(prompt + candidates["Obs" in prompt]).input_ids
    n_prompt = len(tokenizer(prompt).input_ids)
    assert whole[:n_prompt] != tokenizer(prompt).input_ids, "this case is meant to merge"
    expected = plain_scores("world_model", prompt, candidates)
    reply = served.ask("/worker_score_candidates", model="world_model", prompt=prompt, candidates=candidates)
    for score, (token, first, logprob) in zip(reply["scores"], expected):
        assert score["first_token"] == token
        assert score["first_token_logprob"] == pytest.approx(first, abs=1e-4)
        assert score["logprob"] == pytest.approx(logprob, abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_greedy_text_equals_hugging_face_generate(served, merged, tokenizer, model):
    ids = torch.tensor([tokenizer(TASK).input_ids])
    seen = torch.ones_like(ids)
    output = merged[model].generate(ids, attention_mask=seen, max_new_tokens=24, do_sample=False)
    expected = tokenizer.decode(
        output[0, ids.shape[1]:], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    assert greedy(served, model, TASK)["text"] == expected


def test_text_and_usage_equal_the_stock_worker(served, tokenizer):
    request = {"prompt": TASK, "temperature": 0.0, "max_new_tokens": 24, "echo": False}
    stock = requests.post(served.need_stock() + "/worker_generate", json=request).json()
    ours = greedy(served, "agent_model", TASK)
    assert tokenizer.decode(tokenizer(ours["text"]).input_ids, skip_special_tokens=True,
                            clean_up_tokenization_spaces=True) == stock["text"]
    assert ours["finish_reason"] == stock["finish_reason"] == "length"
    assert ours["usage"]["prompt_tokens"] == stock["usage"]["prompt_tokens"]


def test_echo_and_logprobs_are_the_stock_workers(served):
    request = {"prompt": TASK, "temperature": 0.0, "max_new_tokens": 3, "echo": True, "logprobs": 1}
    stock = requests.post(served.need_stock() + "/worker_generate", json=request).json()
    ours = served.ask("/worker_generate", model="agent_model", **request)
    assert ours["text"] == stock["text"]
    mine, theirs = ours["logprobs"], stock["logprobs"]
    assert mine["tokens"] == theirs["tokens"]
    assert mine["token_logprobs"][1:] == pytest.approx(theirs["token_logprobs"][1:], abs=1e-4)


def test_a_growing_dialogue_is_read_once(served):
    prompt = "[INST] the reading test [/INST] Thought:"
    first = greedy(served, "agent_model", prompt)["usage"]
    again = greedy(served, "agent_model", prompt)["usage"]
    assert first["prefilled_tokens"] >= first["prompt_tokens"] - 3  # all but "<s>[INST] ..."
    assert again["prefilled_tokens"] == 1
    longer = prompt + " go</s>[INST] Observation: a mug 1 [/INST]"
    reply = greedy(served, "agent_model", longer)
    assert reply["usage"]["prefilled_tokens"] == reply["usage"]["prompt_tokens"] - first["prompt_tokens"]
    # another adapter has read none of it
    other = greedy(served, "world_model", longer)
    assert other["usage"]["prefilled_tokens"] > 20
    assert other["text"] != reply["text"]


def test_stop_strings_and_ids_end_the_text(served, tokenizer):
    text = greedy(served, "agent_model", TASK)["text"]
    stop = text[6:9]
    stopped = greedy(served, "agent_model", TASK, stop=[stop, "never there"])
    assert stopped["text"] == text[: text.index(stop)]
    assert stopped["finish_reason"] == "stop"
    first_token = tokenizer(TASK + text).input_ids[len(tokenizer(TASK).input_ids)]
    by_id = greedy(served, "agent_model", TASK, stop_token_ids=[first_token])
    assert (by_id["text"], by_id["finish_reason"]) == ("", "stop")


def test_streams_end_with_the_same_text(served):
    request = {"model": "base", "prompt": TASK, "temperature": 0.0, "max_new_tokens": 24, "echo": False}
    stream = requests.post(served.worker.address + "/worker_generate_stream", json=request)
    chunks = [chunk for chunk in stream.content.split(b"\0") if chunk]
    assert len(chunks) > 5
    assert json.loads(chunks[-1])["text"] == greedy(served, "base", TASK)["text"]


def test_sampling_repeats_with_a_seed(served):
    fields = {"temperature": 0.9, "top_p": 0.95, "top_k": 50, "repetition_penalty": 1.1}
    one, two = (greedy(served, "base", TASK, seed=3, **fields)["text"] for _ in range(2))
    assert one == two != greedy(served, "base", TASK, seed=4, **fields)["text"]


@pytest.mark.parametrize("model", MODELS)
def test_embeddings_are_mean_hidden_states_of_the_named_model(served, merged, tokenizer, model):
    texts = ["State Knowledge: I hold nothing.", "a mug 1"]
    reply = served.ask("/worker_get_embeddings", model=model, input=texts)
    for text, vector in zip(texts, reply["embedding"]):
        with torch.inference_mode():
            ids = torch.tensor([tokenizer(text).input_ids])
            states = merged[model](ids, output_hidden_states=True).hidden_states[-1][0]
        expected = F.normalize(states.mean(0), dim=0)
        assert torch.allclose(torch.tensor(vector), expected, atol=1e-5)
    assert reply["token_num"] == sum(len(tokenizer(text).input_ids) for text in texts)


def test_embeddings_equal_the_stock_workers(served):
    request = {"input": ["a mug 1 and a spoon 2"]}
    stock = requests.post(served.need_stock() + "/worker_get_embeddings", json=request).json()
    ours = served.ask("/worker_get_embeddings", model="agent_model", **request)
    assert ours["embedding"][0] == pytest.approx(stock["embedding"][0], abs=1e-5)


def test_a_prompt_beyond_the_context_is_refused(served):
    prompt = "a mug 1, " * 400
    for reply in (
        greedy(served, "agent_model", prompt),
        served.ask("/worker_score_candidates", model="agent_model", prompt=prompt, candidates=VERBS),
        served.ask("/worker_generate", model="agent_model", prompt=prompt, logprobs=1, max_new_tokens=1),
    ):
        assert reply["error_code"] == ErrorCode.CONTEXT_OVERFLOW
        assert "1024" in reply["text"]


@pytest.mark.parametrize("request_fields, code, said", [
    ({"model": "nobody"}, ErrorCode.INVALID_MODEL, "agent_model, world_model, base"),
    ({"candidates": []}, ErrorCode.VALIDATION_TYPE_ERROR, "at least one"),
    ({"candidates": [""]}, ErrorCode.VALIDATION_TYPE_ERROR, "non-empty"),
    ({"candidates": [" go"] * 1001}, ErrorCode.PARAM_OUT_OF_RANGE, "1001 candidates, at most 1000"),
    ({"candidates": [" go to a mug" * 20] * 200}, ErrorCode.PARAM_OUT_OF_RANGE, "more than 8192 tokens"),
    ({"candidates": " go"}, ErrorCode.VALIDATION_TYPE_ERROR, '"candidates": Input should be a valid list'),
    ({"prompt": 7}, ErrorCode.VALIDATION_TYPE_ERROR, '"prompt": Input should be a valid string, found \'7\''),
])
def test_bad_requests_for_scores_are_answered_and_the_worker_goes_on(served, request_fields, code, said):
    request = {"model": "agent_model", "prompt": TASK, "candidates": VERBS, **request_fields}
    for _ in range(6):
        reply = served.ask("/worker_score_candidates", **request)
    assert reply["error_code"] == code
    assert said in reply["text"]
    assert greedy(served, "agent_model", TASK)["error_code"] == 0


@pytest.mark.parametrize("fields, said", [
    ({"prompt": None}, '"prompt"'), ({"prompt": ["a"]}, '"prompt"'), ({"max_new_tokens": -5}, '"max_new_tokens"'),
    ({"max_new_tokens": 0}, '"max_new_tokens"'), ({"max_new_tokens": "many"}, '"max_new_tokens"'),
    ({"temperature": -1}, '"temperature"'), ({"temperature": "hot"}, '"temperature"'), ({"top_p": 7}, '"top_p"'),
    ({"top_k": -9}, '"top_k"'), ({"repetition_penalty": 0}, '"repetition_penalty"'), ({"seed": 2**70}, '"seed"'),
    ({"stop": [""]}, '"stop"'), ({"stop": 4}, '"stop"'), ({"stop_token_ids": ["x"]}, '"stop_token_ids"'),
    ({"logprobs": "yes"}, '"logprobs"'), ({"model": 5}, '"model"'), ({"model": "nobody"}, "this worker serves"),
])
def test_bad_requests_for_text_get_an_error_code_and_harm_no_neighbour(served, fields, said):
    alone = greedy(served, "world_model", TASK)["text"]
    with ThreadPoolExecutor(4) as pool:
        neighbours = [pool.submit(greedy, served, "world_model", TASK) for _ in range(2)]
        reply = served.ask("/worker_generate", **{"model": "agent_model", "prompt": TASK, "echo": False, **fields})
        assert [neighbour.result()["text"] for neighbour in neighbours] == [alone, alone]
    assert reply["error_code"] in (
        ErrorCode.VALIDATION_TYPE_ERROR, ErrorCode.PARAM_OUT_OF_RANGE, ErrorCode.INVALID_MODEL
    )
    assert said in reply["text"]


@pytest.mark.parametrize("fields", [{}, {"input": []}, {"input": 7}, {"input": [["a"]]}])
def test_bad_requests_for_embeddings_get_an_error_code(served, fields):
    assert served.ask("/worker_get_embeddings", model="base", **fields)["error_code"] == (
        ErrorCode.VALIDATION_TYPE_ERROR
    )


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("route", ["/worker_generate", "/worker_score_candidates", "/count_token"])
def test_a_body_that_is_no_object_is_refused_with_400(served, route, body):
    answer = requests.post(served.worker.address + route, data=body, timeout=60)
    assert (answer.status_code, answer.json()["text"]) == (400, "a request is one JSON object")


def test_a_body_of_more_than_64_mb_is_refused_with_413(served):
    answer = requests.post(served.worker.address + "/worker_generate", data=b" " * (2**26 + 1), timeout=60)
    assert answer.status_code == 413 and greedy(served, "base", TASK)["error_code"] == 0


def test_no_log_files_beside_the_code(served):
    written = {path.suffix for path in served.servers.logs.iterdir()}
    assert written == {".log"} and not list(served.servers.logs.glob("model_worker*"))


def test_no_controller_ends_the_worker_with_a_message():
    with pytest.raises(InputError, match="no controller at http://127.0.0.1:9 "):
        wait_for_controller("http://127.0.0.1:9", seconds=0.2)


@pytest.mark.parametrize("flags, said", [
    (["--model-path", "/nowhere/at/all"], "--model-path /nowhere/at/all: no such folder"),
    (["--conv-template", "mistrall"], "--conv-template mistrall: FastChat knows only .*, mistral, "),
    (["--controller-address", "localhost:1"], '--controller-address is "localhost:1", expected an address such'),
    (["--worker-address", "http://localhost:9"], "--worker-address http://localhost:9 is on this machine, but "),
    (["--controller-address", "http://10.1.2.3:21001"], "is not this machine's localhost: give --worker-address"),
    (["--device", "mps"], "--device mps, but PyTorch finds no mps here"),
    (["--ssl"], "--ssl needs SSL_KEYFILE and SSL_CERTFILE in the environment"),
    (["--port", "70000"], "argument --port: expected 1 to 65535"),
    (["--limit-worker-concurrency", "0"], "expected a positive whole number"),
])
def test_bad_flags_end_the_worker_with_a_message(flags, said, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["model_worker", "--device", "cpu", *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize("flags, address", [
    ([], "http://localhost:21002"),
    (["--port", "21020"], "http://localhost:21020"),
    (["--port", "21020", "--host", "0.0.0.0"], "http://localhost:21020"),
    (["--port", "21020", "--host", "127.0.0.1", "--ssl"], "https://127.0.0.1:21020"),
    (["--host", "::1"], "http://[::1]:21002"),
    (["--worker-address", "http://gpu7:30000/", "--controller-address", "http://head:21001"], "http://gpu7:30000"),
])
def test_the_worker_s_address_follows_from_host_and_port(flags, address):
    assert worker_address(build_parser().parse_args(flags)) == address


def test_servers_listen_on_loopback_unless_told_otherwise(served):
    assert build_parser().parse_args([]).host == "localhost"
    with pytest.raises(requests.ConnectionError):  # another address of this machine
        port = served.worker.address.rpartition(":")[2]
        requests.post(f"http://127.0.0.2:{port}/worker_get_status", timeout=5)
    started = [line for line in (ROOT / "scripts" / "serve.sh").read_text().splitlines() if "-m fastchat" in line
               or "serve.model_worker" in line and "python" in line]
    assert len(started) == 2 and all("--host 127.0.0.1" in line for line in started)


def test_concurrent_requests_do_not_mix(served):
    jobs = [(model, f"[INST] episode {n} [/INST]") for n in range(4) for model in MODELS]
    alone = [greedy(served, *job)["text"] for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda job: greedy(served, *job)["text"], jobs)) == alone
    assert len(set(alone)) > 3
