"""Data sets: which files a name stands for, and how bad records are named."""

import json

import pytest

from eval_agent.errors import InputError
from tests.train.test_eto import BAD, GOOD, PROMPT
from tests.train.test_eto import turns as gpt_turns
from train.data import DataSet, data_sets, read_conversations, read_pairs


def write(path, value) -> str:
    path.write_text(json.dumps(value))
    return str(path)


TURNS = [{"from": "human", "value": "Find a mug."}, {"from": "gpt", "value": "OK"}]
RECORD = {"id": "a", "conversations": TURNS}
ENTRY = {"file_name": "mugs.json", "formatting": "sharegpt"}


def test_a_list_of_names_and_files_is_read_in_order(tmp_path):
    unanswered = {"conversations": RECORD["conversations"] + [{"from": "human", "value": "Observation: won"}]}
    write(tmp_path / "mugs.json", [RECORD, RECORD])
    write(tmp_path / "more.json", [unanswered])
    write(tmp_path / "dataset_info.json", {"mugs": ENTRY})
    files = data_sets(f"mugs, more.json,{tmp_path / 'more.json'}", str(tmp_path))
    assert [data_set.path.name for data_set in files] == ["mugs.json", "more.json", "more.json"]
    conversations = read_conversations(files, max_samples=1)
    assert [c.where for c in conversations] == [
        f"{files[0].path}: record 0 (a)", f"{files[1].path}: record 0", f"{files[2].path}: record 0"
    ]  # fmt: skip
    assert all(c.turns == RECORD["conversations"] for c in conversations)


@pytest.mark.parametrize(
    "registry, message",
    [
        ({"cups": ENTRY}, 'no data set "mugs", registered are: cups'),
        ({"mugs": ENTRY}, "no file .*mugs.json"),
        ({"mugs": {"hf_hub_url": "x/y", "formatting": "sharegpt"}}, '"file_name" is missing'),
        ({"mugs": {"file_name": "mugs.json"}}, '"formatting" is not "sharegpt"'),
        ({"mugs": {**ENTRY, "columns": {"tools": "tools"}}}, '"columns.tools" is not offered here'),
        ({"mugs": {**ENTRY, "columns": {"system": 1}}}, "columns.system is 1, expected a text"),
        ({"mugs": {**ENTRY, "columns": []}}, "field .columns. is no object"),
        ({"mugs": {**ENTRY, "num_samples": 5}}, '"num_samples" is not offered here, only file_name'),
        ([], "expected an object of data sets"),
        ({"mugs": {**ENTRY, "tags": {"role_tag": "role"}}}, 'tags.role_tag is not "from"'),
        ({"mugs": {**ENTRY, "columns": {"messages": "chat"}}}, "columns.messages"),
    ],
)
def test_registry_faults(tmp_path, registry, message):
    write(tmp_path / "dataset_info.json", registry)
    with pytest.raises(InputError, match=message):
        data_sets("mugs", str(tmp_path))


@pytest.mark.parametrize(
    "content, message",
    [
        ("[]", "empty"),
        ('[{"conversations": [}]', "malformed JSON at line 1, column 21"),
        ('[{"conversations": []}]', 'record 0: field "conversations"'),
        ('[{"conversations": [{"from": "gpt", "value": "a"}]}]', r"record 0: conversations\[0\].from"),
        ('[{"conversations": [{"from": "human", "value": 1}]}]', r"record 0: conversations\[0\].value"),
        ('[{"conversations": [{"from": "human", "value": "a"}]}]', "record 0: .*no gpt turn"),
        (
            json.dumps([RECORD, {"conversations": [TURNS[0], {**TURNS[1], "loss": 1}]}]),
            r"1: .*\[1\].loss is not",
        ),
        (json.dumps([{"conversations": [TURNS[0], {**TURNS[1], "loss": False}]}]), "record 0: .*no gpt turn"),
        (json.dumps([{"conversations": [TURNS[0], {**TURNS[1], "value": ""}]}]), r"0: conversations\[1\].value is empty"),
    ],
)
def test_data_faults_name_file_record_and_field(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"bad.json.*{message}"):
        read_conversations([DataSet(path)], None)


def test_the_projects_own_registry_is_valid():
    from eval_agent.files import read_json
    from tests.conftest import ROOT

    for name in read_json(ROOT / "data" / "dataset_info.json"):
        try:
            data_sets(name, str(ROOT / "data"))
        except InputError as error:
            assert "no file" in str(error)


def test_null_in_a_registry_is_as_absent(tmp_path):
    write(tmp_path / "mugs.json", [RECORD])
    write(tmp_path / "dataset_info.json", {"mugs": {**ENTRY, "columns": None, "tags": None, "ranking": None}})
    assert data_sets("mugs", str(tmp_path)) == [DataSet(tmp_path / "mugs.json")]


def test_the_system_column_is_read_and_other_fields_are_named(tmp_path, capsys):
    records = [{**RECORD, "sys": "Be quick.", "tools": "[]"}, {**RECORD, "sys": None}, RECORD]
    write(tmp_path / "mugs.json", records)
    write(tmp_path / "dataset_info.json", {"mugs": {**ENTRY, "columns": {"messages": "conversations", "system": "sys"}}})
    conversations = read_conversations(data_sets("mugs", str(tmp_path)), None)
    assert [conversation.system for conversation in conversations] == ["Be quick.", None, None]
    assert capsys.readouterr().err.endswith("mugs.json: fields that are not used, with their counts: tools (1)\n")
    read_conversations([DataSet(tmp_path / "mugs.json")], None)  # named by nothing
    assert "sys (2), tools (1)" in capsys.readouterr().err
    write(tmp_path / "mugs.json", [{**RECORD, "sys": ["Be quick."]}])
    with pytest.raises(InputError, match='record 0: field "sys" is no text'):
        read_conversations(data_sets("mugs", str(tmp_path)), None)


@pytest.mark.parametrize("change, message", [
    ({"chosen": [{"from": "gpt", "value": " "}]}, r"chosen\[0\].value is empty"),
    ({"rejected": [{"from": "gpt", "value": "a", "loss": False}]}, "rejected has no gpt turn to learn"),
])
def test_faults_of_pairs(tmp_path, change, message):
    pair = {"conversations": gpt_turns(PROMPT), "chosen": gpt_turns(GOOD, 1), "rejected": gpt_turns(BAD, 1)}
    path = tmp_path / "pairs.json"
    write(path, [{**pair, **change}])
    with pytest.raises(InputError, match=message):
        read_pairs([DataSet(path)], None)
    with pytest.raises(InputError, match="a preference record .field .chosen.., which is for --stage dpo"):
        read_conversations([DataSet(path)], None)
