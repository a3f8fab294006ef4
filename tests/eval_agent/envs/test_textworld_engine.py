"""The engine without its repeated work plays exactly like TextWorld's own."""

import json
import os
import subprocess
import sys

import pytest

from eval_agent.envs.worker import ProcessEnv
from eval_agent.errors import InputError
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


def played(game: str, kind: str, goes: int, cache) -> list:
    command = [sys.executable, "-c", PLAY, game, kind, str(goes)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(run.stdout.splitlines()[-1])


def test_same_texts_commands_and_facts(demo_games, tmp_path):
    task = load_tasks(demo_games.task_config, "train")[0]
    log = played(task.game_file, "ours", 15, tmp_path)
    assert len({entry[0] for entry in log}) > 8
    assert log == played(task.game_file, "textworld", 15, tmp_path)


def test_game_kept_on_disk_plays_the_same_without_being_translated(demo_games, tmp_path):
    task = load_tasks(demo_games.task_config, "train")[0]
    log = played(task.game_file, "ours", 5, tmp_path)
    kept = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    written = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 2  # the translation, the grammar
    assert log == played(task.game_file, "ours", 5, tmp_path)
    assert written == [path.stat().st_mtime_ns for path in kept]


def test_cache_that_cannot_be_written_is_named(demo_games, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    env = ProcessEnv(demo_games.task_config.env.env_class)
    with pytest.raises(InputError, match="file/wkm.*set XDG_CACHE_HOME"):
        env.reset(load_tasks(demo_games.task_config, "train")[0])
    env.close()
