"""A model that can copy from its first step on: three heads and a part of the embeddings are set by hand, and kept.

Reading a shop's page is copying: an id, a title's words, an option. A model of this size finds the circuit for it (a
head that looks one token back, and one that looks for what followed this token before) only after many millions of
tokens, and forgets it where learning by heart is the shorter way.

    embeddings       64 dimensions of each token are its code, signs drawn at random
    layer 0, head 0  position n looks at n - 1 and writes that token's code
    layer 0, head 1  position n looks at n - 2 and writes that token's code
    layer 1, head 0  position n looks at all j before which n's token stands, first at those before which n - 1's stands
                     too, and writes j's code: the guess for n + 1

The other heads, dimensions and layers are free to learn when to copy. Needs 256 dimensions, heads of 64, and a large
"rope_theta": of a head's pairs of dimensions the slow ones should hardly turn over the whole context.
"""

import math

import torch
from transformers import MistralForCausalLM

_SIZE = 0.1  # of embeddings
_CODE = slice(0, 64)  # dimensions of a token's own code ...
_CONSTANT = 127  # ... the one that is the same for all tokens ...
_BACK = {1: slice(128, 192), 2: slice(192, 256)}  # ... and where the codes of the tokens before it are written
_FAST = (3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0)  # weights of the fastest pairs: together they peak at one place
_SLOW = range(12, 32)  # pairs that hardly turn
_OWN = 24  # dimensions for the token itself in the match, the others are for the one before it
_PEAK, _MATCH, _MATCH_BEFORE = 60.0, 30.0, 15.0  # scores before the softmax
_GUESS = 4.0  # the guess against a token's own code
_CONSTANT_VALUE = 4 * _SIZE
# what the norm makes of a code's dimensions before layer 0, and before layer 1, where those of both tokens are added
_RMS = (math.sqrt((127 * _SIZE**2 + _CONSTANT_VALUE**2) / 256), math.sqrt((255 * _SIZE**2 + _CONSTANT_VALUE**2) / 256))


class CopyingHeads:
    """Sets the heads of a fresh model; ``keep()`` puts them back after a training step."""

    @torch.no_grad()
    def __init__(self, model: MistralForCausalLM):
        config, layers = model.config, model.model.layers
        if (config.hidden_size, layers[0].self_attn.head_dim) != (256, 64):
            raise ValueError("copying heads need 256 dimensions and heads of 64")
        self._set_embeddings(model.get_input_embeddings().weight)
        first, second = (layers[number].self_attn for number in (0, 1))
        for head, distance in enumerate(_BACK):
            _look_back(first, head, distance, _theta(config))
            _write(first, head, _BACK[distance], gain=_RMS[0])
        _find_follower(second)
        _write(second, 0, _CODE, gain=_GUESS * _SIZE)
        parts = [model.get_input_embeddings().weight[:, _CODE], model.get_input_embeddings().weight[:, _CONSTANT]]
        for attention, heads in ((first, len(_BACK)), (second, 1)):
            rows = slice(0, 64 * heads)
            parts += [attention.q_proj.weight[rows], attention.k_proj.weight[rows], attention.v_proj.weight[rows],
                      attention.o_proj.weight[:, rows]]
        self._parts = parts
        self.remember()

    @torch.no_grad()
    def remember(self) -> None:
        """What is there now is what is kept."""
        self._values = [part.clone() for part in self._parts]

    @torch.no_grad()
    def keep(self) -> None:
        """Put back what was set."""
        for part, value in zip(self._parts, self._values):
            part.copy_(value)

    def _set_embeddings(self, embeddings: torch.Tensor) -> None:
        embeddings.normal_(std=_SIZE)
        embeddings[:, _CODE] = _SIZE * (2 * torch.randint_like(embeddings[:, _CODE], 2) - 1)
        embeddings[:, _CONSTANT] = _CONSTANT_VALUE
        for places in _BACK.values():
            embeddings[:, places] = 0.0


def _theta(config) -> float:
    parameters = getattr(config, "rope_parameters", None)  # transformers 5
    return parameters["rope_theta"] if parameters else config.rope_theta


def _look_back(attention, head: int, distance: int, theta: float) -> None:
    """``head`` looks ``distance`` tokens back, whatever the tokens are."""
    start = 64 * head
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[start:start + 64] = 0.0
    unit = _RMS[0] / _CONSTANT_VALUE * math.sqrt(_PEAK * 8 / sum(_FAST))
    for pair, share in enumerate(_FAST):
        turn, strength = distance * theta ** (-pair / 32), unit * math.sqrt(share)
        attention.q_proj.weight[start + pair, _CONSTANT] = strength * math.cos(turn)
        attention.q_proj.weight[start + pair + 32, _CONSTANT] = -strength * math.sin(turn)
        attention.k_proj.weight[start + pair, _CONSTANT] = strength


def _find_follower(attention) -> None:
    """Head 0 looks at what followed this token, first where the one before it was the same, too."""
    slow = [*_SLOW, *(pair + 32 for pair in _SLOW)]
    own, before = slow[:_OWN], slow[_OWN:]
    for projection, now, earlier in ((attention.q_proj, _CODE, _BACK[1]), (attention.k_proj, _BACK[1], _BACK[2])):
        projection.weight[:64] = 0.0
        for dimensions, source, score in ((own, now, _MATCH), (before, earlier, _MATCH_BEFORE)):
            weight = _RMS[1] / _SIZE * math.sqrt(score * 8 / len(dimensions))
            for place, dimension in enumerate(dimensions):
                projection.weight[dimension, source.start + place] = weight


def _write(attention, head: int, target: slice, gain: float) -> None:
    """``head`` writes the codes of what it looks at to ``target``."""
    start = 64 * head
    attention.v_proj.weight[start:start + 64] = 0.0
    attention.o_proj.weight[:, start:start + 64] = 0.0
    for place in range(64):
        attention.v_proj.weight[start + place, _CODE.start + place] = 1.0
        attention.o_proj.weight[target.start + place, start + place] = gain
