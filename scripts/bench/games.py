"""Seconds to start a game and to take a step, in TextWorld's engine and in ours (see the .sh).

    bash scripts/bench/games.sh --split dev --games 20
"""

import json
import os
import subprocess
import sys
import tempfile

from eval_agent.command_line import Parser
from eval_agent.config import load_task_config
from eval_agent.tasks import choose_evenly, load_tasks

STEPS = 20  # of each game, the admissible command at a place that the game's and the step's numbers give

# runs in a process of its own, which then has nothing in memory of what another engine did
PLAY = """
import hashlib, json, sys, time
ours, steps, games = json.loads(sys.argv[1])
if ours:
    from eval_agent.envs.textworld_engine import new_engine
    engine = new_engine()
else:
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.envs import PddlEnv
    engine = AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True, facts=True)))
start_s, step_s, texts = 0.0, 0.0, hashlib.sha256()
for number, game in enumerate(games):
    started = time.monotonic()
    engine.load(game)
    state = engine.reset()
    start_s += time.monotonic() - started
    started = time.monotonic()
    for step in range(steps):
        commands = state["admissible_commands"]
        texts.update(json.dumps([state["feedback"], commands]).encode())
        state, _, _ = engine.step(commands[(7 * number + 13 * step) % len(commands)])
    step_s += time.monotonic() - started
print(json.dumps([start_s / len(games), step_s / len(games) / steps, texts.hexdigest()]))
"""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--exp_config", required=True, help="whose games")
    parser.add_argument("--split", default="dev", help="of its games")
    parser.add_argument("--games", type=int, default=20, help="so many, evenly of each type")
    args = parser.parse_args()
    tasks = choose_evenly(load_tasks(load_task_config(args.exp_config, "configs/task"), args.split), args.games)
    games = [task.game_file for task in tasks]
    with tempfile.TemporaryDirectory() as cache:
        sides = {
            "TextWorld": _play(False, games, cache),
            "ours, first time": _play(True, games, cache),
            "ours, kept on disk": _play(True, games, cache),
        }
    for name, (start_s, step_s, _) in sides.items():
        print(f"{name}: {start_s:.3f} s to start a game, {1000 * step_s:.1f} ms a step")
    (their_start, their_step, texts), (first_start, _, _), (kept_start, kept_step, _) = sides.values()
    print(json.dumps({
        "games": len(games), "ratio_first_start": round(their_start / first_start, 1),
        "ratio_kept_start": round(their_start / kept_start, 1), "ratio_step": round(their_step / kept_step, 1),
        "same_texts": all(side[2] == texts for side in sides.values()),
    }))


def _play(ours: bool, games: list[str], cache: str) -> tuple[float, float, str]:
    """(seconds to start a game, seconds a step, hash of all texts) of one engine in a process of its own."""
    command = [sys.executable, "-c", PLAY, json.dumps([ours, STEPS, games])]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
