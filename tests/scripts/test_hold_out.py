"""Held-out games are no train games, and both together are all of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
GAMES = Path(os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld").expanduser() / "json_2.1.1" / "train"


@pytest.mark.skipif(not GAMES.is_dir(), reason="ALFWorld's train games are not at hand")
def test_so_many_games_of_each_type_are_links_of_their_own(tmp_path):
    command = [sys.executable, "-m", "scripts.hold_out", "--games", "12", "--output_dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    held_out, left = ({game.parent for game in (tmp_path / part).glob("*/*/game.tw-pddl")} for part in ("dev", "train"))
    names = {part: {"/".join(game.parts[-2:]) for game in games} for part, games in (("dev", held_out), ("train", left))}
    assert len(held_out) == 12 and not names["dev"] & names["train"]
    kinds = [name.split("-")[0] for name in sorted(names["dev"])]
    assert all(kinds.count(kind) == 2 for kind in kinds)
    assert (next(iter(held_out)) / "game.tw-pddl").resolve().is_relative_to(GAMES.resolve())
