"""ALFWorld's own hand-coded expert on a game of either grammar.

It reads admissible commands as ``move X to Y`` but keeps its inventory by the word ``put`` in its last
command, so with alfworld 0.4 it is stuck on old games and forgets that its hands are free on new ones. Here
it is shown ``move`` and reminded with ``put``.
"""

import random

from alfworld.agents.expert import HandCodedTWAgent

from eval_agent.envs.alfworld_text import in_grammar
from eval_agent.envs.base import ExpertFailed
from eval_agent.tasks.alfworld import AlfWorldTask


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

