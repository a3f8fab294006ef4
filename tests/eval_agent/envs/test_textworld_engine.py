"""The engine without its repeated work plays exactly like TextWorld's own."""

import json
import subprocess
import sys

from eval_agent.tasks import load_tasks

PLAY = """
import json, random, sys
game, kind, goes = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "ours":
    from eval_agent.envs.textworld_engine import new_engine
    engine = new_engine()
else:
    import textworld
    from textworld.envs import PddlEnv
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    engine = AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True, facts=True)))
rng, log = random.Random(0), []
for _ in range(2):
    engine.load(game)
    state = engine.reset()
    for _ in range(goes):
        commands = state["admissible_commands"]
        log.append([state["feedback"], commands, sorted(map(str, state["facts"])), state["won"]])
        rare = [c for c in commands if c.split()[0] in ("take", "move", "open", "heat", "use")]
        state, _, _ = engine.step(rng.choice(rare if rare and rng.random() < 0.7 else commands))
print(json.dumps(log))
"""


def played(game: str, kind: str, goes: int) -> list:
    command = [sys.executable, "-c", PLAY, game, kind, str(goes)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def test_same_texts_commands_and_facts(demo_games):
    task = load_tasks(demo_games.task_config, "train")[0]
    log = played(task.game_file, "ours", 15)
    assert log == played(task.game_file, "textworld", 15)
    assert len({entry[0] for entry in log}) > 8
