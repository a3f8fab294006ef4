"""One way to ask a server over HTTP, and one sentence for each way in which that fails.

Loopback is asked directly: importing this module adds it to NO_PROXY, which every library here and every child
process reads. A proxy cannot reach this machine's own servers, and all that they would seem is down.
"""

import json
import os
import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, ValidationError
from requests.utils import get_environ_proxies, select_proxy

from eval_agent.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
_SECONDS = 5
_SHOWN = 120  # characters of an answer that is not the one expected


def ask_loopback_directly() -> None:
    """Add loopback to NO_PROXY, in both spellings: some libraries read only one."""
    known = [os.environ[name] for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)]
    hosts = [host.strip() for host in ",".join(known).split(",") if host.strip()]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


ask_loopback_directly()


class ConnectionFault(Exception):
    """A request without the answer that was asked for: the message begins with its address and says what was met.

    ``refused``: nothing listens there. ``unreachable``: it was never answered, though not for being slow. ``answered``:
    some server did, with ``status`` where HTTP calls that a failure.
    """

    def __init__(
        self, text: str, refused: bool = False, unreachable: bool = False, answered: bool = False,
        status: int | None = None,
    ):
        super().__init__(text)
        self.refused, self.unreachable, self.answered, self.status = refused, unreachable, answered, status


class Reply(BaseModel):
    """The fields of an answer that are read; others may stand beside them."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


AnyReply = TypeVar("AnyReply", bound=Reply)


def ask(url: str, body: dict, reply: type[AnyReply], seconds: float | tuple = _SECONDS) -> AnyReply:
    """The server's answer to a POST of ``body`` as JSON. Raises ConnectionFault where it is none of this kind."""
    return parse(send(url, body, seconds), reply)


def look_up(url: str, reply: type[AnyReply]) -> AnyReply:
    """The server's answer to a GET. Raises ConnectionFault where it is none of this kind."""
    return parse(send(url, None), reply)


def send(url: str, body: dict | None, seconds: float | tuple = _SECONDS, session=requests) -> requests.Response:
    """POST ``body`` as JSON, GET where it is None. Raises ConnectionFault where nothing, or a failure of HTTP, comes back."""
    try:
        response = session.request("GET" if body is None else "POST", url, json=body, timeout=seconds)
    except (requests.RequestException, OSError, ValueError) as error:  # the others are of addresses and proxies
        raise _fault(error, url) from error
    if response.ok:
        return response
    through = proxy_of(url)
    said = f" (asked through {through}; NO_PROXY={urlsplit(url).hostname} goes past it)" if through else ""
    text = f"{url}: HTTP {response.status_code} {response.reason}: {_shown(response)}{said}"
    raise ConnectionFault(text, answered=True, status=response.status_code)


def parse(response: requests.Response, reply: type[AnyReply]) -> AnyReply:
    """An answer as ``reply``. Raises ConnectionFault where it has not these fields: some other server answers there."""
    try:
        return reply.model_validate(response.json())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        expected = f'field "{field}": {first["msg"]}'
    except ValueError:
        expected = "no JSON"
    text = f"{response.url}: not the answer expected ({expected}): {_shown(response)}"
    raise ConnectionFault(text, answered=True)


def reason(error: BaseException, url: str) -> str:
    """What an HTTP library's ``error`` met on the way to ``url``, from the exception that started it."""
    chain = list(_causes(error))
    names = {type(cause).__name__ for cause in chain}
    host, through = urlsplit(url).hostname, proxy_of(url)
    first = _one_line(chain[-1])
    if "ProxyError" in names or through:
        way = f"put {host} into NO_PROXY to go past it" if host else "see HTTP_PROXY and NO_PROXY"
        return f"the proxy {through or 'in between'} does not let it through ({first}); {way}"
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return f"no TLS connection ({first}): is it https, with a certificate that is trusted here?"
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return f'the name "{host}" does not resolve'
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        return "Connection refused: nothing listens there"
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in chain):
        return "no answer in time"
    if any(isinstance(cause, ConnectionError) for cause in chain) or names & {"RemoteProtocolError"}:
        return f"the connection was dropped ({first})"
    return f"{type(chain[-1]).__name__} ({first})"


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for ``url``."""
    return select_proxy(url, get_environ_proxies(url))


def checked_address(text: str, source: str, example: str = "http://localhost:21001") -> str:
    """``text`` without a slash at its end. Raises InputError, naming ``source``, where it is no http(s) address."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        sound = False
    if not sound or any(mark.isspace() for mark in text):
        raise InputError(f"{source} is {json.dumps(text)}, expected an address such as {example}")
    return text.rstrip("/")


def is_loopback(address: str) -> bool:
    """Whether an http address is this machine's own."""
    host = urlsplit(address).hostname or ""
    return host in LOOPBACK or host.startswith("127.")


def _fault(error: Exception, url: str) -> ConnectionFault:
    text = reason(error, url)
    refused = text.startswith("Connection refused")
    unreachable = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.Timeout)
    return ConnectionFault(f"{url}: {text}", refused=refused, unreachable=unreachable)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that led to ``error``, itself first; requests and urllib3 keep some as arguments."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        held = [getattr(error, "reason", None), *error.args[:2]]
        inner = next((thing for thing in held if isinstance(thing, BaseException)), None)
        error = inner or error.__cause__ or error.__context__


def _shown(response: requests.Response) -> str:
    text = " ".join(response.text.split())
    return repr(text[:_SHOWN]) if text else "an empty answer"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_SHOWN] or type(error).__name__
