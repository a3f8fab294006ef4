"""train_data_process.py writes the very dialogues that evaluation holds."""

import pytest
from alfworld_pairs import make_pairs, run_main, trajectory

import train_data_process
from eval_agent.config import load_task_config, read_instruction
from eval_agent.files import read_json, write_json
from eval_agent.trajectories.dialogue import INSTRUCTIONS

KNOWLEDGE = "Task Knowledge: When you clean a mug, you should use the sinkbasin."


@pytest.fixture
def pairs() -> list[dict]:
    """The two pairs with task and state knowledge."""
    pairs = make_pairs()
    for pair in pairs:
        pair["task_knowledge"] = KNOWLEDGE
        for number, turn in enumerate(pair["chosen"]["conversations"][:-1:2]):
            turn["state_knowledge"] = f"State Knowledge: state {number}."
    return pairs


@pytest.fixture
def process(tmp_path, monkeypatch):
    """``process(records, mode, task) -> (exit code, output)``."""

    def call(records, mode, task="alfworld"):
        source, output = tmp_path / "in.json", tmp_path / "out.json"
        write_json(source, records)
        code = run_main(
            train_data_process,
            monkeypatch,
            "--task",
            task,
            "--file_path",
            source,
            "--mode",
            mode,
            "--output_path",
            output,
        )
        return code, read_json(output) if output.exists() else None

    return call


def values(record: dict) -> list[str]:
    """The turns' texts, after checking that they alternate."""
    turns = record["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
    return [turn["value"] for turn in turns]


def test_agent_model_sees_task_knowledge_and_no_state_knowledge(pairs, process, capsys):
    code, output = process(pairs, "agent_model")
    assert code == 0 and [record["id"] for record in output] == ["mug", "apple"]
    turns = values(output[0])
    assert turns[0] == (INSTRUCTIONS / "alfworld_agent.txt").read_text().strip() and turns[1] == "OK"
    assert turns[2].startswith("You are in the middle of a room.")
    assert turns[2].endswith(f"a sinkbasin 1.\nYour task is to: put a clean mug in cabinet.\n{KNOWLEDGE}")
    assert turns[3:6] == [
        "Thought: next is go to countertop 1.\nAction: go to countertop 1",
        "Observation: On the countertop 1, you see a mug 1, and a knife 2.",
        "Thought: next is take mug 1 from countertop 1.\nAction: take mug 1 from countertop 1",
    ]
    assert turns[-1].endswith("Action: put mug 1 in/on cabinet 1")
    assert not any("State Knowledge" in turn for turn in turns)
    assert "agent_model: 2 conversations with 12 replies written to" in capsys.readouterr().out


def test_world_model_learns_task_and_state_knowledge(pairs, process):
    _, output = process(pairs, "world_model")
    turns = values(output[1])
    assert turns[0] == (INSTRUCTIONS / "alfworld_world_model.txt").read_text().strip()
    assert turns[2].endswith("Your task is to: put a apple in fridge.") and turns[3] == KNOWLEDGE
    assert turns[4:8] == [
        "Thought: next is go to countertop 1.\nAction: go to countertop 1\n"
        "Observation: On the countertop 1, you see a apple 3.",
        "State Knowledge: state 1.",
        "Thought: next is take apple 3 from countertop 1.\nAction: take apple 3 from countertop 1\n"
        "Observation: You pick up the apple 3 from the countertop 1.",
        "State Knowledge: state 2.",
    ]
    assert len(turns) == 12
    assert [turn.get("loss") for turn in output[1]["conversations"]] == [None, False] + [None] * 10


def opening(role: str) -> str:
    return (INSTRUCTIONS / f"alfworld_{role}.txt").read_text().strip()


def test_explicit_state_puts_state_knowledge_into_the_agents_context(pairs, process):
    _, output = process(pairs, "explicit_state")
    turns = values(output[1])
    assert turns[0] == opening("agent") and turns[2].endswith(KNOWLEDGE)
    assert turns[4] == "Observation: On the countertop 1, you see a apple 3.\nState Knowledge: state 1."
    assert (
        turns[5] == "Thought: next is take apple 3 from countertop 1.\nAction: take apple 3 from countertop 1"
    )


def test_nat_tells_good_from_bad_by_the_instruction(pairs, process):
    pairs[1]["chosen"]["reward"] = pairs[1]["rejected"]["reward"] = 1.0
    _, output = process(pairs, "nat")
    assert [values(record)[0] for record in output] == [
        opening("nat_positive"), opening("nat_negative"), opening("nat_positive")
    ]  # fmt: skip
    good, bad = values(output[0]), values(output[1])
    assert good[2] == bad[2] and not good[2].endswith(KNOWLEDGE)
    steps = [turn["value"] for turn in pairs[0]["rejected"]["conversations"] if turn["from"] == "gpt"]
    assert bad[3::2] == steps and good[3:] != bad[3:]


def test_knowagent_shows_the_path_of_actions(pairs, process):
    _, output = process(pairs, "knowagent")
    turns = values(output[1])
    assert turns[0] == opening("knowagent") and "Action knowledge" in turns[0]
    assert turns[2].endswith("put a apple in fridge.\nAction Path: start")
    assert turns[4].endswith("you see a apple 3.\nAction Path: start -> go")
    assert turns[6].endswith("\nAction Path: start -> go -> take")


def test_eto_pairs_share_their_prompt_and_leave_out_what_is_no_worse(pairs, process, capsys):
    pairs[1]["rejected"]["reward"] = 1.0
    _, [pair] = process(pairs, "eto")
    assert "eto: 1 pairs written" in capsys.readouterr().out
    assert [turn["value"] for turn in pair["conversations"]][:2] == [opening("agent"), "OK"]
    assert [turn["from"] for turn in pair["chosen"][:3]] == ["gpt", "human", "gpt"]
    _, [good, *_] = process(pairs, "experienced_agent")
    assert pair["conversations"] + pair["chosen"] == good["conversations"]
    steps = [turn["value"] for turn in pairs[0]["rejected"]["conversations"] if turn["from"] == "gpt"]
    assert [turn["value"] for turn in pair["rejected"][::2]] == steps
    assert process(pairs[1:], "eto")[0] == 2
    assert "no rejected trajectory earned less" in capsys.readouterr().err


def test_experienced_agent_needs_no_knowledge(process):
    _, output = process([pair["chosen"] for pair in make_pairs()], "experienced_agent")
    turns = values(output[0])
    assert turns[0] == (INSTRUCTIONS / "alfworld_agent.txt").read_text().strip()
    assert turns[2].endswith("Your task is to: put a clean mug in cabinet.") and len(turns) == 16


def test_published_trajectories_with_their_own_instruction_and_misspelling(pairs, process):
    published = pairs[0]["chosen"]
    published["conversations"][:0] = [
        {"from": "human", "value": "Old instruction."},
        {"from": "gpt", "value": "OK"},
    ]
    published["task_knowledege"] = KNOWLEDGE
    _, expected = process(pairs[:1], "world_model")
    assert process([published], "world_model") == (0, expected)


def test_the_instructions_are_those_of_the_task_config():
    for role in ("agent", "world_model"):
        root = INSTRUCTIONS.parents[2]
        path = getattr(load_task_config("alfworld", root / "configs" / "task"), role).instruction
        assert read_instruction(str(root / path)) == read_instruction(
            str(INSTRUCTIONS / f"alfworld_{role}.txt")
        )


@pytest.mark.parametrize("task", ["sciworld", "webshop"])
def test_the_other_benchmarks_have_instructions(pairs, process, task):
    record = trajectory("do it", ("click[x]", "done"))
    record["task_knowledge"] = KNOWLEDGE
    assert process([record], "agent_model", task)[0] == process([record], "world_model", task)[0] == 0
    worse = {"chosen": record, "rejected": trajectory("do it", ("click[y]", "wrong"))}
    for mode in ("nat", "knowagent", "eto"):
        assert process([worse], mode, task)[0] == 0


@pytest.mark.parametrize(
    "mode, change, message",
    [
        (
            "agent_model",
            lambda pair: pair.pop("task_knowledge"),
            "in.json: record 1: task_knowledge is missing",
        ),
        (
            "world_model",
            lambda pair: pair.update(task_knowledge=" "),
            "in.json: record 1: task_knowledge is missing",
        ),
        (
            "world_model",
            lambda pair: pair["chosen"]["conversations"][2].pop("state_knowledge"),
            "in.json: record 1: chosen: conversations[2].state_knowledge is missing",
        ),
        (
            "agent_model",
            lambda pair: pair["chosen"]["conversations"][3].update(value="go to shelf 1"),
            'in.json: record 1: chosen: conversations[3].value has no "Action:"',
        ),
    ],
)
def test_what_is_missing_is_named(pairs, process, capsys, mode, change, message):
    change(pairs[1])
    assert process(pairs, mode) == (2, None)
    assert message in capsys.readouterr().err


def test_unknown_modes_and_tasks_are_named(pairs, process, capsys):
    assert process(pairs, "wm") == (2, None)
    assert (
        'unknown mode "wm", expected one of agent_model, experienced_agent, explicit_state, world_model'
        in capsys.readouterr().err
    )
    assert process(pairs, "agent_model", "alfred") == (2, None)
    assert 'unknown task "alfred", expected one of alfworld, sciworld, webshop' in capsys.readouterr().err


SPOKEN = "OK. I'll follow your instructions and try my best to solve the task."


def marked(pair: dict) -> dict:
    """The pair as AgentInstruct has trajectories: a spoken acknowledgement, loss null, true and false."""
    opening = [{"from": "human", "value": "Solve a task.", "loss": None}, {"from": "gpt", "value": SPOKEN, "loss": False}]
    for side in ("chosen", "rejected"):
        turns = pair[side]["conversations"]
        for turn in turns:
            turn["loss"] = None if turn["from"] == "human" else True
        turns[3]["loss"] = False
        turns[:0] = [dict(turn) for turn in opening]
    return pair


@pytest.mark.parametrize("mode", ["agent_model", "experienced_agent", "explicit_state", "knowagent", "nat", "eto", "world_model"])
def test_agentinstructs_marks_are_kept_where_replies_are_learnt_and_its_acknowledgement_is_no_step(pairs, process, mode):
    _, before = process(pairs, mode)
    code, after = process([marked(pair) for pair in pairs], mode)
    assert code == 0
    unlearnt = [turn for record in after for field in ("conversations", "chosen", "rejected")
                for turn in record.get(field, []) if turn.pop("loss", True) is False]
    for record in before:
        record["conversations"][1].pop("loss", None)
    assert after == before  # but for the marks
    expected = {"world_model": 2, "eto": 4, "nat": 8}.get(mode, 4)  # acknowledgement and second reply of each dialogue
    assert len(unlearnt) == expected and all(turn["from"] == "gpt" for turn in unlearnt)


def test_what_is_not_used_is_named(pairs, process, capsys):
    for pair in pairs:
        pair["chosen"]["system"] = "Be quick."
    code, _ = process(pairs, "agent_model")
    assert code == 0
    assert "in.json: fields that are not used, with their counts: split (1), system (2)\n" in capsys.readouterr().err
