"""A model that can copy from its first step on: some heads and a part of the embeddings are set by hand, and kept.

Reading a shop's page is copying: an id, a title's words, an option. A model of this size finds the circuit for it (a
head that looks one token back, and one that looks for what followed this token before) only after many millions of
tokens, and forgets it where learning by heart is the shorter way.

    embeddings           64 dimensions of each token are its code of signs, the same for "brown" and " brown"
    layer 0, heads 0-2   position n looks at n - 1, n - 2 and n - 3, and writes parts of these tokens' codes
    layer 1, head 0      position n looks at the j before which n's token stands, first at those before which also the two
                         before n stand, and writes j's code: the guess for n + 1. Where there is no such j it looks at
                         the text's beginning, and guesses nothing
    layer 1, head 1      at "[" it guesses what the thought names: what followed the nearest "click" or "for"; and in the
                         thought, at "click", what followed "is" ("The color is red. I click red."), or the nearest id;
                         and at "costs" what followed the nearest "$"
    layer 1, head 2      at a thought's beginning it guesses the first id of the page, which follows "Next > [SEP]"; and at
                         "is", after "The color", what followed "color:"
    layer 1, head 3      writes the code of what it looks at; where to look it learns

Elsewhere than in a shop ("plain") heads 1 and 2 of layer 1 are free, and head 1 is the one that learns where to look.
The other heads, dimensions and layers are free to learn when to copy. Needs 256 dimensions, heads of 64, and a large
"rope_theta": of a head's pairs of dimensions the slow ones should hardly turn over the whole context.
"""

import math
from dataclasses import dataclass

import torch
from transformers import MistralForCausalLM

from train.tiny_base.tokenizer import ID_PIECE

_SIZE = 0.1  # of embeddings
_CODE = slice(0, 64)  # dimensions of a token's own code, the first 24 of which tell any two tokens well apart
_ID, _ID_VALUE = 125, 4 * _SIZE  # the dimension of ids' first pieces only ...
_BEGINNING = 126  # ... that of the text's first token only ...
_CONSTANT, _CONSTANT_VALUE = 127, 16 * _SIZE  # ... and the one that is the same for all tokens
_PARTS = {0: (0, 24), 1: (24, 40), 2: (40, 50)}  # of the code, by which the match knows this token, and those before it
_BACK = {1: (0, 40), 2: (24, 50), 3: (40, 50)}  # parts of the codes of the tokens before that are written ...
_PLACES = {1: 128, 2: 168, 3: 194}  # ... from these dimensions on
_WRITTEN = slice(128, 204)
_FREE = [*range(_CODE.stop, _ID), *range(_WRITTEN.stop, 256)]  # the dimensions that learn
_FAST = (4.0, 4.0, 3.0, 3.0, 2.0)  # weights of the fastest pairs: together they peak at one place
_SLOW = (*range(6, 32), *range(38, 64))  # the dimensions of pairs that hardly turn
# scores before the softmax, for a fresh model: looking back, a match of each part, an id
_PEAK, _MATCHES, _NEAREST_ID = 240.0, (240.0, 84.0, 48.0), 300.0
_GUESS, _POINTER = 8.0, 5.0  # the guess against a token's own code, and that of the head that learns where to look


@dataclass
class _Match:
    """A head that looks for what followed this token before.

    ``read_as``: as what others it reads this token, the one before it, and the one before that: token: others, each with
    its weight; ``others``: whether it looks for every other token as it is, at each of these places; ``none``: the score
    of the beginning; ``far``: what is taken off for distance, by pairs that make half a turn over a context.
    """

    read_as: tuple[dict[str, dict[str, float]], ...]
    others: tuple[bool, ...]
    none: float
    far: dict[int, float]


# a thought or an action says things after other words than the page or the thought that it repeats: "The color is red"
# and "color: red", "It costs 12" and "$12", "Thought: B08Q", "I click B08Q" and "Next > [SEP] B08Q"
_SAID = {
    "[": {"click": 1.0, "for": 1.0}, "is": {":": 1.0}, "costs": {"$": 1.0},
    ":": {":": 1.0, "[SEP]": 1.0}, ".": {".": 1.0, "[SEP]": 1.0},
}
# their codes are kept apart
_APART = ("[", "click", "for", "is", "I", ":", ".", "Thought", ">", "[SEP]", "search", "costs", "$")
_PLAIN = _Match(read_as=({}, {}, {}), others=(True, True, True), none=150.0, far={5: 30.0})
_SHOP = (
    _Match(read_as=({"[": {}, "click": {}, "costs": {}}, {**_SAID, "click": {"is": 0.7, ":": 0.7, ".": 0.7}},
                    {**_SAID, "click": {"I": 1.0}, "Thought": {"Thought": 1.0, ">": 1.0}}),
           others=(True, True, True), none=150.0, far={5: 30.0}),
    _Match(read_as=({"[": {"click": 1.0, "for": 1.0}, "click": {"is": 1.5}, "costs": {"$": 1.5}},
                    {"click": {"I": 1.0}, "search": {"search": 1.0}, "I": {}}, {}),
           others=(False, False, False), none=195.0, far={3: 45.0, 4: 50.0, 5: 300.0}),
    _Match(read_as=({":": {"[SEP]": 1.0}, "is": {":": 1.0}}, {"Thought": {">": 1.0}}, {}),
           others=(False, True, False), none=255.0, far={5: 40.0}),
)
_FOLLOWERS = {"shop": _SHOP, "plain": (_PLAIN,)}
KINDS = tuple(_FOLLOWERS)


class CopyingHeads:
    """Sets the heads of a fresh model; ``keep()`` puts them back after a training step.

    ``pieces``: what each token of the vocabulary is without its space, as equal ones share a code; ``beginning``: the
    id of the token that every text begins with; ``kind``: one of KINDS. The scores are high because training lets the
    other dimensions grow, and the norm makes the codes the smaller for it. Raises ValueError for a model of other sizes.
    """

    @torch.no_grad()
    def __init__(self, model: MistralForCausalLM, pieces: list[str], beginning: int, kind: str):
        config, layers = model.config, model.model.layers
        if (config.hidden_size, layers[0].self_attn.head_dim) != (256, 64):
            raise ValueError("copying heads need 256 dimensions and heads of 64")
        self._embeddings = embeddings = model.get_input_embeddings().weight
        self._set_embeddings(embeddings, pieces, beginning)
        before, after = (_root_mean_square(written) for written in (0, _WRITTEN.stop - _WRITTEN.start))
        first, second = (layers[number].self_attn for number in (0, 1))
        for head, (distance, (start, stop)) in enumerate(_BACK.items()):
            _look_back(first, head, distance, config, before)
            _write(first, head, start, _PLACES[distance], stop - start, gain=before)
        codes = {name: row[_CODE] / _SIZE for name, row in zip(pieces, embeddings)}
        followers = _FOLLOWERS[kind]
        for head, match in enumerate(followers):
            _find_follower(second, head, after, match, codes)
            _write(second, head, 0, 0, 64, gain=_GUESS * _SIZE)
        if "click" in codes:
            _find_id(second, 1, after, codes["click"])
        _write(second, len(followers), 0, 0, 64, gain=_POINTER * _SIZE)
        self._parts = [embeddings[:, _CODE], embeddings[:, _ID:_WRITTEN.stop], *_set_parts(layers, len(followers))]
        self.remember()

    @torch.no_grad()
    def remember(self) -> None:
        """What is there now is what is kept."""
        self._values = [part.clone() for part in self._parts]

    @torch.no_grad()
    def keep(self) -> None:
        """Put back what was set, and the tokens' other dimensions to one length, so that heads see all tokens equally."""
        for part, value in zip(self._parts, self._values):
            part.copy_(value)
        free = self._embeddings[:, _FREE]
        self._embeddings[:, _FREE] = free * (_SIZE * math.sqrt(len(_FREE)) / free.norm(dim=1, keepdim=True))

    def _set_embeddings(self, embeddings: torch.Tensor, pieces: list[str], beginning: int) -> None:
        embeddings.normal_(std=_SIZE)
        numbers = {piece: number for number, piece in enumerate(dict.fromkeys([*_APART, *pieces]))}
        codes = _codes(len(numbers))[[numbers[piece] for piece in pieces]]
        embeddings[:len(codes), _CODE] = _SIZE * codes
        embeddings[beginning, _CODE] = 0.0
        embeddings[:, [_ID, _BEGINNING]] = 0.0
        embeddings[[bool(ID_PIECE.fullmatch(name)) for name in pieces] + [False] * (len(embeddings) - len(pieces)),
                   _ID] = _ID_VALUE
        embeddings[:, _CONSTANT] = _CONSTANT_VALUE
        embeddings[beginning, [_BEGINNING, _CONSTANT]] = torch.tensor([_CONSTANT_VALUE, 0.0])
        embeddings[:, _WRITTEN] = 0.0


def _reading(
    codes: dict[str, torch.Tensor], read_as: dict[str, dict[str, float]], others: bool, start: int, stop: int
) -> torch.Tensor:
    """[64, 64], which turns a token's code, of which ``start`` to ``stop`` is known, into the one to be looked for."""
    names = [name for name in read_as if name in codes]
    found, wanted = torch.zeros(len(names), 64), torch.zeros(len(names), 64)
    if names:  # 1 for its name, 0 for the other names
        found[:, start:stop] = torch.linalg.pinv(torch.stack([codes[name][start:stop] for name in names])).T
    for row, name in zip(wanted, names):
        row += sum(weight * codes[word] for word, weight in read_as[name].items())
        row -= codes[name] if others else 0.0
    return wanted.T @ found + (torch.eye(64) if others else 0.0)


def _set_parts(layers, followers: int) -> list[torch.Tensor]:
    """What is set in the layers. Nothing else writes where codes are, so that layer 1 reads clean ones."""
    first, second = (layers[number].self_attn for number in (0, 1))
    parts = [layers[number].input_layernorm.weight for number in (0, 1)]
    for attention, looking, writing in ((first, len(_BACK), len(_BACK)), (second, followers, followers + 1)):
        parts += [projection.weight[:64 * looking] for projection in (attention.q_proj, attention.k_proj)]
        parts += [attention.v_proj.weight[:64 * writing], attention.o_proj.weight[:, :64 * writing]]
    for dimensions in (_CODE, slice(_ID, _WRITTEN.stop)):
        for written in (first.o_proj.weight[:, 64 * len(_BACK):], layers[0].mlp.down_proj.weight):
            written[dimensions] = 0.0
            parts.append(written[dimensions])
    return parts


def _codes(count: int) -> torch.Tensor:
    """[count, 64] signs: a word of Golay's extended code, so that any two differ in at least 8 of 24, and 40 drawn.

    The first ones, for _APART, differ in 12 of 24, as far as there are such.
    """
    words = torch.zeros(4096, dtype=torch.long)
    for bit in range(12):
        words ^= ((torch.arange(4096) >> bit) & 1) * (0xC75 << bit)
    bits = (words[:, None] >> torch.arange(23)) & 1
    signs = 2.0 * torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1)[torch.randperm(4096)] - 1.0
    apart: list[int] = []
    for number in range(len(signs)):
        if len(apart) < len(_APART) and not (signs[apart] @ signs[number]).any():
            apart.append(number)
    others = torch.ones(len(signs), dtype=torch.bool)
    others[apart] = False
    signs = torch.cat([signs[apart], signs[others]])[:count]
    return torch.cat([signs, 2.0 * torch.randint(2, (count, 40)) - 1.0], 1)


def _root_mean_square(written: int) -> float:
    """What the norm divides by where so many dimensions are written besides a token's own."""
    free = 256 - (_WRITTEN.stop - _WRITTEN.start) - 2
    return math.sqrt(((free + written) * _SIZE**2 + _CONSTANT_VALUE**2) / 256)


def _look_back(attention, head: int, distance: int, config, size: float) -> None:
    """``head`` looks ``distance`` tokens back, whatever the tokens are."""
    parameters = getattr(config, "rope_parameters", None)  # transformers 5
    theta = parameters["rope_theta"] if parameters else config.rope_theta
    start = 64 * head
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[start:start + 64] = 0.0
    unit = size / _CONSTANT_VALUE * math.sqrt(_PEAK * 8 / sum(_FAST))
    for pair, share in enumerate(_FAST):
        turn, strength = distance * theta ** (-pair / 32), unit * math.sqrt(share)
        attention.q_proj.weight[start + pair, _CONSTANT] = strength * math.cos(turn)
        attention.q_proj.weight[start + pair + 32, _CONSTANT] = -strength * math.sin(turn)
        attention.k_proj.weight[start + pair, _CONSTANT] = strength


def _find_follower(attention, head: int, size: float, match: _Match, codes: dict[str, torch.Tensor]) -> None:
    """``head`` looks at what followed this token, first where the two before it were the same, too."""
    start = 64 * head
    query, key = attention.q_proj.weight[start:start + 64], attention.k_proj.weight[start:start + 64]
    query[:], key[:] = 0.0, 0.0
    dimensions = iter(_SLOW)
    for back, (first, last) in _PARTS.items():
        known = _BACK[back] if back else (0, 64)
        places = slice(_PLACES[back], _PLACES[back] + known[1] - known[0]) if back else _CODE
        reading = _reading(codes, match.read_as[back], match.others[back], *known)
        weight = size / _SIZE * math.sqrt(_MATCHES[back] * 8 / (last - first))
        for part in range(first, last):
            dimension = next(dimensions)
            query[dimension, places] = weight * reading[part, slice(*known)]
            key[dimension, _place(back + 1, part)] = weight
    dimension = next(dimensions)
    query[dimension, _CONSTANT] = math.sqrt(match.none * 8) * size / _CONSTANT_VALUE
    key[dimension, _BEGINNING] = math.sqrt(match.none * 8) * _root_mean_square(-64) / _CONSTANT_VALUE
    for pair, score in match.far.items():  # minus the sine of the distance: the turn is taken a quarter back
        query[pair + 32, _CONSTANT] = key[pair, _CONSTANT] = math.sqrt(score * 8) * size / _CONSTANT_VALUE


def _find_id(attention, head: int, size: float, code: torch.Tensor) -> None:
    """At the token of ``code`` an id is like something that has followed it."""
    dimension = 64 * head + _SLOW[-1]  # which no match uses
    attention.q_proj.weight[dimension, _CODE] += math.sqrt(_NEAREST_ID * 8) * size / _SIZE * code / 64
    attention.k_proj.weight[dimension, _ID] = math.sqrt(_NEAREST_ID * 8) * size / _ID_VALUE


def _place(back: int, part: int) -> int:
    return _PLACES[back] + part - _BACK[back][0]


def _write(attention, head: int, source: int, target: int, count: int, gain: float) -> None:
    """``head`` writes ``count`` dimensions of what it looks at, from ``source`` on, to those from ``target`` on."""
    start = 64 * head
    attention.v_proj.weight[start:start + 64] = 0.0
    attention.o_proj.weight[:, start:start + 64] = 0.0
    for place in range(count):
        attention.v_proj.weight[start + place, source + place] = 1.0
        attention.o_proj.weight[target + place, start + place] = gain
