"""The limits of a server, and how a request that exceeds one is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from hubtune.text import format_bytes


@dataclass(frozen=True)
class ServeLimits:
    """What a server accepts.

    Attributes:
        body_bytes: largest body of a request.
        buffered_bytes: bytes of all bodies that are received or wait, together.
        deadline_seconds: from the first byte of a request to its last one; also how long a connection may say
            nothing.
        waiting_images: images that are received completely and wait for their answer.
        connections: open connections.
        header_bytes: of a request's address and headers.
        images_per_request: images in one request.
    """

    body_bytes: int = 20 * 2**20
    buffered_bytes: int = 256 * 2**20
    deadline_seconds: float = 30.0
    waiting_images: int = 64
    connections: int = 2048
    header_bytes: int = 32 * 2**10
    images_per_request: int = 32


class RequestError(Exception):
    """A request that is refused.

    Attributes:
        status: the status of HTTP.
        code: a short name for programs, which does not change.
        message: a sentence for people.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})

    def reply(self, **more: Any) -> Response:
        """Return the answer ``{"code", "message"}``, with further keys."""
        document = {"code": self.code, "message": self.message, **more}
        return json_reply(document, self.status, self.headers)


def json_reply(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer in JSON.

    Not starlette's, which fails on class names that are not valid UTF-8.
    """
    content = json.dumps(document, separators=(",", ":"))
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def busy_error(
    message: str = "The server has as many images as it takes at once: try again", seconds: int = 1
) -> RequestError:
    return RequestError(503, "busy", message, {"Retry-After": str(seconds)})


class BodyReader:
    """Reads the bodies of requests, none too large, and not too much of all of them together."""

    def __init__(self, limits: ServeLimits) -> None:
        self._limits = limits
        self.buffered = 0
        """Bytes in memory now, of bodies that are being read or were not released."""

    async def read(self, request: Request) -> bytes:
        """Return the body; :meth:`release` its length when it is not needed any more.

        Raises:
            RequestError: it is too large or packed, or the bodies of all requests are too large together.
            ClientDisconnect: the client is gone, or was too slow.
        """
        self._check_headers(request)
        # Grown in place: a list of chunks would leave the heap in pieces, which stay in the process.
        body, size = bytearray(), 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self.buffered += len(chunk)
                if size > self._limits.body_bytes:
                    raise self._too_large()
                if self.buffered > self._limits.buffered_bytes:
                    raise busy_error("The server is receiving as much as it takes at once: try again")
                body += chunk
        except (RequestError, ClientDisconnect):
            self.release(size)
            body.clear()  # now: the exception keeps it alive for a while
            raise
        return bytes(body)

    def release(self, size: int) -> None:
        """Release the bytes of a body."""
        self.buffered -= size

    def _check_headers(self, request: Request) -> None:
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise RequestError(
                415, "packed_body", f"The body is packed ({coding[:20]!a}): send it without Content-Encoding"
            )
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            raise RequestError(
                415,
                "form_body",
                "The body is a form: send the bytes of the image themselves, as with "
                "curl --data-binary @photo.jpg",
            )
        length = request.headers.get("content-length", "")
        if length and "transfer-encoding" in request.headers:
            # A proxy in between may take the other one for the end (RFC 9112, 6.3).
            raise RequestError(
                400,
                "two_lengths",
                "The request has both Content-Length and Transfer-Encoding",
                {"Connection": "close"},
            )
        if length.isdecimal() and int(length) > self._limits.body_bytes:
            raise self._too_large()

    def _too_large(self) -> RequestError:
        most = format_bytes(self._limits.body_bytes)
        return RequestError(413, "body_too_large", f"The body is larger than {most}: send a smaller image")


def check_header_size(scope: Scope, limits: ServeLimits) -> None:
    """Refuse long headers: the protocol limits only those that do not arrive at once."""
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > limits.header_bytes:
        most = format_bytes(limits.header_bytes)
        raise RequestError(400, "bad_request", f"The address and the headers are longer than {most}")


def read_flag(request: Request, name: str) -> bool:
    """Return a parameter that is 1 or 0; raises RequestError for another value."""
    value = request.query_params.get(name, "0").lower()
    if value not in ("0", "1", "false", "true"):
        raise RequestError(400, "bad_parameter", f"The parameter {name} is 1 or 0")
    return value in ("1", "true")


def check_parameters(request: Request, *known: str) -> None:
    """Refuse parameters that the path does not have: a typing mistake is not passed over."""
    if unknown := [name for name in request.query_params if name not in known]:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise RequestError(400, "bad_parameter", f"There is no parameter {unknown[0][:40]!a} here: {has}")
