"""Conversations to tokens: what is learnt, what is seen and what is cut."""

from dataclasses import replace

import pyarrow
import pytest

from eval_agent.agents.chat_templates import TEMPLATES, get_template
from eval_agent.errors import InputError
from train import encoding, token_cache
from train.data import Conversation
from train.encoding import IGNORE, served_otherwise
from train.token_cache import encode_conversations

FAMILIES = sorted(TEMPLATES)
REPLIES = ["OK", "Thought: é, I need a mug.\nAction: go to cabinet 3", "Action: take mug 1"]
HUMANS = [
    "Find a mug.\n",
    "Your task is to: cool a mug.\n\nTask Knowledge: look around.",
    "Observation: a mug 1",
]


def conversation(replies=REPLIES, humans=HUMANS, where="file: record 0") -> Conversation:
    turns = []
    for human, gpt in zip(humans, replies):
        turns += [{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]
    return Conversation(turns, where)


def messages(turns: list[dict]) -> list[dict]:
    roles = {"human": "user", "gpt": "assistant"}
    return [{"role": roles[turn["from"]], "content": turn["value"]} for turn in turns]


def text_of(tokenizer, ids: list[int]) -> str:
    """Text of the tokens, a space at its start included."""
    if tokenizer.backend_tokenizer.decoder:
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return "".join(tokenizer.convert_ids_to_tokens(ids)).replace("▁", " ")


def learnt_runs(example: dict) -> list[list[int]]:
    """The token runs with loss."""
    runs, inside = [], False
    for token, label in zip(example["input_ids"], example["labels"]):
        if label == IGNORE:
            inside = False
            continue
        assert label == token
        if not inside:
            runs.append([])
        runs[-1].append(token)
        inside = True
    return runs


@pytest.mark.parametrize("name", FAMILIES)
def test_loss_is_on_each_reply_and_its_end_token_exactly(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    [example], report = encode_conversations([conversation()], tokenizer, template, cutoff_len=2048)
    runs = learnt_runs(example)
    # Mistral's formats separate [/INST] and reply by a space; SentencePiece adds one to a text of its own
    space = {"mistral": "  ", "mistral_v02": " "}.get(name, "")
    end = tokenizer.convert_tokens_to_ids(template.stop)
    after = tokenizer("\n", add_special_tokens=False)["input_ids"] if name in ("gemma", "chatml") else []
    for run, reply in zip(runs, REPLIES, strict=True):
        assert run.count(end) == 1
        said, ending = run[: run.index(end)], run[run.index(end) :]
        assert ending == [end, *after]
        assert text_of(tokenizer, said) == space + reply
    assert report.trained_tokens == sum(len(run) for run in runs)


@pytest.mark.parametrize("name", ["mistral_v02", "gemma", "llama3", "chatml"])
def test_training_sees_the_tokens_that_the_server_sees(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    turns = conversation().turns
    assert not served_otherwise(conversation(), tokenizer, template)
    [example], _ = encode_conversations([conversation()], tokenizer, template, cutoff_len=2048)
    ids = example["input_ids"].tolist()
    assert ids == tokenizer(template.render(messages(turns)) + template.stop_text)["input_ids"]
    for k, run in zip((1, 3, 5), learnt_runs(example)):
        prompt = tokenizer(template.render(messages(turns[:k])))["input_ids"]
        assert ids[: len(prompt) + len(run)] == prompt + run


def test_llamafactorys_mistral_is_not_what_a_server_sees(family_tokenizers):
    assert served_otherwise(conversation(), family_tokenizers["mistral"], get_template("mistral"))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_turn_without_loss_is_seen_but_not_learnt(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    marked = conversation()
    marked.turns[1]["loss"] = False
    [plain], _ = encode_conversations([conversation()], tokenizer, template, 2048)
    [example], _ = encode_conversations([marked], tokenizer, template, 2048)
    assert example["input_ids"].tolist() == plain["input_ids"].tolist()
    assert learnt_runs(example) == learnt_runs(plain)[1:]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_cutoff_ends_after_a_whole_reply(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    long, short = conversation(), conversation(["OK"], ["A"])
    [full, _], _ = encode_conversations([long, short], tokenizer, template, cutoff_len=2048)
    runs = learnt_runs(full)
    labels = full["labels"]
    ends = [
        i + 1 for i in range(len(labels)) if labels[i] != IGNORE and (labels[i + 1 :] == IGNORE)[:1].all()
    ]
    for cutoff in range(ends[0] - 1, len(full["input_ids"])):
        fitting = sum(end <= cutoff for end in ends)
        examples, report = encode_conversations([long, short], tokenizer, template, cutoff)
        assert (report.conversations, report.cut, report.skipped) == ((2, 1, 0) if fitting else (1, 0, 1))
        if fitting:
            assert examples[0]["input_ids"].tolist() == full["input_ids"][: ends[fitting - 1]].tolist()
            assert learnt_runs(examples[0]) == runs[:fitting]


def test_nothing_fits(family_tokenizers):
    with pytest.raises(InputError, match="raise --cutoff_len"):
        encode_conversations(
            [conversation()], family_tokenizers["mistral"], get_template("mistral"), cutoff_len=3
        )


def test_train_on_prompt_learns_everything(family_tokenizers):
    [example], _ = encode_conversations(
        [conversation()], family_tokenizers["gemma"], get_template("gemma"), 2048, train_on_prompt=True
    )
    assert example["labels"].tolist() == example["input_ids"].tolist()


def test_a_token_across_the_start_of_a_reply_is_refused_by_name(family_tokenizers):
    tokenizer = family_tokenizers["llama3"]
    assert len(tokenizer("\n\n\n", add_special_tokens=False)["input_ids"]) == 1
    bad = conversation(["OK", "\nAction: look"], HUMANS[:2], "file: record 7")
    with pytest.raises(InputError, match=r"file: record 7: conversations\[3\].value: .*white space"):
        encode_conversations(
            [conversation(), bad], tokenizer, replace(get_template("llama3"), whole=True), 2048
        )


TEXTS = [conversation(), conversation(["OK"], ["A" * 99], "file: record 1"), conversation(where="file: record 2")]


def test_the_cache_gives_back_what_was_tokenised(tmp_path, family_tokenizers, monkeypatch):
    tokenizer, template = family_tokenizers["gemma"], get_template("gemma")
    made, report = encode_conversations(TEXTS, tokenizer, template, 90)
    monkeypatch.setattr(token_cache, "encode_batch", None)  # nothing is tokenised any more
    again, same = encode_conversations(TEXTS, tokenizer, template, 90)
    assert same == report and (report.conversations, report.skipped) == (2, 1)
    assert [example["where"] for example in again] == ["file: record 0", "file: record 2"]
    for ours, theirs in zip(again, made, strict=True):
        for name in ("input_ids", "labels"):
            assert ours[name].tolist() == theirs[name].tolist() and ours[name].dtype == theirs[name].dtype == "int32"


def test_other_texts_tokenizers_or_settings_are_tokenised_anew(tmp_path, family_tokenizers):
    def files():
        return len(list((tmp_path / "cache" / "wkm" / "tokenized").glob("*.arrow")))

    tokenizer, template = family_tokenizers["gemma"], get_template("gemma")
    calls = [
        (TEXTS, tokenizer, template, 200, False), (TEXTS[:2], tokenizer, template, 200, False),
        (TEXTS, family_tokenizers["llama3"], template, 200, False), (TEXTS, tokenizer, get_template("llama3"), 200, False),
        (TEXTS, tokenizer, template, 201, False), (TEXTS, tokenizer, template, 200, True),
    ]
    for number, call in enumerate(calls, 1):
        encode_conversations(*call)
        encode_conversations(*call)
        assert files() == number


def test_a_broken_cache_is_made_anew_and_one_that_cannot_be_had_is_done_without(
    tmp_path, family_tokenizers, monkeypatch, capsys
):
    call = (TEXTS, family_tokenizers["gemma"], get_template("gemma"), 90)
    _, report = encode_conversations(*call)
    file, = (tmp_path / "cache" / "wkm" / "tokenized").glob("*.arrow")
    file.write_bytes(b"not a table")
    assert encode_conversations(*call)[1] == report
    assert f"{file}: a broken cache file, made anew" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert encode_conversations(*call)[1] == report
    assert "no cache can be kept there" in capsys.readouterr().err


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reply_with_loss_false_is_read_and_not_learnt(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    all_learnt, marked = conversation(), conversation()
    marked.turns[1]["loss"], marked.turns[3]["loss"], marked.turns[0]["loss"] = False, None, None
    [before], _ = encode_conversations([all_learnt], tokenizer, template, 2048)
    [example], _ = encode_conversations([marked], tokenizer, template, 2048)
    assert list(example["input_ids"]) == list(before["input_ids"])
    assert learnt_runs(example) == learnt_runs(before)[1:]


SYSTEM = {
    "mistral_v02": "[INST] Be quick.\nFind a mug.\n [/INST]",  # as FastChat writes it
    "mistral": "[INST] Be quick.\n\nFind a mug.\n[/INST]",  # as LLaMA-Factory writes it, and so below
    "gemma": "<start_of_turn>user\nBe quick.\n\nFind a mug.\n<end_of_turn>",
    "chatml": "<|im_start|>system\nBe quick.<|im_end|>\n<|im_start|>user\nFind",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nBe quick.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nFind",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_system_text_stands_where_the_format_has_it_and_is_not_learnt(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    plain, told = conversation(), replace(conversation(), system="Be quick.")
    assert "".join(text for pair in encoding._rendered(told, template) for text in pair).startswith(SYSTEM[name])
    [before], _ = encode_conversations([plain], tokenizer, template, 2048)
    [example], _ = encode_conversations([told], tokenizer, template, 2048)  # and not taken from the other's cache
    assert len(example["input_ids"]) > len(before["input_ids"])
    assert learnt_runs(example) == learnt_runs(before)


@pytest.mark.parametrize("content", [b"", b"noise", None], ids=["empty", "noise", "cut between two batches"])
def test_a_cache_file_that_is_not_whole_is_made_anew(content, tmp_path, family_tokenizers, capsys):
    texts = [conversation(where=str(n)) for n in range(200)]
    call = (texts, family_tokenizers["gemma"], get_template("gemma"), 90)
    examples, report = encode_conversations(*call)
    file, = (tmp_path / "cache" / "wkm" / "tokenized").glob("*.arrow")
    whole = file.read_bytes()
    if content is None:  # pyarrow reads what is left as a shorter table
        batch = pyarrow.ipc.open_stream(pyarrow.BufferReader(whole)).read_next_batch()
        schema = pyarrow.ipc.open_stream(pyarrow.BufferReader(whole)).schema
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, schema) as stream:
            stream.write_batch(batch.slice(0, 10))
        content = sink.getvalue().to_pybytes()[:-8]
    file.write_bytes(content)
    capsys.readouterr()
    assert encode_conversations(*call)[1] == report
    assert f"{file}: a broken cache file, made anew" in capsys.readouterr().err
    assert len(file.read_bytes()) == len(whole)
