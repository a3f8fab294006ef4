"""Keys say all that a value depends on, and what a journal holds outlives a kill at any moment."""

from dataclasses import asdict

import pytest

from eval_agent.errors import InputError
from eval_agent.files import Journal, cache_key, file_digest, write_json
from eval_agent.tasks.sciworld import SciWorldTask

PARTS = {"task": "alfworld", "temperature": 0.5, "actions": ["go to desk 1", "look"]}
KEY = cache_key(**PARTS)


@pytest.mark.parametrize(
    "other",
    [{"task": "sciworld"}, {"temperature": 0.0}, {"actions": None}, {"actions": ["look"]}, {"more": 1}],
)
def test_any_other_part_is_another_key(other):
    assert cache_key(**PARTS | other) != KEY


def test_a_key_does_not_depend_on_the_order_of_the_parts_and_is_the_same_tomorrow():
    assert cache_key(**dict(reversed(PARTS.items()))) == KEY
    assert KEY == "898e1b051a4b269ac3c5570ef1b9627ee12b3cb08acac1ff6ebebf6e1c81b1fa"
    task = SciWorldTask.of("boil", 4)
    assert cache_key(task=asdict(task)) == cache_key(task=dict(reversed(asdict(task).items())))


def test_a_part_that_is_no_plain_value_is_a_fault_of_the_program():
    with pytest.raises(TypeError):
        cache_key(steps={"a", "b"})


def test_a_digest_is_of_what_a_file_holds_wherever_it_is(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"mug")
    second.write_bytes(b"mug")
    assert file_digest(first) == file_digest(str(second))
    second.write_bytes(b"mugs")
    assert file_digest(first) != file_digest(second)


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "out.json").mkdir()
    with pytest.raises(OSError):
        write_json(tmp_path / "out.json", [1])
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_entries_are_there_for_the_next_run(tmp_path):
    path = tmp_path / "new" / "journal.jsonl"
    Journal(path).add("a", "one line\nand another: é")
    Journal(path).add("b", {"steps": [["look", "a desk"]]})
    journal = Journal(path)
    assert journal.get("a") == "one line\nand another: é" and journal.get("c") is None
    assert journal.get("b") == {"steps": [["look", "a desk"]]}


def test_a_line_that_was_cut_short_is_dropped_and_written_anew(tmp_path):
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    first.add("a", "1")
    first.add("b", "2")
    path.write_bytes(path.read_bytes()[:-5])
    second = Journal(path)
    assert (second.get("a"), second.get("b")) == ("1", None)
    second.add("b", "2")
    assert Journal(path).get("b") == "2"


def test_another_file_is_not_taken_for_a_journal(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"conversations": []}\n')
    with pytest.raises(InputError, match="not a journal"):
        Journal(path)
