"""HTTP connections that cannot be held open: an absolute deadline for each request."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hubtune.serve.limits import ServeLimits

_FULL_BODY = b'{"code":"busy","message":"Too many connections are open: try again"}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_FULL_BODY), _FULL_BODY)
)


class DeadlineProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit of time from a request's first byte to its last one.

    uvicorn limits neither that time nor the number of connections. Here a connection is closed if the whole
    request has not arrived in time, whether the client says nothing or sends a byte now and then; if it does
    not take its answer; and at once if there are too many connections. While an answer is computed, nothing
    is limited.
    """

    limits = ServeLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._is_waiting = False  # for the first byte of a request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.limits.connections:
            self.transport, self._refused = transport, True
            transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._is_waiting:
            self._is_waiting = False
            self._start_deadline()
        was_idle = self.conn.their_state is h11.IDLE
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not was_idle:
            self._wait_for_request()  # the rest of a request that was answered early has arrived
        elif self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED) and not self._has_answered():
            self._stop_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Of an early answer, the rest of the request is still read: its deadline stays.
        if self.conn.their_state is h11.IDLE:
            self._wait_for_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_deadline()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._has_answered():
            self._start_deadline()
        else:
            self._stop_deadline()

    def _has_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_request(self) -> None:
        self._is_waiting = True
        self._start_deadline()

    def _start_deadline(self) -> None:
        self._stop_deadline()
        self._deadline = self.loop.call_later(self.limits.deadline_seconds, self._close)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        self.transport.abort()


def protocol_with(limits: ServeLimits) -> type[DeadlineProtocol]:
    """Return the protocol with these limits."""
    return type("LimitedProtocol", (DeadlineProtocol,), {"limits": limits})
