"""Data sets to tokens: what is learnt, what is seen, what is cut, and how bad input is named."""

import json

import pytest

from eval_agent.errors import InputError
from train.chat_templates import TEMPLATES, get_template
from train.sft_data import IGNORE, Conversation, dataset_files, encode_conversations, read_conversations

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
    space = " " if name == "mistral" else ""  # Mistral's format separates [/INST] and reply by a space
    end = tokenizer.convert_tokens_to_ids(template.stop)
    assert [run[-1] for run in runs] == [end] * 3
    assert [run.count(end) for run in runs] == [1] * 3
    for run, reply in zip(runs, REPLIES):
        assert text_of(tokenizer, run[:-1]) == space + reply
    assert report.trained_tokens == sum(len(run) for run in runs)


@pytest.mark.parametrize("name", FAMILIES)
def test_training_sees_the_tokens_that_the_server_sees(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    turns = conversation().turns
    [example], _ = encode_conversations([conversation()], tokenizer, template, cutoff_len=2048)
    assert (
        example["input_ids"] == tokenizer(template.render(messages(turns)) + template.stop_text)["input_ids"]
    )
    for k, run in zip((1, 3, 5), learnt_runs(example)):
        prompt = tokenizer(template.render(messages(turns[:k])))["input_ids"]
        assert example["input_ids"][: len(prompt)] == prompt
        assert example["input_ids"][len(prompt) : len(prompt) + len(run)] == run


@pytest.mark.parametrize("name", FAMILIES)
def test_every_cutoff_ends_after_a_whole_reply(name, family_tokenizers):
    tokenizer, template = family_tokenizers[name], get_template(name)
    long, short = conversation(), conversation(["OK"], ["A"])
    [full, _], _ = encode_conversations([long, short], tokenizer, template, cutoff_len=2048)
    runs = learnt_runs(full)
    ends = [
        i + 1
        for i, token in enumerate(full["labels"])
        if token == tokenizer.convert_tokens_to_ids(template.stop)
    ]
    for cutoff in range(ends[0] - 1, len(full["input_ids"])):
        fitting = sum(end <= cutoff for end in ends)
        examples, report = encode_conversations([long, short], tokenizer, template, cutoff)
        assert (report.conversations, report.cut, report.skipped) == ((2, 1, 0) if fitting else (1, 0, 1))
        if fitting:
            assert examples[0]["input_ids"] == full["input_ids"][: ends[fitting - 1]]
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
    assert example["labels"] == example["input_ids"]


def test_a_token_across_the_start_of_a_reply_is_refused_by_name(family_tokenizers):
    tokenizer = family_tokenizers["llama3"]
    assert len(tokenizer("\n\n\n", add_special_tokens=False)["input_ids"]) == 1
    bad = conversation(["OK", "\nAction: look"], HUMANS[:2], "file: record 7")
    with pytest.raises(InputError, match=r"file: record 7: conversations\[3\].value: .*white space"):
        encode_conversations([conversation(), bad], tokenizer, get_template("llama3"), 2048)


def write(path, value) -> str:
    path.write_text(json.dumps(value))
    return str(path)


RECORD = {"id": "a", "conversations": conversation().turns}
ENTRY = {"file_name": "mugs.json", "formatting": "sharegpt"}


def test_a_list_of_names_and_files_is_read_in_order(tmp_path):
    unanswered = {"conversations": RECORD["conversations"] + [{"from": "human", "value": "Observation: won"}]}
    write(tmp_path / "mugs.json", [RECORD, RECORD])
    write(tmp_path / "more.json", [unanswered])
    write(tmp_path / "dataset_info.json", {"mugs": ENTRY})
    files = dataset_files(f"mugs, more.json,{tmp_path / 'more.json'}", str(tmp_path))
    assert [path.name for path in files] == ["mugs.json", "more.json", "more.json"]
    conversations = read_conversations(files, max_samples=1)
    assert [c.where for c in conversations] == [f"{path}: record 0" for path in files]
    assert all(c.turns == RECORD["conversations"] for c in conversations)


@pytest.mark.parametrize(
    "registry, message",
    [
        ({"cups": ENTRY}, 'no data set "mugs", registered are: cups'),
        ({"mugs": ENTRY}, "no file .*mugs.json"),
        ({"mugs": {"hf_hub_url": "x/y", "formatting": "sharegpt"}}, '"file_name" is missing'),
        ({"mugs": {"file_name": "mugs.json"}}, '"formatting" is not "sharegpt"'),
        ({"mugs": {**ENTRY, "tags": {"role_tag": "role"}}}, 'tags.role_tag is not "from"'),
        ({"mugs": {**ENTRY, "columns": {"messages": "chat"}}}, "columns.messages"),
    ],
)
def test_registry_faults(tmp_path, registry, message):
    write(tmp_path / "dataset_info.json", registry)
    with pytest.raises(InputError, match=message):
        dataset_files("mugs", str(tmp_path))


@pytest.mark.parametrize(
    "content, message",
    [
        ("[]", "empty"),
        ('[{"conversations": [}]', "malformed JSON at line 1, column 21"),
        ('[{"conversations": []}]', 'record 0: field "conversations"'),
        ('[{"conversations": [{"from": "gpt", "value": "a"}]}]', r"record 0: conversations\[0\].from"),
        ('[{"conversations": [{"from": "human", "value": 1}]}]', r"record 0: conversations\[0\].value"),
        ('[{"conversations": [{"from": "human", "value": "a"}]}]', "record 0: .*no gpt turn"),
    ],
)
def test_data_faults_name_file_record_and_field(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"bad.json.*{message}"):
        read_conversations([path], None)


def test_the_projects_own_registry_is_valid():
    from eval_agent.files import read_json
    from tests.conftest import ROOT

    for name in read_json(ROOT / "data" / "dataset_info.json"):
        try:
            dataset_files(name, str(ROOT / "data"))
        except InputError as error:
            assert "no file" in str(error)
