"""Conversations side by side in one row without padding, each attending to itself only.

Everything in a decoder but attention works token by token, so a row may hold any number of conversations;
in attention each is a call of its own over its own tokens, causal, which is exact and lets PyTorch take its
fused kernels (FlashAttention's variable-length kernel where that package is installed). The vocabulary's
logits, the largest tensor of a training step, are made for tokens that carry loss only. Two conversations
of 4 and 3 tokens, of which 2, 3 and 6 are learnt::

    input_ids      [[ a  b  c  d  E  F  G ]]        mask    a b c d E F G
    position_ids   [[ 0  1  2  3  0  1  2 ]]        a       1
    lengths         [ 4,          3        ]        b       1 1
    labels before     .  .  c  d  .  .  G           c       1 1 1
    logits_to_keep  [ 1, 2, 5 ]                     d       1 1 1 1
    labels          [ c, d, G ]                     E               1
                                                    F               1 1
                                                    G               1 1 1
"""

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PretrainedConfig
from transformers.utils import is_flash_attn_2_available

from eval_agent.errors import InputError
from train.encoding import IGNORE

PACKED = "packed"  # the attention implementation's name in transformers
FLASH = "flash_attention_2"


def attention_for(config: PretrainedConfig, cutoff_len: int, half_precision: bool) -> str:
    """The attention implementation to load the model with: FLASH where it runs, PACKED elsewhere.

    Raises InputError for models whose attention is not plain causal attention over ``cutoff_len`` tokens.
    """
    config = config.get_text_config()
    if getattr(config, "attn_logit_softcapping", None):
        raise InputError(
            f"{config.model_type} caps its attention logits, which packed training does not offer"
        )
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True) and window < cutoff_len:
        raise InputError(f"the model attends to {window} tokens only: --cutoff_len {cutoff_len} is too long")
    flash = half_precision and torch.cuda.is_available() and is_flash_attn_2_available()
    return FLASH if flash else PACKED


def pack(examples: list[dict]) -> dict:
    """One row of T tokens: ``input_ids`` and ``position_ids`` [1, T], ``lengths`` of the conversations.

    ``logits_to_keep`` [n] are the places whose next token carries loss, ``labels`` [n] those tokens, and
    ``where`` names the records. No conversation's first token is ever predicted.
    """
    places, labels, start = [], [], 0
    for example in examples:
        following = np.flatnonzero(example["labels"][1:] != IGNORE)
        places.append(start + following)
        labels.append(example["labels"][1:][following])
        start += len(example["input_ids"])

    def tensor(arrays) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(np.int64))

    lengths = [len(example["input_ids"]) for example in examples]
    return {
        "input_ids": tensor([example["input_ids"] for example in examples])[None],
        "position_ids": tensor([np.arange(length) for length in lengths])[None],
        "logits_to_keep": tensor(places),
        "labels": tensor(labels),
        "lengths": lengths,
        "where": [example["where"] for example in examples],
    }


def attention_arguments(lengths: list[int], attention: str, device: torch.device) -> dict:
    """What tells the model's attention where each conversation of the row begins and ends."""
    if attention != FLASH:
        return {"lengths": lengths}
    edges = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32, device=device)
    longest = max(lengths)
    return {
        "cu_seq_lens_q": edges,
        "cu_seq_lens_k": edges,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _attend(module, query, key, value, attention_mask, scaling=None, dropout=0.0, lengths=None, **kwargs):
    """Causal attention, [1, heads, T, d] -> [1, T, heads, d], within each of ``lengths`` (one by default)."""
    lengths = lengths or [query.shape[2]]
    grouped = query.shape[1] != key.shape[1]
    parts = [
        F.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        for q, k, v in zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2))
    ]
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, _attend)
