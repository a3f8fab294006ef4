"""world_knowledge_build.py with the rules, and over HTTP with an endpoint that answers like a model."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import tenacity
from alfworld_pairs import answered_turns, make_pairs, run_main

import world_knowledge_build
from eval_agent.files import read_json, write_json

SCRIPT = Path(world_knowledge_build.__file__)
TASK_ANSWER = "Task Knowledge: When you search, you should look. The action workflows are: 1) go 2) take"


@pytest.fixture
def paths(tmp_path):
    write_json(tmp_path / "pairs.json", make_pairs())
    return tmp_path / "pairs.json", tmp_path / "out.json"


@pytest.fixture
def build(monkeypatch):
    def call(dataset, output, gen="task_knowledge", task="alfworld", model="rules", *more) -> int:
        return run_main(
            world_knowledge_build,
            monkeypatch,
            "--dataset_path",
            dataset,
            "--task",
            task,
            "--gen",
            gen,
            "--model_name",
            model,
            "--output_path",
            output,
            *more,
        )

    return call


def test_a_trajectory_alone_gets_the_states_of_its_pair(paths, tmp_path, build):
    write_json(tmp_path / "alone.json", [pair["chosen"] for pair in make_pairs()])
    for dataset, output in ((paths[0], "pairs_state.json"), (tmp_path / "alone.json", "alone_state.json")):
        assert build(dataset, tmp_path / output, "state_knowledge") == 0
    assert read_json(tmp_path / "alone_state.json") == [pair["chosen"] for pair in read_json(tmp_path / "pairs_state.json")]
    assert build(tmp_path / "alone.json", tmp_path / "no.json", "task_knowledge") == 2


@pytest.mark.parametrize(
    "order", [("task_knowledge", "state_knowledge"), ("state_knowledge", "task_knowledge")]
)
def test_both_kinds_by_rule_in_either_order(paths, tmp_path, build, order, capsys):
    between, end = tmp_path / "between.json", tmp_path / "end.json"
    assert build(paths[0], between, order[0]) == 0
    assert build(between, end, order[1]) == 0
    assert f"{order[1]} of 2 of 2 pairs" in capsys.readouterr().out
    pairs = read_json(end)
    for pair in pairs:
        assert pair.pop("task_knowledge").startswith("Task Knowledge: When ")
        turns = answered_turns(pair)
        known = [turn.pop("state_knowledge") for turn in turns]
        assert all(text.startswith("State Knowledge: ") and "\n" not in text for text in known)
        assert len(set(known)) == len(turns)
    assert pairs == make_pairs()  # all else is as it was
    assert build(between, end, order[1]) == 0
    assert "0 answers made now" in capsys.readouterr().out


def test_a_language_model_is_asked_with_the_prompt_and_the_papers_limits(paths, build, serve):
    endpoint = serve(lambda messages: f"Of course.\n{TASK_ANSWER}\n")
    arguments = ("task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--concurrency", 1)
    assert build(*paths, *arguments) == 0
    assert [pair["task_knowledge"] for pair in read_json(paths[1])] == [TASK_ANSWER] * 2
    request = endpoint.requests[0]
    assert (request["temperature"], request["max_tokens"], request["model"]) == (0.5, 512, "tiny")
    prompt = request["messages"][0]["content"]
    assert "Action: put mug 1 in/on cabinet 1" in prompt and "Action: take mug 1 from cabinet 2" in prompt
    assert "your task is to: put a clean mug in cabinet." in prompt.lower()


def test_knowledge_from_the_expert_alone_does_not_show_the_rejected_side(paths, build, serve):
    pairs = make_pairs()
    assert build(*paths) == 0
    warned = [pair["task_knowledge"] for pair in read_json(paths[1])]
    write_json(paths[0], [pairs[0], pairs[1]["chosen"]])  # nor is it needed
    assert build(*paths, "task_knowledge", "alfworld", "rules", "--expert_only") == 0
    alone = [pair["task_knowledge"] for pair in read_json(paths[1])]
    assert any("You should not" in text for text in warned)
    assert not any("You should not" in text for text in alone)

    endpoint = serve(lambda messages: TASK_ANSWER)
    arguments = ("task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--expert_only")
    assert build(*paths, *arguments) == 0
    for request in endpoint.requests:
        assert request["messages"][0]["content"].endswith("expert's run alone teaches.)\nAnswer:")


def test_state_knowledge_is_asked_with_the_history_before_the_action(paths, build, serve):
    endpoint = serve(lambda messages: f"State Knowledge: I have read {len(messages[0]['content'])} letters.")
    arguments = ("state_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--concurrency", 1)
    assert build(*paths, *arguments) == 0
    assert len(endpoint.requests) == 12
    assert {(request["temperature"], request["max_tokens"]) for request in endpoint.requests} == {(0.0, 128)}
    first, second = (
        request["messages"][0]["content"].rpartition("So far:")[2] for request in endpoint.requests[:2]
    )
    assert "countertop" not in first
    assert "Action: go to countertop 1\nObservation: On the countertop 1, you see a mug 1" in second
    assert "take mug 1" not in second


def test_answers_of_a_record_that_stays_without_count_too(paths, build, serve, capsys):
    endpoint = serve(lambda m: "No idea." if "take mug 1" in m[0]["content"].rpartition("So far:")[2] else "State Knowledge: so.")
    arguments = ("state_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--max_attempts", 1)
    assert build(*paths, *arguments) == 1
    assert "state_knowledge of 1 of 2 pairs" in (output := capsys.readouterr().out) and ": 7 answers made now, 0 from" in output
    assert build(*paths, *arguments) == 1
    assert ": 0 answers made now, 7 from before" in capsys.readouterr().out


def test_a_malformed_answer_is_asked_for_again(paths, build, serve, capsys):
    def answer(messages):
        return "I would look around." if len(messages) == 1 else TASK_ANSWER

    endpoint = serve(answer)
    arguments = ("task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--concurrency", 1)
    assert build(*paths, *arguments) == 0
    assert [len(request["messages"]) for request in endpoint.requests] == [1, 3] * 2
    assert "asked again because malformed: 2 of 4 answers (50.0%)" in capsys.readouterr().out


def test_it_gives_up_after_so_many_records_without_an_answer_in_the_form(paths, build, serve, capsys):
    endpoint = serve(lambda messages: "No idea.")
    arguments = (*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--max_attempts", 1)
    assert build(*arguments, "--give_up_after", 2) == 2
    assert "2 records in a row stayed without knowledge (--give_up_after), the last one: " in capsys.readouterr().err
    assert build(*arguments, "--give_up_after", 3) == 1


def test_records_that_stay_without_knowledge_are_rejected_and_the_others_written(paths, build, serve, capsys):
    stubborn = True

    def answer(messages):
        about_apple = "put a apple in fridge" in messages[0]["content"]
        return "No idea." if stubborn and about_apple else TASK_ANSWER

    endpoint = serve(answer)
    arguments = (*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address)
    rejects = Path(f"{paths[1]}.rejects.jsonl")
    assert build(*arguments, "--max_attempts", 3) == 1
    output = capsys.readouterr().out
    assert "task_knowledge of 1 of 2 pairs" in output and "1 records stayed without" in output
    assert [pair["chosen"]["id"] for pair in read_json(paths[1])] == ["mug"]
    (reject,) = map(json.loads, rejects.read_text().splitlines())
    assert reject["record"] == 1 and reject["where"].endswith("pairs.json: record 1")
    assert reject["reason"].startswith("3 malformed answers; the last one: The answer does not begin with")
    assert len(endpoint.requests) == 1 + 3
    stubborn = False
    assert build(*arguments) == 0
    assert len(endpoint.requests) == 5  # the finished one is not asked for again
    assert len(read_json(paths[1])) == 2 and not rejects.exists()


def test_records_are_worked_on_side_by_side(paths, build, serve):
    def answer(messages):
        time.sleep(0.2)
        return f"State Knowledge: I have read {len(messages[0]['content'])} letters."

    write_json(paths[0], [{**pair, "split": n} for n in range(4) for pair in make_pairs()])
    endpoint = serve(answer)
    arguments = ("state_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--concurrency", 4)
    assert build(*paths, *arguments) == 0
    assert endpoint.most == 4
    # of one trajectory, no two steps at once: each was asked for with one step more than the one before
    lengths = [len(request["messages"][0]["content"]) for request in endpoint.requests]
    assert max(lengths[:4]) < min(lengths[4:8])


@pytest.fixture
def hasty(monkeypatch):
    """Faults are retried at once, three times in all."""
    from eval_agent.knowledge import llm

    monkeypatch.setattr(llm, "_WAIT", tenacity.wait_none())
    monkeypatch.setattr(llm, "_TRIES", 3)


@pytest.mark.parametrize("fault", [(429, "slow down"), (500, "oops"), (503, "starting"), None])
def test_a_fault_that_passes_is_waited_for(paths, build, serve, fault):
    faults = [fault] * 2
    endpoint = serve(lambda messages: faults.pop() if faults else TASK_ANSWER)
    started = time.monotonic()
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address) == 0
    assert len(endpoint.requests) == 4 and len(read_json(paths[1])) == 2
    assert time.monotonic() - started < 30


def test_an_answer_that_takes_too_long_is_asked_for_again(paths, build, serve):
    seconds = [3.0]

    def answer(messages):
        time.sleep(seconds.pop() if seconds else 0)
        return TASK_ANSWER

    endpoint = serve(answer)
    arguments = ("task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--timeout", 1)
    assert build(*paths, *arguments) == 0
    assert len(endpoint.requests) == 3


def test_a_fault_that_stays_rejects_the_record(paths, build, serve, hasty):
    endpoint = serve(lambda messages: TASK_ANSWER if "clean mug" in messages[0]["content"] else (500, "oops"))
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address) == 1
    (reject,) = map(json.loads, Path(f"{paths[1]}.rejects.jsonl").read_text().splitlines())
    assert reject["record"] == 1 and reject["reason"].startswith("failed 3 times, the last time: ")
    assert "oops" in reject["reason"] and len(endpoint.requests) == 1 + 3


def chat(**message) -> dict:
    """A whole answer with these fields of its message."""
    finish = message.pop("finish_reason", "stop")
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}


@pytest.mark.parametrize("odd, said", [
    ({**chat(content="x"), "choices": []}, "cannot be read"), ({**chat(content="x"), "choices": None}, "cannot be read"),
    ({"error": {"message": "overloaded"}}, "overloaded"), (b"<html>Welcome</html>", "cannot be read"),
    (chat(content=None), "The answer does not begin"), (chat(content=5), "cannot be read"),
    (chat(content="", finish_reason="length"), "The answer does not begin"),
    (chat(content="", finish_reason="content_filter"), "The answer does not begin"),
])
def test_an_answer_that_is_none_is_asked_for_again_and_then_rejects_it(paths, build, serve, odd, said, capsys):
    endpoint = serve(lambda messages: TASK_ANSWER if "clean mug" in messages[0]["content"] else odd)
    arguments = (*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--max_attempts", 3)
    assert build(*arguments) == 1
    (reject,) = map(json.loads, Path(f"{paths[1]}.rejects.jsonl").read_text().splitlines())
    assert reject["record"] == 1 and reject["reason"].startswith("3 malformed answers; the last one: ")
    assert said in reject["reason"] and len(endpoint.requests) == 1 + 3
    assert "asked again because malformed: 2 of" in capsys.readouterr().out
    endpoint.answer = lambda messages: chat(content=[{"type": "text", "text": TASK_ANSWER}])
    assert build(*arguments) == 0 and len(read_json(paths[1])) == 2


@pytest.mark.parametrize("key, api_base, said", [
    ("", None, None), ("sk-1\n", None, None),
    ("sk 1", None, "OPENAI_API_KEY holds a blank"), ("sk\n1", None, "OPENAI_API_KEY holds a blank"),
    ("", "", '--api_base is "", expected an address such as http://localhost:8000/v1'), ("", "localhost:8000/v1", "--api_base is \"localhost:8000/v1\""),
])
def test_keys_and_addresses_are_checked_first(paths, build, serve, capsys, monkeypatch, key, api_base, said):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    endpoint = serve(lambda messages: TASK_ANSWER)
    address = endpoint.address if api_base is None else api_base
    code = build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", address)
    assert code == (0 if said is None else 2) and (said or "") in capsys.readouterr().err


@pytest.mark.parametrize("flag, value", [("--timeout", -1), ("--timeout", 0), ("--timeout", "nan"),
                                         ("--temperature", "nan"), ("--temperature", -0.5), ("--temperature", "inf")])
def test_numbers_out_of_range_are_told_by_their_flag(paths, build, serve, capsys, flag, value):
    endpoint = serve(lambda messages: TASK_ANSWER)
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, flag, value) == 2
    assert capsys.readouterr().err.startswith(f"error: {flag} is ") and not endpoint.requests


def test_an_endpoint_on_this_machine_is_asked_past_any_proxy(paths, build, serve, monkeypatch):
    monkeypatch.delenv("NO_PROXY"), monkeypatch.delenv("no_proxy")
    for name, proxy in (("HTTP_PROXY", "http://127.0.0.1:9"), ("ALL_PROXY", "socks5://127.0.0.1:9")):
        monkeypatch.setenv(name, proxy)
    endpoint = serve(lambda messages: TASK_ANSWER)
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address) == 0


def test_a_proxy_that_hides_the_endpoint_is_named(paths, build, monkeypatch, capsys):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", "http://10.1.2.3:8000/v1") == 2
    assert "the proxy http://127.0.0.1:9 does not let it through" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [(401, "key expired"), (404, "no such model"), (422, "no temperature here")])
def test_a_refused_request_ends_the_run_and_keeps_what_is_finished(paths, build, serve, capsys, fault):
    endpoint = serve(lambda messages: TASK_ANSWER if "clean mug" in messages[0]["content"] else fault)
    arguments = (*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address)
    assert build(*arguments, "--concurrency", 1) == 2
    message = capsys.readouterr().err
    assert "record 1" in message and fault[1] in message and "run the same command again" in message
    endpoint.answer = lambda messages: TASK_ANSWER
    assert build(*arguments) == 0 and len(endpoint.requests) == 3


def test_an_endpoint_that_goes_away_ends_the_run_at_once(paths, build, serve, capsys):
    def answer(messages):
        endpoint.socket.close()  # the next one is refused
        return TASK_ANSWER

    endpoint = serve(answer)
    arguments = ("task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address, "--concurrency", 1)
    started = time.monotonic()
    assert build(*paths, *arguments) == 2
    message = capsys.readouterr().err
    assert "Connection refused" in message and "run the same command again" in message
    assert time.monotonic() - started < 5


CONTEXT = 1400  # words, which this endpoint takes for tokens


def few_words(messages):
    words = sum(len(message["content"].split()) for message in messages)
    if words + 512 > CONTEXT:
        requested = f"you requested {words + 512} tokens ({words} in the messages, 512 in the completion)"
        return 400, f"This model's maximum context length is {CONTEXT} tokens. However, {requested}."
    return TASK_ANSWER


def test_too_long_trajectories_lose_the_text_of_their_oldest_observations(paths, build, serve):
    pairs = make_pairs()[:1]
    turns = pairs[0]["chosen"]["conversations"]
    for turn in (turns[2], turns[10]):  # after the first action, and late
        turn["value"] += " Dust." * 110
    write_json(paths[0], pairs)
    endpoint = serve(few_words)
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address) == 0
    whole, cut = (endpoint.requests[place]["messages"][0]["content"] for place in (0, -1))
    assert few_words(endpoint.requests[0]["messages"])[0] == 400
    # the older one goes, the later one stays; the task and all actions are there
    assert whole.count(" Dust." * 110) == 2 and cut.count(" Dust." * 110) == 1
    assert "Action: go to countertop 1\nObservation: (left out)" in cut
    lines = set(line for line in whole.splitlines() if not line.startswith("Observation:"))
    assert lines == set(line for line in cut.splitlines() if not line.startswith("Observation:"))


def test_actions_that_do_not_fit_are_that_records_reject(paths, build, serve):
    pairs = make_pairs()
    pairs[0]["chosen"]["conversations"][1]["value"] = "Thought:" + " well" * 2000 + "\nAction: go to fridge 1"
    write_json(paths[0], pairs)
    endpoint = serve(few_words)
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address) == 1
    (reject,) = map(json.loads, Path(f"{paths[1]}.rejects.jsonl").read_text().splitlines())
    assert (reject["record"], reject["reason"]) == (
        0, "task and actions alone are too long for the model's context"
    )
    assert [pair["chosen"]["id"] for pair in read_json(paths[1])] == ["apple"]


def test_a_journal_of_other_inputs_is_not_mixed_in(paths, build, serve):
    endpoint = serve(lambda messages: TASK_ANSWER)
    arguments = (*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoint.address)
    assert build(*arguments) == 0
    pairs = make_pairs()
    pairs[0]["chosen"]["conversations"][1]["value"] = "Thought: another one.\nAction: go to fridge 1"
    write_json(paths[0], pairs)
    endpoint.answer = lambda messages: TASK_ANSWER.replace("look", "look twice")
    assert build(*arguments) == 0
    assert ["look twice" in pair["task_knowledge"] for pair in read_json(paths[1])] == [True, False]


@pytest.fixture
def asked(paths, build, serve, capsys):
    """Runs the same build with whatever flags follow; how many answers were made now."""
    endpoints = [serve(lambda messages: TASK_ANSWER) for _ in range(2)]

    def call(endpoint=0, *more) -> int:
        arguments = (*paths, "task_knowledge", "alfworld", "tiny", "--api_base", endpoints[endpoint].address)
        assert build(*arguments, *more) == 0
        return int(re.search(r"(\d+) answers made now", capsys.readouterr().out)[1])

    return call


def test_the_same_model_prompt_and_settings_are_not_asked_again(asked):
    assert (asked(), asked(), asked(0, "--temperature", 0.5)) == (2, 0, 0)  # 0.5 is what the default means


def test_another_temperature_or_endpoint_is_asked_anew(asked):
    assert (asked(), asked(0, "--temperature", 0.7), asked(1), asked(1)) == (2, 2, 2, 0)


def test_an_edited_prompt_or_another_limit_is_asked_anew(asked, monkeypatch, tmp_path):
    from eval_agent.knowledge import llm

    assert asked() == 2
    prompts = shutil.copytree(llm.PROMPTS, tmp_path / "prompts")
    monkeypatch.setattr(llm, "PROMPTS", prompts)
    assert asked() == 0  # the same text elsewhere
    template = prompts / "alfworld_task_knowledge.txt"
    template.write_text("Be brief.\n" + template.read_text())
    assert (asked(), asked()) == (2, 0)
    monkeypatch.setitem(llm.MAX_TOKENS, "task_knowledge", 256)
    assert (asked(), asked()) == (2, 0)


@pytest.mark.parametrize("module", ["alfworld", "alfworld_state"])
def test_edited_rules_make_their_knowledge_anew(paths, build, capsys, monkeypatch, tmp_path, module):
    def made() -> int:
        assert build(*paths) == 0
        return int(re.search(r"(\d+) answers made now", capsys.readouterr().out)[1])

    assert (made(), made()) == (2, 0)
    source = import_module(f"eval_agent.rules.{module}")
    edited = tmp_path / f"{module}.py"
    edited.write_text(Path(source.__file__).read_text() + "# an edit\n")
    monkeypatch.setattr(source, "__file__", str(edited))
    assert (made(), made()) == (2, 0)


def test_a_killed_run_goes_on_where_it_was(paths, serve):
    def answer(messages):
        time.sleep(0.1)
        return f"State Knowledge: I have read {len(messages[0]['content'])} letters."

    endpoint, journal = serve(answer), Path(f"{paths[1]}.journal.jsonl")
    command = [
        sys.executable,
        SCRIPT,
        "--dataset_path",
        paths[0],
        "--task",
        "alfworld",
        "--gen",
        "state_knowledge",
        "--model_name",
        "tiny",
        "--output_path",
        paths[1],
        "--api_base",
        endpoint.address,
    ]
    run = subprocess.Popen(command, cwd=SCRIPT.parent, stderr=subprocess.PIPE)
    while not (journal.exists() and len(journal.read_text().splitlines()) >= 4):
        assert run.poll() is None, run.stderr.read().decode()
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stderr.close()
    finished = len(journal.read_text().splitlines())
    asked = len(endpoint.requests)
    assert 4 <= finished < 12 and not paths[1].exists()
    second = subprocess.run(command, cwd=SCRIPT.parent, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert len(endpoint.requests) - asked == 12 - finished
    assert all("state_knowledge" in turn for pair in read_json(paths[1]) for turn in answered_turns(pair))


def test_the_endpoint_is_checked_before_the_first_prompt(paths, build, serve, capsys):
    endpoint = serve(lambda messages: TASK_ANSWER)
    assert build(*paths, "task_knowledge", "alfworld", "tinny", "--api_base", endpoint.address) == 2
    assert 'serves no model "tinny"; --model_name can be one of: tiny, or rules' in capsys.readouterr().err
    started = time.monotonic()
    assert build(*paths, "task_knowledge", "alfworld", "tiny", "--api_base", "http://127.0.0.1:9/v1") == 2
    assert "http://127.0.0.1:9/v1: nothing answers there; start the endpoint" in capsys.readouterr().err
    assert time.monotonic() - started < 5 and not endpoint.requests


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda pairs: pairs[1].pop("rejected"), 'pairs.json: record 1: field "rejected" is missing'),
        (lambda pairs: pairs[1].pop("chosen"), 'pairs.json: record 1: field "chosen" is missing'),
        (
            lambda pairs: pairs[1]["chosen"].pop("conversations"),
            'record 1: chosen: field "conversations" is missing',
        ),
        (
            lambda pairs: pairs[1]["rejected"]["conversations"].pop(2),
            "record 1: rejected: conversations[2].from",
        ),
        (
            lambda pairs: pairs[1]["chosen"]["conversations"][3].update(value=" "),
            "chosen: conversations[3].value is empty",
        ),
        (lambda pairs: pairs.clear(), "pairs.json: the data set is empty"),
    ],
)
def test_bad_records_are_named_before_the_first_answer(paths, build, capsys, change, message):
    pairs = make_pairs()
    change(pairs)
    write_json(paths[0], pairs)
    assert build(*paths) == 2
    assert message in capsys.readouterr().err
    assert [file.name for file in paths[0].parent.iterdir()] == ["pairs.json"]


def test_bad_arguments_are_named(paths, build, capsys):
    assert build("nowhere.json", paths[1]) == 2
    assert "nowhere.json: no such file" in capsys.readouterr().err
    assert build(*paths, "worldknowledge") == 2
    assert (
        'unknown --gen "worldknowledge", expected one of task_knowledge, state_knowledge'
        in capsys.readouterr().err
    )
    assert build(*paths, "task_knowledge", "alfred") == 2
    assert 'unknown task "alfred", expected one of alfworld, sciworld, webshop' in capsys.readouterr().err
    assert build(*paths, "task_knowledge", "webshop") == 2
    assert "not a page of WebShop" in capsys.readouterr().err
    paths[0].write_text('[{"chosen": }]')
    assert build(*paths) == 2
    assert "pairs.json: malformed JSON at line 1, column 13" in capsys.readouterr().err
