"""The journal outlives a kill at any moment."""

import pytest

from eval_agent.errors import InputError
from eval_agent.knowledge.journal import Journal


def test_entries_are_there_for_the_next_run(tmp_path):
    path = tmp_path / "new" / "journal.jsonl"
    Journal(path).add("a", "one line\nand another: é")
    journal = Journal(path)
    assert journal.get("a") == "one line\nand another: é" and journal.get("b") is None


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
