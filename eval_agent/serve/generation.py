"""Text generation with FastChat's request fields, over the prefix cache, several tokens a pass (prompt lookup).

Differs from FastChat's own generate_stream on purpose: the prompt is never truncated, and text comes out as
the tokens spell it (no clean-up of spaces), so that appended to the prompt it is found in the cache again.

Answers repeat much of what stands before them (names of places, the last state knowledge). What once followed
the newest tokens is read together with them; the model's own choice at each of these places then shows how far
that was right. The text is the one that token by token decoding gives.
"""

from collections.abc import Iterator
from itertools import zip_longest

import torch
from fastchat.constants import ErrorCode
from fastchat.serve.inference import generate_stream as stock_generate_stream
from fastchat.serve.inference import prepare_logits_processor
from fastchat.utils import is_partial_stop

from eval_agent.serve.engine import Engine, RequestError


def generate_stream(engine: Engine, params: dict, stream_interval: int, seed: int | None) -> Iterator[dict]:
    """Answer a /worker_generate(_stream) request: dicts with text, usage and finish_reason, as FastChat's.

    ``usage["prefilled_tokens"]`` counts the prompt's tokens that were not in the prefix cache,
    ``usage["passes"]`` the calls of the model. Requests for ``echo`` or ``logprobs`` go to FastChat's own
    function. Raises RequestError.
    """
    adapter = engine.adapter_of(params.get("model"))
    ids = engine.encode_prompt(params["prompt"])
    if params.get("echo", True) or params.get("logprobs") is not None:
        # FastChat cuts the prompt to leave room for all of max_new_tokens and one more
        room = len(ids) + int(params.get("max_new_tokens", 256)) + 1
        engine.check_fits(room, "the prompt and max_new_tokens")
        stream = stock_generate_stream(
            engine.lm, engine.tokenizer, params, engine.device, engine.context_length, stream_interval
        )
        yield from engine.stock_stream(adapter, stream)
    else:
        with engine.request():
            yield from _generate(engine, adapter, ids, params, stream_interval, seed)


def _generate(engine, adapter, ids, params, stream_interval, seed):
    stops = _stop_strings(params)
    added = engine.tokenizer.get_added_vocab()  # special tokens leave no text that a stop string is found in
    stop_ids = {engine.tokenizer.eos_token_id, *(params.get("stop_token_ids") or ())}
    stop_ids |= {added[stop] for stop in stops if stop in added}
    limit = min(int(params.get("max_new_tokens", 256)), engine.context_length - len(ids))
    sampler = Sampler(params, engine.device, seed)
    text = TextStream(engine.tokenizer, ids)

    prefix = engine.take_prefix(adapter, ids[:-1])
    prefix.prompt_length = len(ids)
    usage = {"prompt_tokens": len(ids), "prefilled_tokens": len(ids) - len(prefix.ids), "passes": 0}
    finish_reason, n_new = "length", 0
    try:
        for token in _tokens(engine, prefix, ids, limit, sampler, usage):
            if token in stop_ids:
                finish_reason = "stop"
                break
            n_new += 1
            if text.push(token, stops):
                finish_reason = "stop"
                break
            if (n_new - 1) % stream_interval == 0 and not any(is_partial_stop(text.text, s) for s in stops):
                yield _output(text.text, usage, n_new, None)
    except GeneratorExit:  # the client went away; what was read is still good
        _keep(engine, prefix, len(ids) + n_new)
        raise
    _keep(engine, prefix, len(ids) + n_new)
    yield _output(text.finish(stops), usage, n_new, finish_reason)


def _keep(engine, prefix, length):
    prefix.crop(length)  # a pass may have read on behind the end
    engine.keep_prefix(prefix)


def _tokens(engine, prefix, prompt_ids, limit, sampler, usage) -> Iterator[int]:
    """The chosen tokens, at most ``limit``; ``prefix`` then holds all of them that were read."""
    ids = list(prompt_ids)
    lookup = PromptLookup(ids)
    end = len(ids) + limit
    while (known := len(ids)) < end:
        new, guess = ids[len(prefix.ids):], lookup.guess(end - known - 1)
        logits = engine.extend(prefix, new + guess, list(range(len(new) - 1, len(new) + len(guess))))
        usage["passes"] += 1
        for row, guessed in zip_longest(logits.split(1), guess):
            ids.append(sampler.choose(row, ids))
            if ids[-1] != guessed:
                break
        prefix.crop(len(ids) - 1)  # a wrong guess and what stands behind it
        yield from ids[known:]


def _output(text, usage, n_new, finish_reason):
    usage = {**usage, "completion_tokens": n_new, "total_tokens": usage["prompt_tokens"] + n_new}
    return {"text": text, "usage": usage, "finish_reason": finish_reason}


def _stop_strings(params):
    stop = params.get("stop") or []
    stops = [stop] if isinstance(stop, str) else list(stop)
    if not all(isinstance(s, str) and s for s in stops):
        raise RequestError(ErrorCode.VALIDATION_TYPE_ERROR, "stop must be a string or a list of strings")
    return stops


class Sampler:
    """Chooses the next token: greedy at temperature 0, else by FastChat's chain of logits processors."""

    def __init__(self, params: dict, device: torch.device, seed: int | None):
        temperature = float(params.get("temperature", 1.0))
        top_p = float(params.get("top_p", 1.0))
        self.penalised = float(params.get("repetition_penalty", 1.0)) > 1.0
        self.greedy = temperature < 1e-5 or top_p < 1e-8
        self.processor = prepare_logits_processor(
            temperature, float(params.get("repetition_penalty", 1.0)), top_p, int(params.get("top_k", -1))
        )
        if not self.greedy:
            # of its own: concurrent requests must not disturb each other's draws
            self.random = torch.Generator(device)
            self.random.manual_seed(seed) if seed is not None else self.random.seed()

    @torch.inference_mode()
    def choose(self, logits: torch.Tensor, ids: list[int]) -> int:
        """The next token for logits [1, vocabulary] after ``ids``."""
        if self.processor:
            seen = torch.tensor([ids], device=logits.device) if self.penalised else None
            logits = self.processor(seen, logits)
        if self.greedy:
            return int(logits.argmax())
        return int(torch.multinomial(logits.float().softmax(-1), 1, generator=self.random))


class TextStream:
    """Text of the new tokens, decoded a few tokens at a time; special tokens are left out.

    A window that starts before the new tokens is decoded twice, without and with them: what the second text
    has more is theirs, with the space that some tokenizers drop at the beginning of a text.
    """

    def __init__(self, tokenizer, prompt_ids: list[int]):
        self.text = ""
        self._decode = lambda ids: tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        self._window = prompt_ids[-4:]  # read already
        self._pending: list[int] = []  # characters may spread over tokens

    def push(self, token: int, stops: list[str]) -> bool:
        """Add a token; True where a stop string is complete (the text then ends before it)."""
        self._pending.append(token)
        before, after = self._decode(self._window), self._decode(self._window + self._pending)
        if after.endswith("\N{REPLACEMENT CHARACTER}") and len(self._pending) < 8:
            return False
        return self._add(after[len(before):], stops)

    def finish(self, stops: list[str]) -> str:
        """The whole text, half characters included."""
        if self._pending:
            before, after = self._decode(self._window), self._decode(self._window + self._pending)
            self._add(after[len(before):], stops)
        return self.text

    def _add(self, new, stops):
        self._window, self._pending = self._pending, []
        searched = len(self.text)
        self.text += new
        places = [self.text.find(stop, max(0, searched - len(stop) + 1)) for stop in stops]
        found = [place for place in places if place >= 0]
        if found:
            self.text = self.text[: min(found)]
        return bool(found)


_MATCHED = 2  # newest tokens that must have stood together before
_GUESSED = 8  # tokens that one pass reads ahead; of 3, 5 and 8 the fastest (tiny model, CPU, 16 dialogues)


class PromptLookup:
    """Guesses at the tokens after ``ids``, a list that its owner lets grow."""

    def __init__(self, ids: list[int]):
        self._ids = ids
        self._follows: dict[tuple[int, ...], int] = {}  # where what followed these tokens last time begins
        self._indexed = _MATCHED

    def guess(self, most: int) -> list[int]:
        """Up to ``most`` tokens; none where the newest ones are new together."""
        for end in range(self._indexed, len(self._ids)):
            self._follows[tuple(self._ids[end - _MATCHED:end])] = end
        self._indexed = max(_MATCHED, len(self._ids))
        start = self._follows.get(tuple(self._ids[-_MATCHED:]))
        return [] if start is None else self._ids[start:start + min(most, _GUESSED)]
