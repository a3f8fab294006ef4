"""Keys say all that a value depends on, and what a journal holds outlives a kill at any moment."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict

import pytest

from eval_agent.errors import InputError
from eval_agent.files import (
    Journal,
    Lock,
    cache_folder,
    cache_key,
    check_output,
    check_output_folder,
    clean_text,
    file_digest,
    read_json,
    read_records,
    write_json,
    write_text,
)
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


# ---- text: UTF-8, lines, JSON

SEPARATORS = "a\u2028b\u2029c\u0085d\x1ce\x0bf"  # str.splitlines() cuts at each of them


@pytest.mark.parametrize("name", ["lines.jsonl", "lines.json"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_at_newlines_and_nowhere_else_whatever_the_file_is_called(tmp_path, name, end):
    records = [{"value": SEPARATORS}, {"value": "second\rline"}]
    path = tmp_path / name
    path.write_bytes("".join(json.dumps(record, ensure_ascii=False) + end for record in records).encode())
    assert read_records(path) == records


def test_a_list_is_read_from_a_file_that_is_called_lines(tmp_path):
    (tmp_path / "list.jsonl").write_text('[\n {"id": 1},\n {"id": 2}\n]')
    assert read_records(tmp_path / "list.jsonl") == [{"id": 1}, {"id": 2}]


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "bom.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "bom.json") == {"a": 1}
    assert read_records(tmp_path / "bom.json") == [{"a": 1}]


@pytest.mark.parametrize("content, message", [
    (b"", "the file is empty"),
    (b" \n", "the file is empty"),
    ('[{"a": 1}]'.encode("utf-16"), "looks like UTF-16, expected JSON in UTF-8"),
    (b"\x1f\x8b\x08\x00", "looks like a gzip file"),
    (b"PAR1xx", "looks like a Parquet file"),
    (b"version https://git-lfs.github.com/spec/v1\n", "looks like a Git LFS pointer"),
    (b'[{"a": "\xff"}]', "not UTF-8 text"),
    (b'[{"a": NaN}]', "malformed JSON: NaN is no JSON number"),
    (b'[{"a": -Infinity}]', "malformed JSON: -Infinity is no JSON number"),
    (b'[{"a": 1e999}]', "malformed JSON: 1e999 is too large a number"),
    (b'[{"a": ' + b"1" * 5000 + b"}]", "malformed JSON: Exceeds the limit"),
    (b'[{"a": 1, "a": 2}]', 'malformed JSON: field "a" stands twice in one object'),
    (b"[" * 100_000, "malformed JSON: nested too deeply"),
    (b'{"a": 1,\n "b": 2}', "expected a JSON list of records, found one object .fields a, b."),
    (b'"text"', "expected a JSON list of records, found a text"),
    (b"[1]", "record 0 is a number, expected an object"),
    (b'{"a": 1}\n{"a": \n', "line 2: malformed JSON"),
])
def test_what_is_no_data_is_one_line_with_the_file(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"bad.json.*{message}") as error:
        read_records(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_lone_surrogate_becomes_a_replacement_character_and_is_counted(tmp_path, capsys):
    assert clean_text("a \ud83d mug") == ("a \ufffd mug", 1)
    assert clean_text("\udc00\udc00 at both ends \ud83d") == ("\ufffd\ufffd at both ends \ufffd", 3)
    assert clean_text("\ud83d\ude00") == ("\U0001f600", 0)  # the halves of one character
    assert clean_text("an \ufffd of its own, \U0001f600") == ("an \ufffd of its own, \U0001f600", 0)
    path = tmp_path / "surrogates.json"
    path.write_text(json.dumps([{"a": ["\ud83d", {"\udc00": 1}]}, {"a": "\U0001f600"}]))
    assert read_records(path) == [{"a": ["\ufffd", {"\ufffd": 1}]}, {"a": "\U0001f600"}]
    assert "surrogates.json: 2 lone surrogates" in capsys.readouterr().err
    write_json(path, {"a": "\ud83d"})
    assert read_json(path) == {"a": "\ufffd"}
    Journal(tmp_path / "journal.jsonl").add("key", "\ud83d")
    assert Journal(tmp_path / "journal.jsonl").get("key") == "\ufffd"


# ---- writing

def test_a_link_is_written_through_and_a_device_is_no_file_to_replace(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "big" / "real.json")
    write_text(tmp_path / "link.json", "{}")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "big" / "real.json").read_text() == "{}"
    write_text("/dev/null", "{}")
    assert not os.path.isfile("/dev/null")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_text("/dev/full", "{}")


@pytest.mark.parametrize("place, message", [
    ("folder", "is a folder"), ("file/below.json", "file is a file, expected a folder"), ("n" * 300, "File name too long"),
    ("n" * 300 + "/x", "File name too long"),
])
def test_an_output_that_cannot_be_written_is_known_at_the_start(tmp_path, place, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=message) as error:
        check_output(tmp_path / place)
    assert error.value.filename == str(tmp_path / place)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_good_output_is_left_as_it_is(tmp_path):
    check_output(tmp_path / "new" / "out.json")
    check_output_folder(tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]
    with pytest.raises(OSError, match="is a file, expected a folder"):
        check_output_folder(__file__)


def test_a_full_disk_leaves_no_half_file_and_no_half_line(tmp_path):
    program = f"""if True:
        from eval_agent.files import Journal, write_json
        journal = Journal({str(tmp_path / "journal.jsonl")!r})
        journal.add("small", "value")
        for what in (lambda: journal.add("large", "x" * 100_000), lambda: write_json({str(tmp_path / "out.json")!r}, "x" * 100_000)):
            try:
                what()
            except OSError as error:
                print(error.filename, error.strerror)
        journal.add("after", "value")"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # noqa: E731
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, preexec_fn=limit)
    assert done.stdout == f"{tmp_path}/journal.jsonl File too large\n{tmp_path}/out.json File too large\n", done.stderr
    journal = Journal(tmp_path / "journal.jsonl")
    assert (journal.get("small"), journal.get("large"), journal.get("after")) == ("value", None, "value")
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]


@pytest.mark.parametrize("home", ["file", "nowhere"])
def test_a_cache_that_cannot_be_had_is_done_without(tmp_path, monkeypatch, capsys, home):
    (tmp_path / "file").touch()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file" if home == "file" else "/dev/null"))
    assert cache_folder("games") is None
    assert "no cache can be kept there" in capsys.readouterr().err


# ---- one at a time

HOLD = "import sys, time; from eval_agent.files import Lock; Lock(sys.argv[1]); print('held', flush=True); time.sleep(60)"


def test_a_second_process_is_refused_with_the_pid_of_the_first_until_that_is_gone(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"{tmp_path}: process {first.pid} on .* is at work on it; wait"):
        Lock(tmp_path)
    first.kill()
    first.wait()
    with Lock(tmp_path), Lock(tmp_path):  # one process may hold it twice
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    assert not list(tmp_path.iterdir())


def test_a_journal_that_another_process_writes_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "journal.jsonl"
    program = "import sys, time; from eval_agent.files import Journal; j = Journal(sys.argv[1]); j.add('a', 1); print(1, flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    first.stdout.readline()
    path.write_bytes(path.read_bytes() + b'{"key": "b", "va')  # what it is just writing
    with pytest.raises(InputError, match=f"journal.jsonl: process {first.pid} on"):
        Journal(path)
    assert path.read_bytes().endswith(b'"va')
    first.kill()
    first.wait()
    assert Journal(path).get("a") == 1


@pytest.mark.parametrize("damage", [b"\0" * 20 + b"\n", b'{"key": "b"}\n', b"{}\n", b'{"key": "b", "value": '])
def test_damaged_lines_are_left_out_with_a_word(tmp_path, capsys, damage):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"key": "a", "value": 1}\n' + damage)
    journal = Journal(path)
    assert (journal.get("a"), journal.get("b")) == (1, None)
    assert "journal.jsonl: 1 damaged or unfinished line left out, to be made anew" in capsys.readouterr().err
    journal.add("b", 2)
    assert Journal(path).get("b") == 2
