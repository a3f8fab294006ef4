"""Text for pre-training a tiny base: agent and world model dialogues about episodes of a benchmark, without end.

Which episodes, a benchmark's own corpus knows (alfworld_corpus: ALFWorld, sciworld_corpus: ScienceWorld).
JointCorpus draws from several. Loss falls on the replies only, and on no wrong turn.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from statistics import mean

from eval_agent.agents.chat_templates import get_template
from eval_agent.config import Share
from eval_agent.fields import Fields
from eval_agent.trajectories.format import OBSERVATION

_TEMPLATE = get_template("mistral_v02")
_WORLD_MODEL = 0.35  # share of world model dialogues
_INFORMED = 0.5  # share of agent dialogues with task knowledge
_MEASURED = 100  # dialogues of each corpus, to know how long they are


@dataclass
class Turn:
    """One action with its thought, what was known before it, and whether it is worth learning."""

    state_knowledge: str
    reply: str
    observation: str
    learn: bool


@dataclass
class Dialogue:
    """Text pieces and whether loss falls on each."""

    pieces: list[tuple[str, bool]] = field(default_factory=list)

    def add(self, user: str, reply: str, learn: bool = True, learn_user: bool = False) -> None:
        self.pieces.append((_TEMPLATE.user_turn(user), learn_user))
        self.pieces.append((_TEMPLATE.reply_turn(reply), learn))


class TextMix(Fields):
    """What a corpus draws, in parts of all that it draws."""

    with_instruction: Share = 1.0
    """Dialogues that begin with the instruction."""
    learn_seen: Share = 0.0
    """Dialogues in which loss falls on what is seen, too: pages that repeat what stood before them teach to copy much
    sooner than replies alone."""
    shortened: Share = 0.0
    """Episodes in which less is seen than there is, so that there is more to decide."""


class Corpus(ABC):
    """Draws dialogues; a benchmark gives the episodes."""

    def __init__(self, agent_instruction: str, world_model_instruction: str):
        self.mix = TextMix()
        self.agent_instruction = agent_instruction.strip()
        self.world_model_instruction = world_model_instruction.strip()

    def begin_stage(self, mix: TextMix) -> None:
        self.mix = mix

    @abstractmethod
    def episode(self, rng: random.Random, informed: bool, as_world_model: bool) -> tuple[str, str, list[Turn]]:
        """A new episode: the task's text, its task knowledge and the turns.

        ``informed``: the agent has read the knowledge. Only ``as_world_model`` it has to be all true.
        """

    def spellings(self) -> Iterable[str]:
        """More text for the tokenizer, so that it knows pieces that are seldom by themselves."""
        return ()

    def draw(self, rng: random.Random) -> Dialogue:
        as_world_model = rng.random() < _WORLD_MODEL
        informed = not as_world_model and rng.random() < _INFORMED
        task, knowledge, turns = self.episode(rng, informed, as_world_model)
        instructed = rng.random() < self.mix.with_instruction
        learn_seen = self.mix.learn_seen > 0.0 and rng.random() < self.mix.learn_seen
        if as_world_model:
            return self._world_model(task, knowledge, turns, instructed, learn_seen)
        return self._agent(f"{task}\n{knowledge}" if informed else task, turns, instructed, learn_seen)

    def _agent(self, task: str, turns: list[Turn], instructed: bool, learn_seen: bool) -> Dialogue:
        dialogue = Dialogue()
        if instructed:
            dialogue.add(self.agent_instruction, "OK")
        for before, turn in zip([None, *turns], turns):
            seen = OBSERVATION + before.observation if before else task
            dialogue.add(seen, turn.reply, turn.learn, learn_seen and before is not None)
        return dialogue

    def _world_model(
        self, task: str, knowledge: str, turns: list[Turn], instructed: bool, learn_seen: bool
    ) -> Dialogue:
        dialogue = Dialogue()
        if instructed:
            dialogue.add(self.world_model_instruction, "OK")
        dialogue.add(task, knowledge)
        for turn, after in zip(turns, turns[1:]):
            seen = f"{turn.reply}\n{OBSERVATION}{turn.observation}"
            dialogue.add(seen, after.state_knowledge, learn_user=learn_seen and turn.learn)
        return dialogue


class JointCorpus:
    """Draws from several corpora, so that each has its share of the text; ``shares`` need not add up to 1."""

    def __init__(self, corpora: list[Corpus], shares: list[float]):
        self.corpora = corpora
        # a long dialogue is drawn less often than a short one
        self.weights = [share / _mean_length(corpus) for corpus, share in zip(corpora, shares)]

    def begin_stage(self, mix: TextMix) -> None:
        for corpus in self.corpora:
            corpus.begin_stage(mix)

    def spellings(self) -> Iterable[str]:
        return chain.from_iterable(corpus.spellings() for corpus in self.corpora)

    def draw(self, rng: random.Random) -> Dialogue:
        return rng.choices(self.corpora, self.weights)[0].draw(rng)


def _mean_length(corpus: Corpus) -> float:
    """Characters of a dialogue."""
    rng = random.Random(0)
    return mean(sum(len(piece) for piece, _ in corpus.draw(rng).pieces) for _ in range(_MEASURED))


def encode(dialogue: Dialogue, tokenizer) -> tuple[list[int], list[int]]:
    """Token ids of the whole text and labels, -100 where no loss falls."""
    text = "".join(piece for piece, _ in dialogue.pieces)
    encoded = tokenizer(text, return_offsets_mapping=True)
    ends, position = [], 0
    for piece, learn in dialogue.pieces:
        position += len(piece)
        ends.append((position, learn))
    labels, spans = [], iter(ends)
    end, learn = next(spans)
    for token, (_, stop) in zip(encoded["input_ids"], encoded["offset_mapping"]):
        while stop > end:
            end, learn = next(spans)
        labels.append(token if learn and stop else -100)
    return encoded["input_ids"], labels


def batches(
    corpus: Corpus | JointCorpus, tokenizer, lengths: list[int], tokens: int, rng: random.Random
) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
    """Endless batches (ids, labels), each [tokens // length, length]: dialogues of like length, padded right.

    ``lengths`` ascend; a dialogue longer than the last is cut there. Few lengths keep compiled code few.
    """
    waiting = {length: [] for length in lengths}
    while True:
        ids, labels = encode(corpus.draw(rng), tokenizer)
        length = next((length for length in lengths if len(ids) <= length), lengths[-1])
        padding = max(0, length - len(ids))
        waiting[length].append((
            ids[:length] + [tokenizer.pad_token_id] * padding,
            labels[:length] + [-100] * padding,
        ))
        if len(waiting[length]) == tokens // length:
            yield tuple(map(list, zip(*waiting[length])))
            waiting[length] = []
