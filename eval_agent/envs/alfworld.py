"""ALFWorld's games, official or generated, as an env: its texts, the two grammars, its hand-coded expert.

Models always say and read ``put X in/on Y`` (data version 2.1.1, all published trajectories and prompts).
Games of version 2.1.2 and the demo games say ``move X to Y``; the grammar stands inside each game file.
Either way of saying it is taken for the same action, as are ``put X in Y`` and ``put X on Y``.

The expert reads admissible commands as ``move X to Y`` but keeps its inventory by the word ``put`` in its last
command, so with alfworld 0.4 it is stuck on old games and forgets that its hands are free on new ones. Here
it is shown ``move`` and reminded with ``put``.
"""

import random
import re

from alfworld.agents.expert import HandCodedTWAgent

from eval_agent.envs import textworld_engine
from eval_agent.envs.base import BaseEnv, ExpertFailed, StepResult
from eval_agent.envs.textworld_engine import games_cache, new_engine, read_game
from eval_agent.errors import InputError
from eval_agent.tasks.alfworld import NOTHING, AlfWorldTask


class AlfWorldEnv(BaseEnv):
    """Plays game files of either grammar; speaks ``put X in/on Y``."""

    packages = ("alfworld", "textworld", "fast_downward_textworld")
    modules = (textworld_engine,)

    @classmethod
    def check_requirements(cls) -> None:
        games_cache()  # warns here, once, where there is none

    def __init__(self):
        self._engine = new_engine()
        self._put_verb = "put"
        self._won = False

    def reset(self, task: AlfWorldTask) -> str:
        return task_text(self._load(task)["feedback"])

    def step(self, action: str) -> StepResult:
        state, _, _ = self._engine.step(in_grammar(action.strip(), self._put_verb))
        feedback = state["feedback"]
        self._won = self._won or state["won"]
        won, valid = self._won, feedback != NOTHING
        return StepResult(observation_text(feedback), float(won), done=won, success=won, valid=valid)

    def expert(self, task: AlfWorldTask, max_steps: int) -> list[str]:
        commands = expert_actions(self._engine, self._load(task), task, max_steps)
        return [in_grammar(command, "put") for command in commands]

    def close(self) -> None:
        self._engine.close()

    def _load(self, task: AlfWorldTask):
        self._put_verb = put_verb_of(read_game(task.game_file)["grammar"])
        if self._put_verb is None:
            raise InputError(f"{task.game_file}: its grammar has neither put nor move for PutObject")
        self._won = False
        self._engine.load(task.game_file)
        return self._engine.reset()


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


def expert_actions(engine, state, task: AlfWorldTask, max_steps: int) -> list[str]:
    """Commands, in the game's grammar, by which the expert wins from ``state`` (fresh after a reset).

    It guesses in places; the guesses are seeded by the task, so the same game gives the same commands. It
    needs ``traj_data.json`` beside the game file. Raises ExpertFailed where it does not win in ``max_steps``.
    """
    random.seed(task.task_id)  # the expert draws from the global generator
    expert = HandCodedTWAgent(max_steps=max_steps)
    expert.reset(task.game_file)
    expert.observe(state["feedback"])
    commands, last = [], "look"
    while not state["won"]:
        if len(commands) == max_steps:
            raise ExpertFailed(f"the expert does not win in {max_steps} steps")
        shown = dict(state, admissible_commands=[in_grammar(c, "move") for c in state["admissible_commands"]])
        try:
            wish = expert.act(shown, 0, state["won"], last)
        except Exception as error:  # its rules index into what they expect to find
            reason = f"the expert gave up after {len(commands)} steps ({type(error).__name__})"
            raise ExpertFailed(reason) from None
        by_shown = dict(zip(shown["admissible_commands"], state["admissible_commands"]))
        commands.append(by_shown.get(wish, "look"))
        state, _, _ = engine.step(commands[-1])
        last = in_grammar(commands[-1], "put")
    return commands
