"""The tiny base's text: rooms as in the games, a world that answers in ALFWorld's words, an expert that wins."""

import random
from collections import Counter

import pytest

from eval_agent.rules.alfworld_state import AlfWorldState, Goal
from eval_agent.tasks.alfworld import NOTHING
from train.tiny_base.alfworld_corpus import AlfWorldCorpus
from train.tiny_base.alfworld_rooms import Receptacle, Room, RoomVariety, read_room
from train.tiny_base.alfworld_searcher import Searcher
from train.tiny_base.alfworld_world import TextWorld
from train.tiny_base.corpus import JointCorpus, TextMix, batches, encode
from train.tiny_base.tokenizer import train_tokenizer

KITCHEN = [
    Receptacle("cabinet", True, ["mug"], "north"),
    Receptacle("cabinet", True, [], "north"),
    Receptacle("countertop", False, ["apple", "mug"], "east"),
    Receptacle("fridge", True, ["apple"], "south"),
    Receptacle("microwave", True, [], "west"),
    Receptacle("sinkbasin", False, [], "door"),
]
GOALS = [Goal("put two mug in fridge", "two", "mug", "fridge"),
         Goal("put a hot apple in countertop", "heat", "apple", "countertop"),
         Goal("put a clean mug in cabinet", "clean", "mug", "cabinet")]


@pytest.fixture(scope="module")
def corpus() -> AlfWorldCorpus:
    return AlfWorldCorpus(RoomVariety([Room(KITCHEN, goal) for goal in GOALS]), "You act.", "You know.")


def test_the_searching_expert_wins_every_room_it_draws(corpus):
    rng = random.Random(0)
    for _ in range(50):
        room = corpus.variety.draw(rng)
        world = TextWorld(room, rng)
        house = AlfWorldState.at_start(world.task)
        expert = Searcher(corpus.variety.habits, corpus.variety.openable)
        for _ in range(60):
            action = expert.act(house)
            observation = world.step(action)
            # the one thing it cannot know is what is within reach of where it stands
            assert observation != NOTHING or action.startswith("go to "), action
            house.update(action, observation)
            if world.won:
                break
        assert world.won, room


def test_the_searching_expert_closes_what_it_opened_for_nothing(corpus):
    room = Room([Receptacle("cabinet", True, [], "north"), Receptacle("countertop", False, ["mug"], "east")], GOALS[2])
    world = TextWorld(room, random.Random(0))
    house, actions = AlfWorldState.at_start(world.task), []
    expert = Searcher({"mug": Counter(cabinet=9, countertop=1)}, corpus.variety.openable)
    for _ in range(5):
        actions.append(expert.act(house))
        house.update(actions[-1], world.step(actions[-1]))
    assert actions == ["go to cabinet 1", "open cabinet 1", "close cabinet 1", "go to countertop 1",
                       "take mug 1 from countertop 1"]


def test_loss_falls_on_replies_and_on_no_wrong_turn(corpus):
    rng = random.Random(1)
    dialogues = [corpus.draw(rng) for _ in range(30)]
    texts = ["".join(piece for piece, _ in dialogue.pieces) for dialogue in dialogues]
    tokenizer = train_tokenizer(texts, 700, 4096)
    for dialogue, text in zip(dialogues, texts):
        ids, labels = encode(dialogue, tokenizer)
        assert ids == tokenizer(text).input_ids
        learnt = tokenizer.decode([label for label in labels if label >= 0])
        assert learnt == "".join(piece for piece, learn in dialogue.pieces if learn)
    assert any(not learn for dialogue in dialogues for _, learn in dialogue.pieces[1::2]), "no wrong turn drawn"


def test_batches_hold_whole_dialogues_of_like_length(corpus):
    tokenizer = train_tokenizer(["Thought: I go.\nAction: go to cabinet 1"], 300, 4096)
    data = batches(corpus, tokenizer, [1024, 4096], 8192, random.Random(2))
    shapes = Counter()
    for _ in range(4):
        ids, labels = next(data)
        assert all(row[0] == tokenizer.bos_token_id for row in ids)
        assert [len(row) for row in ids] == [len(row) for row in labels]
        shapes[len(ids), len(ids[0])] += 1
    assert set(shapes) <= {(8, 1024), (2, 4096)}


def test_the_world_answers_as_the_real_games_do(alfworld_data):
    """The expert plays a room of a real game there and in the text world: same words, numbers aside."""
    import re
    from pathlib import Path

    from eval_agent.config import load_task_config, override
    from eval_agent.envs.worker import ProcessEnv
    from eval_agent.tasks import load_tasks

    config = load_task_config("alfworld", "configs/task")
    config = override(config, {"task.data_path": str(alfworld_data / "json_2.1.1")}, "test")
    tasks = load_tasks(config, "train")
    chosen = {task.task_type: task for task in tasks}.values()
    rooms = [read_room(Path(task.game_file)) for task in chosen]
    expert_of = RoomVariety(rooms)

    def form(text: str) -> str:
        return re.sub(r"you see .*", "you see ...", re.sub(r"\b[a-z]+ \d+", "X", text))

    heard, real = set(), set()
    with ProcessEnv(config.env.env_class) as env:
        for task, room in zip(chosen, rooms):
            world = TextWorld(room, random.Random(0))
            for answers, start, step in ((heard, world.task, world.step),
                                         (real, env.reset(task), lambda a: env.step(a).observation)):
                house = AlfWorldState.at_start(start)
                expert = Searcher(expert_of.habits, expert_of.openable)
                for _ in range(80):
                    action = expert.act(house)
                    observation = step(action)
                    answers.add(form(observation))
                    house.update(action, observation)
                    if house.lamp_on or len(house.placed) >= (2 if room.goal.kind == "two" else 1):
                        break
                else:
                    pytest.fail(f"{task.task_id}: the expert did not finish")
    # whether two drawers are within reach of each other is a matter of the draw
    assert real - {NOTHING} <= heard | {"The X is open. In it, you see ..."}


def test_of_several_corpora_each_has_its_share_of_the_text(corpus):
    other = AlfWorldCorpus(corpus.variety, "You act " + "with care " * 300, "You know a lot " * 200)  # long dialogues
    joint = JointCorpus([corpus, other], [3, 1])
    rng, written = random.Random(3), Counter()
    for _ in range(2000):
        text = "".join(piece for piece, _ in joint.draw(rng).pieces)
        written["with care" in text or "a lot" in text] += len(text)
    assert written[False] / written[True] == pytest.approx(3, rel=0.15)

    joint.begin_stage(TextMix(with_instruction=0.0))
    assert not any("You act" in joint.draw(rng).pieces[0][0] for _ in range(50))
