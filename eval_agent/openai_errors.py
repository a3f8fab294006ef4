"""What the errors of an OpenAI-compatible endpoint (FastChat's, vLLM's) mean for who asked."""

import re

from openai import APIConnectionError, APIStatusError, OpenAIError

# the words of OpenAI, FastChat and vLLM
_CONTEXT = re.compile(r"maximum context length is (\d+)")
_PROMPT_TOKENS = re.compile(r"(\d+) in the messages|(\d+) in the prompt|resulted in (\d+) tokens|(\d+) input tokens")


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later: timeouts, dropped connections, 408, 429 and 5xx."""
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError) and not _never_connected(error)


def reason(error: OpenAIError) -> str:
    """The error in one line, down to what the connection met."""
    if isinstance(error, APIConnectionError):
        while error.__cause__ is not None:  # the outer ones only say "Connection error."
            error = error.__cause__
    return f"{type(error).__name__} ({error})"


def full_context(error: OpenAIError) -> tuple[int, int | None] | None:
    """(context length, the prompt's tokens if told) where the prompt was too long, else None."""
    context, used = _CONTEXT.search(str(error)), _PROMPT_TOKENS.search(str(error))
    if not context:
        return None
    return int(context[1]), int(used[used.lastindex]) if used else None


def _never_connected(error: BaseException) -> bool:
    """Whether nothing listens there. Which HTTP library reports it depends on the client's version."""
    while error is not None:
        if type(error).__name__ == "ConnectError":
            return True
        error = error.__cause__
    return False
