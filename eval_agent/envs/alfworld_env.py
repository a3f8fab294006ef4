"""ALFWorld's games, official or generated, as an env."""

from eval_agent.envs import alfworld_expert, alfworld_text, textworld_engine
from eval_agent.envs.alfworld_expert import expert_actions
from eval_agent.envs.alfworld_text import in_grammar, observation_text, put_verb_of, task_text
from eval_agent.envs.base import BaseEnv, StepResult
from eval_agent.envs.textworld_engine import new_engine, read_game, warn_without_cache
from eval_agent.errors import InputError
from eval_agent.tasks.alfworld import AlfWorldTask

# the engine's answer exactly where a command is not among those that the game admits
NOTHING = "Nothing happens."


class AlfWorldEnv(BaseEnv):
    """Plays game files of either grammar; speaks ``put X in/on Y`` (see alfworld_text)."""

    packages = ("alfworld", "textworld", "fast_downward_textworld")
    modules = (alfworld_expert, alfworld_text, textworld_engine)

    @classmethod
    def check_requirements(cls) -> None:
        warn_without_cache()

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
