"""One download over http: into a file that may be half there already, from a server that may fail in any way.

Beside the file ``X.part`` lies ``X.part.json``: what it is a part of.
"""

import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hubtune.log import logger
from hubtune.storage.atomic import html_page, write_atomically

TRIES = 3
PAUSE_SECONDS = 1.0  # before the second try; twice as long before the third
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0

Progress = Callable[[int, int | None], None]

_CHUNK = 2**18
_SECONDS_BETWEEN_LINES = 10.0


class Lost(Exception):
    """A try that failed for a reason of the network or the server.

    Attributes:
        final: whether trying the same address again is pointless.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def is_offline() -> bool:
    return os.environ.get("HUBTUNE_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def is_web_address(url: str) -> bool:
    """Whether a text is an http or https address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", url)


def unlikely(start: bytes) -> str | None:
    """Return in words what a file with this start is, where it cannot be weights."""
    return html_page(start) if start else "empty"


def beside(path: Path, ending: str) -> Path:
    """Return the path with an ending more."""
    return path.with_name(path.name + ending)


@dataclass(frozen=True)
class _Origin:
    """What a partial download is a part of, kept beside it."""

    source: str
    size: int | None
    validator: str | None  # a strong ETag or a date, which the server changes with the file


def _origin_of(part: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads(beside(part, ".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def receive(source: str, part: Path, progress: Progress | None, *, checked: bool) -> None:
    """Make a partial file whole, going on where an earlier try stopped.

    Args:
        source: the address.
        part: the file.
        progress: called with the bytes that are there and the total, ``None`` while that is unknown.
        checked: whether the whole will be held against a sum; if not, nothing is joined that is not surely of
            the same file.

    Raises:
        Lost: it is not whole.
        OSError: it cannot be written.
    """
    origin = _origin_of(part)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(source, headers={"User-Agent": "hubtune"})
    if have and origin is not None and (checked or (origin.source == source and origin.validator)):
        request.add_header("Range", f"bytes={have}-")
        if origin.source == source and origin.validator:
            request.add_header("If-Range", origin.validator)
    else:
        have = 0
    with _answer(request, part) as answer:
        new = _Origin(source, _size(answer, have), _validator(answer))
        resumed = answer.status == 206
        if resumed and not (origin and _continues(answer, origin, new, have)):
            part.unlink(missing_ok=True)
            raise Lost("the server sent another part than asked for")
        if not resumed:
            have = 0
        chunk = _read(answer)
        # Before the first byte is written: an error page must not take the place of half a download.
        other = None if resumed else unlikely(chunk)
        if other:
            raise Lost(f"the answer is {other}")
        if new.size is None and not checked and not answer.chunked:
            raise Lost("the server does not tell the file's length, so it cannot be checked", final=True)
        if not resumed:
            part.unlink(missing_ok=True)
            write_atomically(beside(part, ".json"), json.dumps(asdict(new)))
        told = time.monotonic()
        with part.open("ab") as file:
            while chunk:
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, new.size)
                elif time.monotonic() - told > _SECONDS_BETWEEN_LINES:
                    told = time.monotonic()
                    size = f" of {new.size / 1e6:,.0f}" if new.size else ""
                    logger.info("%s: %s%s MB", part.stem, f"{have / 1e6:,.0f}", size)
                chunk = _read(answer)
            file.flush()
            os.fsync(file.fileno())
    if new.size is not None and have != new.size:
        raise Lost(f"the connection ended after {have:,} of {new.size:,} bytes")


def _continues(answer: http.client.HTTPResponse, origin: _Origin, new: _Origin, have: int) -> bool:
    """Whether a partial answer starts where the download stopped, and is of the same file."""
    start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    same = origin.validator == new.validator or origin.source != new.source
    return start is not None and int(start[1]) == have and origin.size == new.size and same


def _size(answer: http.client.HTTPResponse, have: int) -> int | None:
    """Return the length of the whole file, where the server tells it."""
    if answer.status == 206:
        total = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
        return int(total[1]) if total else None
    return answer.length


def _validator(answer: http.client.HTTPResponse) -> str | None:
    tag = answer.headers.get("ETag")
    # A weak one stays the same although bytes change.
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _answer(request: urllib.request.Request, part: Path) -> http.client.HTTPResponse:
    try:
        return _opener().open(request, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is longer than the file: it is of another one
            part.unlink(missing_ok=True)
        final = 400 <= error.code < 500 and error.code not in (408, 416, 425, 429)
        raise Lost(f"the server answers {error.code} {error.reason}", final=final) from error
    except urllib.error.URLError as error:
        raise Lost(words(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Lost(words(error)) from error


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Lost(words(error)) from error


def words(error: object) -> str:
    """Return what went wrong without the numbers and names of the system's own messages."""
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class _Connection(http.client.HTTPConnection):
    """Waits for a connection as told, and then for each answer longer."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _SecureConnection(http.client.HTTPSConnection):
    """The same with encryption."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req, context=ssl.create_default_context())


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens web addresses, through the proxy of the environment, and no other kind of address."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(),
        _Https(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
