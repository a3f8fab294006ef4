"""What a model's reply says: its thought, its action, and what of it stays in the dialogue.

Models that were not trained on "Thought: ...", new line, "Action: ..." write it in other ways, and write more than was
asked for. This is the only place where replies are read.
"""

import re
from dataclasses import dataclass

ACTION = "Action:"
_PUNCTUATION = ".!?,;:"
_QUOTES = ('""', "''", "“”", "‘’")
# reasoning that is not part of the answer, as reasoning models mark it
_OPEN = r"(?:<(?:think|thinking|thought|reasoning|reason)>|\[THINK\]|◁think▷)"
_CLOSE = r"(?:</(?:think|thinking|thought|reasoning|reason)>|\[/THINK\]|◁/think▷)"
_REASONED = re.compile(rf".*{_CLOSE}", re.DOTALL | re.IGNORECASE)
_REASONING = re.compile(rf"{_OPEN}.*", re.DOTALL | re.IGNORECASE)
_MARKS = r"[\s*_`#>-]*"


def _labelled(word: str) -> re.Pattern:
    """A line that begins with "WORD:", however it is dressed: "**Word 2:** ..."."""
    return re.compile(rf"^{_MARKS}{word}[ \t]*\d*{_MARKS}[:：][*_]*", re.IGNORECASE)


_ACTION_LINE, _THOUGHT_LINE, _OBSERVATION_LINE = map(_labelled, ("action", "thought", "observation"))
_GOES_ON = re.compile(r"\s(?:Observation|Thought)\s*\d*:.*", re.IGNORECASE)  # behind the action, in its line


@dataclass(frozen=True)
class Reply:
    """A model's reply as it is understood."""

    text: str  # what stays in the dialogue: it ends with the action's line
    action: str | None  # None where there is none
    repaired: bool  # whether ``text`` is not what the model wrote


def parse_reply(written: str) -> Reply:
    """The reply in what a model has ``written``.

    1. Reasoning in <think>...</think> (and the like) is no part of it; an answer that never left it has no action.
    2. Only "Action:" at the start of a line counts, in capitals or not, also "**Action:** look" or "Action 2: look".
    3. Of several, the last thought's counts, and of these the first: a model that changes its mind thinks again.
    4. After an action, what follows is not the model's to write: an observation, or words behind it in its line.
    5. The action is that line's rest, or the next line that has words, without punctuation at its end, and without
       quotes, backticks and asterisks around it, as the release takes it.

    ::

        "Thought: I go.\\nAction: go to shelf 1."                       -> "go to shelf 1"
        "<think>Action: look</think>Thought: I go.\\nAction: go west"   -> "go west"
        "Thought: My last Action: look did nothing.\\nAction: go west"  -> "go west"
        "**Action:** `look`"                                           -> "look"
        "Action: look Observation: You see a bed."                     -> "look"
        "Thought: a.\\nAction: look\\nThought: No.\\nAction: go west"     -> "go west"
        "Thought: I could say Action: look"                            -> None
    """
    answer = without_reasoning(written)
    lines = answer.split("\n")
    start, place = _last_thoughts_action(lines)
    if place is None:
        return Reply(answer, None, answer != written.strip())
    line, action = _said(lines, place)
    text = "\n".join([*lines[start:place], line]).strip()
    return Reply(text, action, text != written.strip())


def action_of(reply: str) -> str | None:
    """The action of :func:`parse_reply`."""
    return parse_reply(reply).action


def thought_of(written: str) -> str:
    """What stands before the first action or observation in what a model has ``written``, reasoning left out."""
    lines = without_reasoning(written).split("\n")
    ends = (n for n, line in enumerate(lines) if _ACTION_LINE.match(line) or n and _OBSERVATION_LINE.match(line))
    return "\n".join(lines[: next(ends, len(lines))]).strip()


def without_reasoning(written: str) -> str:
    """The answer alone; some chat templates open the reasoning in the prompt, so that only its end shows."""
    return _REASONING.sub("", _REASONED.sub("", written)).strip()


def is_reasoning(written: str) -> bool:
    """Whether ``written`` ends within its reasoning: the answer is still to come."""
    return bool(_REASONING.search(_REASONED.sub("", written)))


def _last_thoughts_action(lines: list[str]) -> tuple[int, int | None]:
    """(the line where the kept text starts, the line of the action), the latter None where there is none."""
    start, place, thought = 0, None, None  # thought: the line of one after the action at place
    for number, line in enumerate(lines):
        if place is not None and _OBSERVATION_LINE.match(line):
            break
        if place is not None and _THOUGHT_LINE.match(line):
            thought = number
        elif _ACTION_LINE.match(line) and (place is None or _said(lines, number)[1]):
            if place is None or thought is not None or _said(lines, place)[1] is None:
                start, place, thought = thought or start, number, None
            if _GOES_ON.search(line):
                break
    return start, place


def _said(lines: list[str], place: int) -> tuple[str, str | None]:
    """(the action's line as it stays, the action) of the action line at ``place``."""
    label = _ACTION_LINE.match(lines[place]).group()
    rest = [lines[place][len(label):]]
    for line in lines[place + 1:]:
        if any(pattern.match(line) for pattern in (_ACTION_LINE, _THOUGHT_LINE, _OBSERVATION_LINE)):
            break
        rest.append(line)
    said = next((line for line in (_GOES_ON.sub("", line).strip() for line in rest) if _bare(line)), "")
    action = _bare(said)
    kept = said if label.strip() == ACTION else action  # marks around the label may end behind the action
    return f"{ACTION} {kept}".rstrip(), action or None


def _bare(text: str) -> str:
    """``text`` without what models put around an action, however it is nested: **"look".**"""
    bare = text.strip().rstrip(_PUNCTUATION).strip("`*")
    if len(bare) > 1 and bare[0] + bare[-1] in _QUOTES:
        bare = bare[1:-1]
    return bare if bare == text else _bare(bare)
