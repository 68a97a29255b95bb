"""Runs the server: the port, the loop, and the end by a signal."""

import asyncio
import ctypes
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from hubtune.errors import MachineError, UsageError
from hubtune.runs.signals import STOP_SIGNALS
from hubtune.serve.app import ServeApp
from hubtune.serve.limits import ServeLimits
from hubtune.serve.protocol import protocol_with

# Signals are sent again after it by programs that wait 10 s, such as docker stop.
_DRAIN_SECONDS = 8
_BACKLOG = 2048
# Connections that are accepted in a row: between such groups, whatever else waits has its turn.
_ACCEPTED_TOGETHER = 32
# Of malloc.h. A heap for each thread would keep its own free blocks.
_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES = -3, 2**20
_M_ARENA_MAX, _HEAPS = -8, 2
# Files that are open beside connections: models, programs, the log.
_OTHER_FILES = 128


def bind_port(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, and does not listen yet: until then connections are refused.

    Raises:
        UsageError: this machine has no such address.
        MachineError: the port is in use, or needs rights.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # localhost is both 127.0.0.1, which is printed and expected, and ::1.
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    except OSError as error:
        raise UsageError(f"There is no host {host!r}: name an address of this machine") from error
    bound = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # where it would let two programs have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise MachineError(
            f"Port {port} of {host} cannot be used ({error.strerror}): name another by --port"
        ) from error
    return bound


def run_server(
    app: ServeApp, bound: socket.socket, limits: ServeLimits, on_open: Callable[[], None] = lambda: None
) -> None:
    """Answer until a signal comes; then answer what has been received, and return within 10 seconds.

    Args:
        app: the application.
        bound: a socket of :func:`bind_port`.
        limits: of connections and time.
        on_open: called when the port is open.

    Raises:
        MachineError: another program has taken the port meanwhile.
    """
    allow_connections(limits.connections)
    return_large_blocks()
    try:
        asyncio.run(make_server(app, limits, on_open).serve(sockets=[bound]))
    except OSError as error:
        raise MachineError(
            f"The port cannot be opened ({error.strerror or error}): name another by --port"
        ) from error


def make_server(
    app: ServeApp, limits: ServeLimits, on_open: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """Return uvicorn's server with the limits; ``should_exit`` ends it."""
    config = uvicorn.Config(
        app,
        http=protocol_with(limits),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_ACCEPTED_TOGETHER,
        h11_max_incomplete_event_size=limits.header_bytes,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        callback_notify=_keep_signals,
        timeout_notify=1,
    )
    return _Server(config, on_open)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when its port is open."""

    def __init__(self, config: uvicorn.Config, on_open: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_open = on_open

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for bound in sockets or ():
            bound.listen(_BACKLOG)  # again: asyncio accepts as many in a row as it was told to let wait
        self._on_open()


async def _keep_signals() -> None:
    """Install the handlers of signals again: Paddle takes them when it is imported, also in a thread."""
    if "paddle" in sys.modules:
        for number in STOP_SIGNALS:
            handler = signal.getsignal(number)
            with suppress(ValueError):  # not in the main thread, as in tests
                if callable(handler):
                    signal.signal(number, handler)


def return_large_blocks() -> None:
    """Let glibc give large blocks back to the system as soon as they are free.

    By default each freed block of up to 32 MiB raises the size from which it does so (``mallopt(3)``), and
    smaller blocks stay in the process, between others: 10,000 damaged photos left 150 MB.
    """
    with suppress(AttributeError, OSError, TypeError):  # with another library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        mallopt(_M_ARENA_MAX, _HEAPS)


def allow_connections(count: int) -> None:
    """Raise this process's limit of open files, as far as the system allows, for this many connections."""
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
