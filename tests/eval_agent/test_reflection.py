"""What is asked of the agent after a failed trial, also where the trial is too long for its context."""

import pytest

from eval_agent.agents.base import ContextOverflow, ModelError
from eval_agent.episode import LEFT_OUT, reflect

TRIAL = ["You are an agent.", "OK", "The task.", *(text for n in range(8) for text in (f"act {n}", f"see {n}"))]


class Writer:
    """Has room for so many lines."""

    def __init__(self, room):
        self.room, self.lines = room, []

    def __call__(self, messages):
        self.lines = messages[0]["content"].splitlines()
        if len(self.lines) > self.room:
            raise ContextOverflow("too long")
        return " I went\nin circles. "


def test_the_whole_trial_without_its_instruction_is_told():
    writer = Writer(room=99)
    assert reflect(writer, "Say what went wrong.", TRIAL) == "I went in circles."
    assert writer.lines == ["Say what went wrong.", *TRIAL[2:]]


def test_a_long_trial_keeps_its_task_and_its_end():
    writer = Writer(room=8)
    assert reflect(writer, "Reflect.", TRIAL) == "I went in circles."
    assert writer.lines == ["Reflect.", "The task.", LEFT_OUT, "act 6", "see 6", "act 7", "see 7"]


def test_without_room_even_for_the_task_there_is_no_reflection():
    assert reflect(Writer(room=2), "Reflect.", TRIAL) is None
    assert reflect(Writer(room=3), "Reflect.", TRIAL) == "I went in circles."


def test_other_faults_are_not_hidden():
    def gone(messages):
        raise ModelError("gone")

    with pytest.raises(ModelError, match="gone"):
        reflect(gone, "Reflect.", TRIAL)
