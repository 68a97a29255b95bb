"""Who may ask a server: its host names, the pages of others, and the token."""

import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from hubtune.errors import UsageError
from hubtune.serve.limits import RequestError

TOKEN_CHARACTERS = 16
"""Shortest token that is accepted."""

_FAILURES, _WINDOW_SECONDS, _MOST_ADDRESSES = 10, 60.0, 4096
# For these no token is needed: the page asks for one itself, and probes have none.
_OPEN_PATHS = ("/", "/app.js", "/app.css", "/icon.svg", "/healthz", "/readyz", "/openapi.json")
_OPEN_PREFIX = "/v2/health/"
# Of a URL's other parts: what is before an @, or after a slash, is no host's name.
_NO_HOST = frozenset("@/?#\\")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer."""
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


def make_token() -> str:
    """Return a new token of 256 random bits."""
    return secrets.token_urlsafe(32)


def check_token(token: str) -> str:
    """Return a token that a person has chosen.

    Raises:
        UsageError: it is short, or has characters that a header cannot hold.
    """
    if len(token) < TOKEN_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"The token must have {TOKEN_CHARACTERS} characters or more, letters, digits and signs without "
            "spaces: leave it out to have one made"
        )
    return token


def is_local(host: str) -> bool:
    """Whether only programs on this machine can reach a server that is bound to a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class AllowedHosts:
    """The names under which a server may be asked.

    A page of another site can have its own name resolve to this machine, and read the answers (DNS
    rebinding). It cannot do so with an address in place of a name, so that all addresses are allowed.

    Attributes:
        names: host names; ``*.example.com`` is every name below it.
    """

    names: Sequence[str]

    def allows(self, host: str) -> bool:
        """Whether the header ``Host`` has an allowed name, or an address."""
        if not _NO_HOST.isdisjoint(host):
            return False
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return any(_matches(name, allowed.lower()) for allowed in ("localhost", *self.names))
        return True


def _matches(name: str, allowed: str) -> bool:
    return name.endswith(allowed[1:]) if allowed.startswith("*.") else name == allowed


class FailedAttempts:
    """Limits how often a client may name a wrong token: 10 times a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def seconds_to_wait(self, client: str) -> float:
        """Return how long a client must wait until its token is looked at again; 0 if it need not."""
        times = self._times.get(_network(client))
        if times is None or len(times) < _FAILURES:
            return 0.0
        return max(0.0, times[0] + _WINDOW_SECONDS - self._clock())

    def add(self, client: str) -> None:
        """Note a wrong token."""
        times = self._times.setdefault(_network(client), deque(maxlen=_FAILURES))
        times.append(self._clock())
        self._times.move_to_end(_network(client))
        if len(self._times) > _MOST_ADDRESSES:
            self._times.popitem(last=False)


def _network(client: str) -> str:
    """Return what one person has: an IPv4 address, or 2^64 addresses of IPv6."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


class AccessCheck:
    """Refuses requests that may not be answered, before their body is read."""

    def __init__(self, hosts: AllowedHosts, token: str | None) -> None:
        """Take the allowed hosts, and the token; ``None``: no token is needed."""
        self._hosts, self._token = hosts, token
        self._failures = FailedAttempts()

    def check(self, scope: Scope) -> None:
        """Raise a RequestError unless the request may be answered."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._hosts.allows(host):
            raise RequestError(
                400, "foreign_host", "This server has another name: start it with --allow-host NAME"
            )
        if scope["method"] not in ("GET", "HEAD"):
            _check_origin(headers, host)
        path = scope["path"]
        if self._token is not None and path not in _OPEN_PATHS and not path.startswith(_OPEN_PREFIX):
            self._check_token(headers, self._token, (scope.get("client") or ("",))[0])

    def _check_token(self, headers: Mapping[str, str], token: str, client: str) -> None:
        challenge = {"WWW-Authenticate": "Bearer"}
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise RequestError(
                401, "no_token", "A token is needed: send the header Authorization: Bearer TOKEN", challenge
            )
        if wait := self._failures.seconds_to_wait(client):
            seconds = str(int(wait) + 1)
            raise RequestError(
                429,
                "too_many_attempts",
                f"Too many wrong tokens: try again in {seconds} s",
                {"Retry-After": seconds},
            )
        # Compared in constant time: how long it takes says nothing about the first wrong character.
        if not hmac.compare_digest(given.strip().encode(), token.encode()):
            self._failures.add(client)
            raise RequestError(401, "wrong_token", "This is not the server's token", challenge)


def _check_origin(headers: Mapping[str, str], host: str) -> None:
    """Refuse what a page of another site sends: a browser names that site."""
    origin = headers.get("origin")
    try:
        same = origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        same = False
    if not same or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RequestError(403, "foreign_origin", "A page of another site has sent this request")


async def send_with_security_headers(send: Send, message: Message) -> None:
    """Send a part of an answer, with :data:`SECURITY_HEADERS` if it is the beginning."""
    if message["type"] == "http.response.start":
        message = {**message, "headers": [*message.get("headers", ()), *_RAW_HEADERS]}
    await send(message)


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with its refusal."""
    await error.reply()(scope, receive, send)
