"""A start that can copy: two heads of a fresh model are set by hand, so that it need not find this out first.

Reading a shop's page is copying: an id, a title's words, an option. A model of this size finds the circuit for it (a
head that looks one token back, and one that looks for what followed this token before) only after millions of tokens.

    layer 0, head 0:  position n looks at n - 1          and writes its token's code beside n's own
    layer 1, head 0:  position n looks at all j whose j - 1 has n's token, and writes j's code: the guess for n + 1

All weights go on being trained. Needs a large "rope_theta": half of a head's dimensions should hardly turn.
"""

import math

import torch
from transformers import MistralForCausalLM

_SIZE = 0.1  # of embeddings
_CODE = 32  # dimensions of a token's code, 0 to 31; its predecessor's code has the next ones
_CONSTANT = -1  # the dimension that is the same for all tokens
_BACK = (4.0, 2.0, 1.0)  # weights of the fastest turning pairs: together they peak at one token back
_PEAK, _MATCH = 40.0, 30.0  # scores before the softmax
_GUESS = 10.0  # the guess against a token's own code


@torch.no_grad()
def set_copying_heads(model: MistralForCausalLM) -> None:
    """Set the embeddings and the two heads of a fresh model."""
    embeddings = model.get_input_embeddings().weight
    embeddings.normal_(std=_SIZE)
    embeddings[:, _CONSTANT] = 4 * _SIZE
    size = model.model.layers[0].self_attn.head_dim
    half = size // 2
    first, second = (model.model.layers[layer].self_attn for layer in (0, 1))
    _look_back(first, half, _theta(model.config))
    slow = [*range(half - _CODE // 2, half), *range(size - _CODE // 2, size)]
    weight = math.sqrt(_MATCH * math.sqrt(size) / _CODE)
    for projection, begin in ((second.q_proj, 0), (second.k_proj, _CODE)):
        projection.weight[:size] = 0.0
        for place, dimension in enumerate(slow):
            projection.weight[dimension, begin + place] = weight
    _write(first, source=0, target=_CODE, gain=_SIZE)
    _write(second, source=0, target=0, gain=_GUESS * _SIZE)


def _theta(config) -> float:
    parameters = getattr(config, "rope_parameters", None)  # transformers 5
    return parameters["rope_theta"] if parameters else config.rope_theta


def _look_back(attention, half: int, theta: float) -> None:
    """Head 0 looks one token back, whatever the tokens are."""
    attention.q_proj.weight[: 2 * half] = 0.0
    attention.k_proj.weight[: 2 * half] = 0.0
    unit = math.sqrt(_PEAK * math.sqrt(2 * half) / sum(_BACK)) / 4
    for pair, share in enumerate(_BACK):
        turn = theta ** (-pair / half)
        strength = unit * math.sqrt(share)
        attention.q_proj.weight[pair, _CONSTANT] = strength * math.cos(turn)
        attention.q_proj.weight[pair + half, _CONSTANT] = -strength * math.sin(turn)
        attention.k_proj.weight[pair, _CONSTANT] = strength


def _write(attention, source: int, target: int, gain: float) -> None:
    """Head 0 writes what stands in the code's dimensions at ``source`` to those at ``target``."""
    size = attention.head_dim
    attention.v_proj.weight[:size] = 0.0
    attention.o_proj.weight[:, :size] = 0.0
    for place in range(_CODE):
        attention.v_proj.weight[place, source + place] = 1.0
        attention.o_proj.weight[target + place, place] = gain
