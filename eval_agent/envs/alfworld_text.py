"""ALFWorld's texts: what models say and read, and what a game file's grammar wants.

Models always say and read ``put X in/on Y`` (data version 2.1.1, all published trajectories and prompts).
Games of version 2.1.2 and the demo games say ``move X to Y``; the grammar stands inside each game file.
Either way of saying it is taken for the same action, as are ``put X in Y`` and ``put X on Y``.
"""

import re

_PUT = re.compile(r"(?:put (.+) (?:in/on|in|on)|move (.+) to) (\S+ \d+)")
_PUT_TEMPLATE = re.compile(r'action PutObject \{\s*template :: "(put|move) ')
_WELCOME = re.compile(r"-= .*? =-\s*")
_ARRIVAL = re.compile(r"^You arrive at [^.]*\.\s*")
_MOVED = re.compile(r"You move the (.+) to the (.+)\.")
_HELP_LINE = re.compile(r"move \(object\) to \(receptacle\):")


def put_verb_of(grammar: str) -> str | None:
    """"put" or "move", the word of a game's grammar for putting things down; None where it has neither."""
    template = _PUT_TEMPLATE.search(grammar)
    return template[1] if template else None


def in_grammar(command: str, put_verb: str) -> str:
    """``command`` with putting said as ``put X in/on Y`` (put_verb "put") or ``move X to Y`` ("move")."""
    match = _PUT.fullmatch(command)
    if match is None:
        return command
    thing, place = match[1] or match[2], match[3]
    return f"put {thing} in/on {place}" if put_verb == "put" else f"move {thing} to {place}"


def task_text(intro: str) -> str:
    """The opening text without the banner, the room and the task on a line each."""
    return re.sub(r"\n\s*", "\n", _WELCOME.sub("", intro, count=1)).strip()


def observation_text(feedback: str) -> str:
    """Feedback as models read it: no "You arrive at loc 3.", and put, never move."""
    text = _MOVED.sub(r"You put the \1 in/on the \2.", _ARRIVAL.sub("", feedback))
    return _HELP_LINE.sub("put (object) in/on (receptacle):", text).strip()
