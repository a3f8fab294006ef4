"""ALFWorld episodes for the tiny base's text: searching experts in rooms like those of the train games.

Every episode is made anew: a room, an expert, now and then wrong turns to recover from.
"""

import random

from eval_agent.rules.alfworld import compose_task_knowledge, state_knowledge_in, thought_in
from eval_agent.rules.alfworld_state import AlfWorldState, type_of
from train.tiny_base.alfworld_rooms import Room, RoomVariety
from train.tiny_base.alfworld_searcher import Searcher
from train.tiny_base.alfworld_world import TextWorld
from train.tiny_base.corpus import Corpus, Turn

MAX_STEPS = 40
_ERRING = 0.4  # share of episodes with wrong turns
_ERROR = 0.12  # chance per step there that one or a few begin
_ASTRAY = 0.06  # share of episodes that begin with a long walk without aim
_TRUE = 0.6  # share of task knowledge that names the true place, not just a likely one


def rollout(room: Room, searcher: Searcher, rng: random.Random) -> tuple[str, list[Turn]]:
    """One episode to its end: the task's text and its turns."""
    world = TextWorld(room, rng)
    state, turns = AlfWorldState.at_start(world.task), []
    astray = rng.randint(5, 25) if rng.random() < _ASTRAY else 0
    error = _ERROR if rng.random() < _ERRING else 0.0
    slips: list[str] = []
    while not world.won and len(turns) < MAX_STEPS:
        best = searcher.act(state)
        if not slips and (len(turns) < astray or rng.random() < error):
            slips = _slips(world, rng)
        action = slips.pop(0) if slips else best
        knowledge = state_knowledge_in(state)
        reply = f"Thought: {thought_in(state, action)}\nAction: {action}"
        observation = world.step(action)
        state.update(action, observation)
        turns.append(Turn(knowledge, reply, observation, action == best))
    return world.task, turns


def _slips(world: TextWorld, rng: random.Random) -> list[str]:
    """Wrong turns in a row: any one, or those that small models make and have to find out of."""
    where = world.place or rng.choice(list(world.inside))
    kind = type_of(where)
    beyond = f"{kind} {sum(type_of(place) == kind for place in world.inside) + 1}"
    way = rng.random()
    if way < 0.25:  # on to a place that is not there
        return [f"go to {beyond}", *[f"examine {beyond}"] * rng.randint(0, 2), *[f"go to {beyond}"] * rng.randint(0, 1)]
    if way < 0.5:  # an object that is not there
        return [f"take {world.goal.object} {rng.randint(1, 3)} from {where}"] * rng.randint(1, 3)
    return [_wrong_turn(world, where, rng)]


def _wrong_turn(world: TextWorld, where: str, rng: random.Random) -> str:
    place = rng.choice(list(world.inside))
    if rng.random() < 0.5:
        return f"go to {place}"
    names = [name for names in world.inside.values() for name in names] or [f"{world.goal.object} 1"]
    name = rng.choice([*rng.sample(names, min(3, len(names))), f"{world.goal.object} {rng.randint(1, 4)}"])
    return rng.choice(
        [f"go to {where}", f"go to {type_of(place)} {rng.randint(1, 9)}", f"open {where}", f"close {where}",
         f"take {name} from {where}", f"take {name} from {place}", f"put {name} in/on {where}",
         f"put {world.holding or name} in/on {place}", f"open {place}", f"examine {place}", f"use {name}"]
    )


class AlfWorldCorpus(Corpus):
    """Draws episodes in rooms like those in ``variety``."""

    def __init__(self, variety: RoomVariety, agent_instruction: str, world_model_instruction: str):
        super().__init__(agent_instruction, world_model_instruction)
        self.variety = variety

    def episode(self, rng: random.Random, informed: bool, as_world_model: bool) -> tuple[str, str, list[Turn]]:
        room = self.variety.draw(rng)
        true = as_world_model or rng.random() < _TRUE
        found_at = {wanted: self._place_of(wanted, room, true, rng) for wanted in self._wanted(room)}
        knowledge = compose_task_knowledge(room.goal, found_at, self._wasted(room, found_at, rng))
        hints = {wanted: [place] for wanted, place in found_at.items()} if informed else {}
        task, turns = rollout(room, Searcher(self.variety.habits, self.variety.openable, hints), rng)
        return task, knowledge, turns

    def _wanted(self, room: Room) -> list[str]:
        return [room.goal.object] + ([room.goal.target] if room.goal.kind == "examine" else [])

    def _place_of(self, wanted: str, room: Room, true: bool, rng: random.Random) -> str:
        """A receptacle type where ``wanted`` is, or where such things often are."""
        kinds = [receptacle.kind for receptacle in room.receptacles if wanted in receptacle.things]
        if true and kinds:
            return rng.choice(kinds)
        habits = {receptacle.kind: self.variety.habits[wanted][receptacle.kind] for receptacle in room.receptacles}
        if not any(habits.values()):
            return rng.choice(list(habits))
        return rng.choices(list(habits), list(habits.values()))[0]

    def _wasted(self, room: Room, found_at: dict[str, str], rng: random.Random) -> list[str]:
        useful = {receptacle.kind for receptacle in room.receptacles if room.goal.object in receptacle.things}
        useful |= {*found_at.values(), room.goal.target}
        others = sorted({receptacle.kind for receptacle in room.receptacles} - useful)
        return sorted(rng.sample(others, min(rng.choice((0, 1, 2, 2)), len(others))))
