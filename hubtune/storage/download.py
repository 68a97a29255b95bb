"""One download over HTTP, which resumes a partial file and expects servers to fail in any way.

Beside the partial file ``X.part`` lies ``X.part.json``, which records what it is a part of.
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
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from hubtune.log import logger
from hubtune.storage.atomic import with_ending, write_atomically
from hubtune.storage.signature import html_page

TRIES = 3
PAUSE_SECONDS = 1.0  # before the second try; twice as long before the third
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the total, which is ``None`` while it is unknown."""

_CHUNK = 2**18
_SECONDS_BETWEEN_LINES = 10.0


class DownloadError(Exception):
    """A try that failed because of the network or the server; ``final``: another try is pointless."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def is_offline() -> bool:
    """Return whether ``HUBTUNE_OFFLINE`` forbids downloads."""
    return os.environ.get("HUBTUNE_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", url)


def error_reason(error: object) -> str:
    """Return the reason of a network error, without the numbers and names in the system's own messages."""
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def unexpected_content(start: bytes) -> str | None:
    """Return what a file with this start is, if it cannot be the requested file: empty, or an error page."""
    return html_page(start) if start else "empty"


class _Origin(NamedTuple):
    """The file that a partial download belongs to."""

    source: str
    size: int | None
    validator: str | None  # a strong ETag or a date, which the server changes with the file


def _read_origin(part: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads(with_ending(part, ".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def download(source: str, part: Path, progress: Progress | None, *, checked: bool) -> None:
    """Download a file, and resume where an earlier try stopped.

    Without ``progress``, which is called after each chunk, a line is logged every ten seconds. ``checked``
    says whether the caller verifies the complete file by a checksum. If not, the partial file ``part`` is
    only resumed when the server confirms that it is the same file.

    Raises:
        DownloadError: the file is not complete.
        OSError: the file cannot be written.
    """
    origin = _read_origin(part)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(source, headers={"User-Agent": "hubtune"})
    if have and origin is not None and (checked or (origin.source == source and origin.validator)):
        request.add_header("Range", f"bytes={have}-")
        if origin.source == source and origin.validator:
            request.add_header("If-Range", origin.validator)
    else:
        have = 0
    with _open_url(request, part) as answer:
        new = _Origin(source, _total_size(answer), _validator(answer))
        resumed = answer.status == 206
        if resumed and not (origin and _continues(answer, origin, new, have)):
            part.unlink(missing_ok=True)
            raise DownloadError("the server sent another part than requested")
        if not resumed:
            have = 0
        chunk = _read_chunk(answer)
        # Before the first byte is written: an error page must not replace half a download.
        if not resumed and (other := unexpected_content(chunk)):
            raise DownloadError(f"the answer is {other}")
        if new.size is None and not checked and not answer.chunked:
            reason = "the server does not tell the file's length, so it cannot be checked"
            raise DownloadError(reason, final=True)
        if not resumed:
            part.unlink(missing_ok=True)
            write_atomically(with_ending(part, ".json"), json.dumps(new._asdict()))
        last_line = time.monotonic()
        with part.open("ab") as file:
            while chunk:
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, new.size)
                elif time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                    last_line = time.monotonic()
                    size = f" of {new.size / 1e6:,.0f}" if new.size else ""
                    logger.info("%s: %s%s MB", part.stem, f"{have / 1e6:,.0f}", size)
                chunk = _read_chunk(answer)
            file.flush()
            os.fsync(file.fileno())
    if new.size is not None and have != new.size:
        raise DownloadError(f"the connection ended after {have:,} of {new.size:,} bytes")


def _continues(answer: http.client.HTTPResponse, origin: _Origin, new: _Origin, have: int) -> bool:
    """Return whether a partial answer starts where the download stopped, and belongs to the same file."""
    start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    same = origin.validator == new.validator or origin.source != new.source
    return start is not None and int(start[1]) == have and origin.size == new.size and same


def _total_size(answer: http.client.HTTPResponse) -> int | None:
    """Return the length of the whole file; ``None`` if the server does not tell it."""
    if answer.status == 206:
        total = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
        return int(total[1]) if total else None
    return answer.length


def _validator(answer: http.client.HTTPResponse) -> str | None:
    tag = answer.headers.get("ETag")
    # A weak tag may stay the same when bytes change.
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _open_url(request: urllib.request.Request, part: Path) -> http.client.HTTPResponse:
    try:
        return _opener().open(request, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is longer than the file, so it belongs to another one
            part.unlink(missing_ok=True)
        final = 400 <= error.code < 500 and error.code not in (408, 416, 425, 429)
        raise DownloadError(f"the server answers {error.code} {error.reason}", final=final) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(error_reason(getattr(error, "reason", error))) from error


def _read_chunk(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(error_reason(error)) from error


class _Connection(http.client.HTTPConnection):
    """Applies ``READ_SECONDS`` once connected; until then, the shorter limit of the request."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _SecureConnection(http.client.HTTPSConnection):
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
    """Return an opener for web addresses only, which uses the proxy of the environment."""
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
