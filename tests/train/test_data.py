"""Data sets: which files a name stands for, and how bad records are named."""

import json

import pytest

from eval_agent.errors import InputError
from train.data import DataSet, data_sets, read_conversations


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
