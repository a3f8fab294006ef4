"""Log-probabilities of candidate continuations, all in one call of the model.

Candidates hang as a tree on the prompt: each tree token attends to the prompt and to its own ancestors only,
and sits at the position that it would have if its candidate followed the prompt alone.
"""

from dataclasses import dataclass

import torch
from fastchat.constants import ErrorCode

from eval_agent.agents.candidates import first_scored, tokenise_after
from eval_agent.serve.engine import Engine, RequestError

# of one request; a tree's mask grows with the square of its tokens
_MOST_CANDIDATES, _MOST_TREE_TOKENS = 1000, 8192


@dataclass
class _Branch:
    """A candidate: its tokens after ``boundary``, the longest common prefix with the prompt's own tokens."""

    boundary: int
    tokens: list[int]


def score_candidates(engine: Engine, model: str | None, prompt: str, candidates: list[str]) -> dict:
    """Natural log-probabilities of ``candidates`` right after ``prompt``.

    Each is tokenised together with the prompt; where that merges across the border, the tokens from the first
    differing one on count. Returns ``{"scores": [{"first_token", "first_token_logprob", "logprob"}, ...],
    "usage": {"prompt_tokens", "prefilled_tokens"}}``. Raises RequestError.
    """
    adapter = engine.adapter_of(model)
    prompt_ids = engine.encode_prompt(prompt)
    if not candidates or not all(isinstance(c, str) and c for c in candidates):
        text = f"candidates must be non-empty strings, at least one: {candidates!r}"
        raise RequestError(ErrorCode.VALIDATION_TYPE_ERROR, text)
    if len(candidates) > _MOST_CANDIDATES:
        text = f"{len(candidates)} candidates, at most {_MOST_CANDIDATES} at once"
        raise RequestError(ErrorCode.PARAM_OUT_OF_RANGE, text)
    branches = []
    for candidate, ids in zip(candidates, tokenise_after(engine.tokenizer, prompt, prompt_ids, candidates)):
        engine.check_fits(len(ids), f'the prompt and candidate "{candidate}"')
        engine.check_known(ids)
        branches.append(_branch(prompt_ids, ids))
    if sum(len(branch.tokens) for branch in branches) > _MOST_TREE_TOKENS:
        text = f"the candidates have more than {_MOST_TREE_TOKENS} tokens together"
        raise RequestError(ErrorCode.PARAM_OUT_OF_RANGE, text)

    stem = prompt_ids[: max(branch.boundary for branch in branches)]
    # the rows that score first tokens must be computed now
    prefix = engine.take_prefix(adapter, stem[: min(branch.boundary for branch in branches) - 1])
    usage = {"prompt_tokens": len(prompt_ids), "prefilled_tokens": len(stem) - len(prefix.ids)}
    tree = _Tree(branches, len(prefix.ids), len(stem))
    with engine.request():
        logits = engine.extend(prefix, stem[len(prefix.ids):] + tree.tokens, **tree.call(engine))
    prefix.crop(len(stem))
    prefix.prompt_length = len(stem)
    engine.keep_prefix(prefix)
    with torch.inference_mode():
        logprobs = logits.float().log_softmax(-1).cpu()
    return {"scores": [tree.score(branch, logprobs) for branch in branches], "usage": usage}


def _branch(prompt_ids, ids):
    boundary = first_scored(prompt_ids, ids)
    if boundary == 0:
        raise RequestError(ErrorCode.VALIDATION_TYPE_ERROR, "nothing precedes the candidates")
    return _Branch(boundary, ids[boundary:])


class _Tree:
    """The candidates' tokens but the last ones (nothing is predicted after them); shared beginnings once."""

    def __init__(self, branches: list[_Branch], n_known: int, n_stem: int):
        self.n_known, self.n_stem = n_known, n_stem
        self.tokens: list[int] = []
        self._nodes: dict[tuple, int] = {}  # (boundary, tokens up to the node) -> place in ``tokens``
        self._parents: list[int | None] = []
        self._boundaries: list[int] = []
        self._depths: list[int] = []
        for branch in branches:
            parent = None
            for depth in range(1, len(branch.tokens)):
                parent = self._node(branch, depth, parent)
        stem_rows = sorted({branch.boundary - 1 for branch in branches})
        self._stem_rows = {row: index for index, row in enumerate(stem_rows)}

    def _node(self, branch, depth, parent):
        key = (branch.boundary, *branch.tokens[:depth])
        if key not in self._nodes:
            self._nodes[key] = len(self.tokens)
            self.tokens.append(branch.tokens[depth - 1])
            self._parents.append(parent)
            self._boundaries.append(branch.boundary)
            self._depths.append(depth)
        return self._nodes[key]

    def call(self, engine: Engine) -> dict:
        """``rows`` to return and, where there are tree tokens, ``positions`` and ``mask`` [new, all]."""
        n_stem_new = self.n_stem - self.n_known
        rows = [row - self.n_known for row in self._stem_rows]
        rows += range(n_stem_new, n_stem_new + len(self.tokens))
        if not self.tokens:
            return {"rows": rows}
        tree_positions = (b + d - 1 for b, d in zip(self._boundaries, self._depths))
        positions = [*range(self.n_known, self.n_stem), *tree_positions]
        return {"rows": rows, "positions": positions, "mask": self._mask().to(engine.device)}

    def _mask(self) -> torch.Tensor:
        """Where a new token may look: True, [new, all]."""
        n_new, n_all = self.n_stem - self.n_known + len(self.tokens), self.n_stem + len(self.tokens)
        seen = torch.ones(n_new, n_all, dtype=torch.bool).tril(self.n_known)
        for node, parent in enumerate(self._parents):
            row = seen[self.n_stem - self.n_known + node]
            if parent is not None:
                row.copy_(seen[self.n_stem - self.n_known + parent])
            else:
                row[self._boundaries[node]:] = False
            row[self.n_stem + node] = True
        return seen

    def score(self, branch: _Branch, logprobs: torch.Tensor) -> dict:
        """Sum over the branch's tokens; ``logprobs`` are the rows asked for in ``model_inputs``."""
        rows = [self._stem_rows[branch.boundary - 1]]
        for depth in range(1, len(branch.tokens)):
            rows.append(len(self._stem_rows) + self._nodes[(branch.boundary, *branch.tokens[:depth])])
        values = logprobs[rows, branch.tokens].tolist()
        first = {"first_token": branch.tokens[0], "first_token_logprob": values[0]}
        return {**first, "logprob": sum(values)}
