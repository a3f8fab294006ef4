"""Make the demo games: all six ALFWorld task types in rooms of the project's own.

    python -m eval_agent.demo.games --output_dir data/demo_games --seed 0

Train and valid_seen games share rooms but no goal; valid_unseen games have rooms of their own. A game is kept
when ALFWorld's own expert wins it in few enough steps. The same seed gives the same files, byte for byte, and
games that are there already are not made again.
"""

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from eval_agent.command_line import Parser, positive
from eval_agent.demo.layout import Goal, goals_in, place_things
from eval_agent.demo.problem import game_data, traj_data
from eval_agent.demo.rooms import TRAIN_ROOMS, UNSEEN_ROOMS, Room
from eval_agent.envs import ExpertFailed, ProcessEnv
from eval_agent.envs.worker import run_in_envs
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import check_output_folder, write_json, write_text
from eval_agent.progress import tqdm
from eval_agent.tasks.alfworld import GAME_FILE, TASK_TYPES, AlfWorldTask

GAMES_PER_TYPE = {"train": 4, "valid_seen": 2, "valid_unseen": 2}
MAX_EXPERT_STEPS = 35  # an episode ends after 40
_PLACEMENTS_PER_GOAL = 5
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Slot:
    """One game to make: the goals it may have, in the order in which they are tried."""

    split: str
    trial: str
    goals: tuple[Goal, ...]


def plan(seed: int) -> list[Slot]:
    """The games of all splits: no goal in two slots, seen games in rooms of train games of their type."""
    slots = []
    for offset, task_type in enumerate(TASK_TYPES):
        slots += _share_rooms(task_type, TRAIN_ROOMS, ("train", "valid_seen"), seed, offset)
        slots += _share_rooms(task_type, UNSEEN_ROOMS, ("valid_unseen",), seed, offset)
    return slots


def _share_rooms(task_type: str, rooms: tuple[Room, ...], splits: tuple[str, ...], seed: int, offset: int):
    """Slots of one task type over ``rooms``, which are taken in turn, the ``offset``-th first."""
    goals = {room: goals_in(room, task_type) for room in rooms}
    able = [room for room in rooms if goals[room]]
    numbered = [(split, n) for split in splits for n in range(GAMES_PER_TYPE[split])]
    users = [(split, n, able[(n + offset) % len(able)]) for split, n in numbered]
    in_room = Counter(room for _, _, room in users)
    for room in able:
        random.Random(f"{seed}/{task_type}/{room.number}").shuffle(goals[room])
    nth = {room: count() for room in able}
    return [
        Slot(split, f"trial_D{seed:04d}_{offset}{n:02d}", tuple(goals[room][next(nth[room])::in_room[room]]))
        for split, n, room in users
    ]


def make_game(env: ProcessEnv, slot: Slot, output_dir: Path) -> int:
    """Try goals and placements of ``slot`` until the expert wins one; returns the expert's steps.

    Raises InputError where none of them can be won in MAX_EXPERT_STEPS.
    """
    scratch = output_dir / _UNFINISHED / f"{slot.split}-{slot.trial}"
    for attempt, goal in enumerate(goal for goal in slot.goals for _ in range(_PLACEMENTS_PER_GOAL)):
        shutil.rmtree(scratch, ignore_errors=True)
        rng = random.Random(f"{slot.split}/{slot.trial}/{attempt}")
        task = _write_game(scratch, goal, slot.trial, rng)
        try:
            actions = env.expert(task, MAX_EXPERT_STEPS)
        except ExpertFailed:
            continue
        trial = Path(task.game_file).parent
        final = output_dir / slot.split / trial.relative_to(scratch)
        final.parent.mkdir(parents=True, exist_ok=True)
        trial.rename(final)
        shutil.rmtree(scratch)
        return len(actions)
    raise InputError(f"no winnable game for {slot.split} {slot.trial}: choose another --seed")


def _write_game(folder: Path, goal: Goal, trial: str, rng: random.Random) -> AlfWorldTask:
    layout = place_things(goal, rng)
    game = game_data(layout, trial, rng) | {"solvable": True}
    trial_folder = folder / f"{goal.task_type}-{goal.thing}-None-{goal.target}-{goal.room.number}" / trial
    write_json(trial_folder / "traj_data.json", traj_data(layout, trial))
    write_text(trial_folder / GAME_FILE, json.dumps(game))
    return AlfWorldTask.of(trial_folder / GAME_FILE)


def make_games(slots: list[Slot], output_dir: Path, num_workers: int) -> Counter:
    """Make those games of ``slots`` that ``output_dir`` does not hold; returns how many in each split.

    Raises InputError where the folder holds other games.
    """
    present = {game.parts[-4:-3] + game.parts[-2:-1] for game in output_dir.glob(f"*/*/*/{GAME_FILE}")
               if game.parts[-4] != _UNFINISHED}
    foreign = present - {(slot.split, slot.trial) for slot in slots}
    if foreign:
        example = "/".join(sorted(foreign)[0])
        raise InputError(f"{output_dir}: holds games of another seed, such as {example}; choose another one")
    missing = [slot for slot in slots if (slot.split, slot.trial) not in present]
    made = Counter()
    work = partial(make_game, output_dir=output_dir)
    games = run_in_envs("AlfWorldEnv", work, missing, num_workers)
    for slot, _ in tqdm(games, total=len(missing), desc="demo games", unit="game", disable=not missing):
        made[slot.split] += 1
    shutil.rmtree(output_dir / _UNFINISHED, ignore_errors=True)
    return made


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--output_dir", type=Path, default=Path("data/demo_games"), help="the splits, a folder each")
    add("--seed", type=int, default=0, help="another seed gives other games in the same rooms")
    add("--num_workers", type=positive, default=2, help="games made at once")
    arguments = parser.parse_args()
    check_output_folder(arguments.output_dir)
    made = make_games(plan(arguments.seed), arguments.output_dir, arguments.num_workers)
    for split, per_type in GAMES_PER_TYPE.items():
        total = per_type * len(TASK_TYPES)
        print(f"{arguments.output_dir / split}: {total} games ({made[split]} made now)")


if __name__ == "__main__":
    main()
