"""The pre-training's recipe as typed fields, read from configs/train/tiny_base*.json; a fault is one InputError."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from eval_agent.config import read_config
from eval_agent.fields import Fields, validate
from train.tiny_base.copying import KINDS
from train.tiny_base.corpus import TextMix

Part = Annotated[float, Field(gt=0, le=1)]


def _ascending(lengths: list[int]) -> list[int]:
    if lengths != sorted(set(lengths)):
        raise ValueError("ascending lengths")
    return lengths


class Stage(TextMix):
    """A part of the training with its own text."""

    minutes: PositiveFloat
    """On this machine."""
    lengths: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(_ascending)]
    """In tokens: a dialogue is padded to the next of these, and cut at the last."""
    tokens_per_batch: PositiveInt


class TokenizerSizes(Fields):
    vocab_size: PositiveInt
    dialogues: PositiveInt
    """Dialogues that it is learnt from."""
    spaced: NonNegativeInt = 0
    """Pieces that get a twin with their space."""


class ModelSizes(Fields):
    """MistralConfig's fields of these names."""

    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    max_position_embeddings: PositiveInt
    rope_theta: PositiveFloat
    sliding_window: PositiveInt | None
    tie_word_embeddings: bool
    initializer_range: PositiveFloat


class Recipe(Fields):
    tokenizer: TokenizerSizes
    model: ModelSizes
    copying_heads: Literal[KINDS] | None = None
    """Which heads are set by hand, see copying.py."""
    shares: dict[Literal["alfworld", "sciworld", "webshop"], PositiveFloat] | None = None
    """Of several texts, how much of the whole each is; they need not add up to 1."""
    seed: int
    learning_rate: PositiveFloat
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Part
    """Share of the time in which the learning rate rises."""
    decay: Part
    """Share of the time, at the end, in which it falls to 0."""
    stages: Annotated[list[Stage], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        for number, stage in enumerate(self.stages):
            if stage.tokens_per_batch < stage.lengths[-1]:
                raise ValueError(f'field "stages.{number}.tokens_per_batch" is {stage.tokens_per_batch}, expected at '
                                 f'least the longest of its "lengths", {stage.lengths[-1]}')
        return self

    @property
    def seconds(self) -> float:
        return 60.0 * sum(stage.minutes for stage in self.stages)


def load_recipe(path: str | Path) -> Recipe:
    """Raises InputError with the first field at fault."""
    return validate(Recipe, read_config(path), path)
