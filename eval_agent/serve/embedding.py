"""Text embeddings: mean of the last hidden states, of length 1, as FastChat's worker computes them."""

import base64

import torch
import torch.nn.functional as F
from fastchat.constants import ErrorCode

from eval_agent.serve.engine import Engine, RequestError


def embed(engine: Engine, params: dict, truncate: bool) -> dict:
    """Answer a /worker_get_embeddings request: {"embedding": [[float, ...], ...], "token_num": int}.

    ``params``: "input" (a text or a list), "model", "encoding_format" ("base64": float32 bytes). A text that
    exceeds the context is cut with ``truncate``, else read in pieces that are averaged. Raises RequestError.
    """
    adapter = engine.adapter_of(params.get("model"))
    texts = params["input"]
    texts = [texts] if isinstance(texts, str) else texts
    ids = [engine.tokenizer(text).input_ids for text in texts]
    if not ids or not all(ids):
        raise RequestError(ErrorCode.VALIDATION_TYPE_ERROR, "input must be texts, none of them empty")
    for text in ids:
        engine.check_known(text)
    limit = engine.context_length
    longest = limit if truncate else max(map(len, ids))
    with torch.inference_mode():
        sums = sum(
            _sum_states(engine, adapter, [text[start : start + limit] for text in ids])
            for start in range(0, longest, limit)
        )
        vectors = F.normalize(sums, dim=1).cpu()
    if params.get("encoding_format") == "base64":
        embedding = [base64.b64encode(vector.numpy().tobytes()).decode() for vector in vectors]
    else:
        embedding = vectors.tolist()
    return {"embedding": embedding, "token_num": sum(min(len(text), longest) for text in ids)}


def _sum_states(engine, adapter, pieces: list[list[int]]) -> torch.Tensor:
    """Sum of each piece's last hidden states over its tokens, float32 [pieces, hidden]."""
    width = max(map(len, pieces))
    pad = engine.tokenizer.pad_token_id
    # padded on the right, a causal model's real tokens never see the padding
    batch = torch.tensor([piece + [pad] * (width - len(piece)) for piece in pieces], device=engine.device)
    states = engine.forward(adapter, body_only=True, input_ids=batch, use_cache=False).last_hidden_state
    return (states.float() * (batch != pad).unsqueeze(-1)).sum(1)
