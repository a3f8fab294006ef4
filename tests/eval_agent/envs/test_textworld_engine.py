"""The engine without its repeated work plays exactly like TextWorld's own."""

import ast
import gzip
import json
import os
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from eval_agent.envs import textworld_engine
from eval_agent.envs.worker import ProcessEnv
from eval_agent.tasks import load_tasks

PLAY = """
import json, random, sys
games, kind, goes = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if kind == "ours":
    from eval_agent.envs.textworld_engine import new_engine
    engine = new_engine()
else:
    import textworld
    from textworld.envs import PddlEnv
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    engine = AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True, facts=True)))
rng, log = random.Random(0), []
for game in games * 2:
    engine.load(game)
    state = engine.reset()
    for _ in range(goes):
        commands = state["admissible_commands"]
        log.append([state["feedback"], commands, sorted(map(str, state["facts"])), state["won"]])
        rare = [c for c in commands if c.split()[0] in ("take", "move", "open", "heat", "use")]
        state, _, _ = engine.step(rng.choice(rare if rare and rng.random() < 0.7 else commands))
print(json.dumps(log))
"""


def played(games: list[str], kind: str, goes: int, cache) -> list:
    """What was seen of all games, one after the other and once more, in one process."""
    command = [sys.executable, "-c", PLAY, json.dumps(games), kind, str(goes)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(run.stdout.splitlines()[-1])


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_same_texts_commands_and_facts(demo_games, tmp_path):
    games = [task.game_file for task in load_tasks(demo_games.task_config, "train")]
    log = played(games, "ours", 15, tmp_path)
    assert len({entry[0] for entry in log}) > 8
    assert len({entry[0] for entry in log if "Your task is to" in entry[0]}) == len(games) == 2
    assert log == played(games, "textworld", 15, tmp_path)


def test_game_kept_on_disk_plays_the_same_without_being_translated(demo_games, tmp_path):
    game = load_tasks(demo_games.task_config, "train")[0].game_file
    log = played([game], "ours", 5, tmp_path)
    kept = files_in(tmp_path)
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    assert log == played([game], "ours", 5, tmp_path)
    assert kept[0].stat().st_mtime_ns == written


def test_what_is_kept_is_json(demo_games, tmp_path):
    played([load_tasks(demo_games.task_config, "train")[0].game_file], "ours", 1, tmp_path)
    (kept,) = files_in(tmp_path)
    content = json.loads(gzip.decompress(kept.read_bytes()))
    assert content["sas"].startswith("begin_version") and ["agent1", "agent"] in content["objects"]
    assert "pickle" not in {name.partition(".")[0] for name in imported_by(textworld_engine)}


def imported_by(module) -> set[str]:
    nodes = list(ast.walk(ast.parse(Path(module.__file__).read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def cached(demo_games, tmp_path_factory):
    """(a game, its log of three steps, a cache that has it, the one file in there)."""
    game, folder = load_tasks(demo_games.task_config, "train")[0].game_file, tmp_path_factory.mktemp("cache")
    log = played([game], "ours", 3, folder)
    return game, log, folder, files_in(folder)[0]


@pytest.mark.parametrize("fault", ["empty", "cut short", "noise", "other JSON", "not packed", "pickle"])
def test_broken_or_foreign_file_in_the_cache_is_made_anew(cached, tmp_path, fault):
    game, log, folder, kept = cached
    whole = kept.read_bytes()
    kept.write_bytes({
        "empty": b"",
        "cut short": whole[: len(whole) // 2],
        "noise": bytes(byte ^ 0x55 for byte in whole),
        "other JSON": gzip.compress(b'{"objects": 3, "sas": null}'),
        "not packed": gzip.decompress(whole),
        "pickle": zlib.compress(pickle.dumps(Bomb(tmp_path / "exploded"))),  # as they were once
    }[fault])
    assert played([game], "ours", 3, folder) == log
    assert files_in(folder) == [kept] and not (tmp_path / "exploded").exists()
    anew = kept.read_bytes()
    assert json.loads(gzip.decompress(anew))["objects"] == json.loads(gzip.decompress(whole))["objects"]
    assert played([game], "ours", 3, folder) == log and kept.read_bytes() == anew


def test_cache_that_cannot_be_written_is_done_without(demo_games, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with ProcessEnv(demo_games.task_config.env.env_class) as env:
        env.check()
        warning = capsys.readouterr().err
        assert warning.startswith(f"warning: {tmp_path}/file")
        assert "no cache can be kept there" in warning
        assert warning.count("\n") == 1
        for task in load_tasks(demo_games.task_config, "train"):
            assert "Your task is to" in env.reset(task)
    assert capsys.readouterr().err == ""


def test_cache_that_can_be_written_is_not_warned_of(demo_games, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ProcessEnv(demo_games.task_config.env.env_class).check()
    assert capsys.readouterr().err == "" and not files_in(tmp_path)
