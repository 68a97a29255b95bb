"""How the processes of a job find each other: rank 0 listens, the others connect.

Each of them opens two connections: one for control (heartbeats, log lines, signals, failures), one for data.
"""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import paddle

from hubtune.errors import MachineError, UsageError
from hubtune.log import logger
from hubtune.ranks import Rank
from hubtune.text import first_few, format_duration
from hubtune.train.distributed.message import Message

_GREETING = b"hubtune-ranks-1\n"
# A launcher's own server may have the port that it names: the first free one after it is taken.
_PORTS = 32
_ANSWER_SECONDS = 3.0  # for a connection and a greeting; another program may listen there
_FIRST_NOTICE, _NOTICE_INTERVAL = 15.0, 60.0
_CHANNELS = ("control", "data")


@dataclass
class Peer:
    """The other end of the connections to a rank.

    Attributes:
        number: its rank.
        name: rank, process and machine, for messages.
        host: address of its machine, as this process sees it.
        own_host: address of this machine, as the other process sees it.
    """

    number: int
    name: str
    host: str
    own_host: str
    control: Connection
    data: Connection
    _sockets: list[socket.socket] = field(default_factory=list)

    def disconnect(self) -> None:
        """End both connections; whoever waits for one, in any thread, gets an ``EOFError`` or ``OSError``."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@dataclass
class _Arrival:
    """A connection that has been authenticated, and what it said about its process."""

    hello: dict[str, Any]
    socket: socket.socket
    connection: Connection


def wait_for_peers(rank: Rank, max_wait: float, check: Callable[[], None]) -> list[Peer]:
    """As rank 0, wait until all others have connected; missing ones are named in the log.

    ``check`` is called in between, and may raise to stop. ``max_wait`` is in seconds.

    Raises:
        MachineError: if one of them does not come in time, or runs other versions.
    """
    arrivals: dict[tuple[int, str], _Arrival] = {}
    arrived = threading.Condition()

    def admit(accepted: socket.socket) -> None:
        # In a thread of its own: a stranger that says nothing must not keep the others waiting.
        with suppress(OSError, EOFError, AuthenticationError, ValueError):
            accepted.settimeout(_ANSWER_SECONDS)
            accepted.sendall(_GREETING)
            connection = _authenticate(accepted, rank, answers=False)
            hello = Message.decode(connection.recv_bytes(2**16)).document
            key = int(hello["rank"]), str(hello["channel"])
            with arrived:
                arrivals[key] = _Arrival(hello, accepted, connection)
                arrived.notify_all()

    expected = {(number, channel) for number in range(1, rank.size) for channel in _CHANNELS}
    with _listening(rank, admit):
        waiting = _Waiting(max_wait)
        with arrived:
            while missing := sorted({number for number, _ in expected - set(arrivals)}):
                arrived.wait(0.2)
                check()
                here = sorted({f"{each.hello['host']}" for each in arrivals.values()} | {_host_name()})
                names = first_few([str(number) for number in missing], 8)
                waiting.check(
                    f"rank {names} of {rank.size}; here: {rank.size - len(missing)} on {first_few(here, 8)}"
                )
    peers = []
    for number in range(1, rank.size):
        pair = [arrivals[number, channel] for channel in _CHANNELS]
        _check_hello(rank, number, pair[0].hello)
        sockets = [each.socket for each in pair]
        name = f"rank {number} of {rank.size} (process {pair[0].hello['pid']} on {pair[0].hello['host']})"
        hosts = sockets[0].getpeername()[0], sockets[0].getsockname()[0]
        control, data = (each.connection for each in pair)
        peers.append(Peer(number, name, *hosts, control, data, sockets))
    return peers


def connect_to_leader(rank: Rank, max_wait: float) -> Peer:
    """As another rank, connect to rank 0, and wait for it if it has not started yet.

    Raises:
        MachineError: if it does not come in time.
    """
    waiting = _Waiting(max_wait)
    pair = []
    for channel in _CHANNELS:
        while (found := _find_leader(rank, channel)) is None:
            waiting.check(f"rank 0 at {_place(rank)}")
            time.sleep(0.2)
        pair.append(found)
    sockets = [each for each, _ in pair]
    control, data = (connection for _, connection in pair)
    hosts = sockets[0].getpeername()[0], sockets[0].getsockname()[0]
    name = f"rank 0 of {rank.size} ({rank.address})"
    return Peer(0, name, *hosts, control, data, sockets)


@contextmanager
def _listening(rank: Rank, admit: Callable[[socket.socket], None]) -> Iterator[None]:
    listener = _listen(rank)
    ended = threading.Event()

    def accept() -> None:
        while not ended.is_set():
            with suppress(OSError):
                accepted, _ = listener.accept()
                threading.Thread(target=admit, args=(accepted,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _listen(rank: Rank) -> socket.socket:
    # On all addresses: its own name may stand for 127.0.0.1, which no other machine can reach.
    local = rank.local_size == rank.size and rank.address in ("127.0.0.1", "localhost")
    for port in range(rank.port, rank.port + _PORTS):
        try:
            return socket.create_server(("127.0.0.1" if local else "", port), backlog=2 * rank.size)
        except OSError:
            continue
    raise MachineError(
        f"None of the ports {rank.port} to {rank.port + _PORTS - 1} is free for rank 0: set another "
        "MASTER_PORT"
    )


def _find_leader(rank: Rank, channel: str) -> tuple[socket.socket, Connection] | None:
    for port in range(rank.port, rank.port + _PORTS):
        with suppress(OSError, EOFError, AuthenticationError):
            found = socket.create_connection((rank.address, port), timeout=_ANSWER_SECONDS)
            if _receive(found, len(_GREETING)) != _GREETING:
                found.close()
                continue
            connection = _authenticate(found, rank, answers=True)
            hello = {"rank": rank.number, "size": rank.size, "channel": channel, **_describe_process()}
            connection.send_bytes(Message(hello).encode())
            return found, connection
    return None


def _receive(connected: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connected.recv(count - len(data))):
        data += more
    return data


def _authenticate(connected: socket.socket, rank: Rank, *, answers: bool) -> Connection:
    """Make sure that both ends belong to the same job, by its name, and return the connection."""
    # With the restart: a stopped process of an earlier attempt may still listen.
    key = hashlib.sha256(f"hubtune {rank.job} {rank.restarts}".encode()).digest()
    connected.settimeout(None)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A copy: the socket stays to be shut down from another thread.
    connection = Connection(connected.dup().detach())
    for step in (answer_challenge, deliver_challenge) if answers else (deliver_challenge, answer_challenge):
        step(connection, key)
    return connection


def _place(rank: Rank) -> str:
    """Describe where rank 0 should be."""
    try:
        socket.getaddrinfo(rank.address, rank.port)
    except OSError:
        return f"{rank.address}, a name that is not known here"
    return f"{rank.address}, ports from {rank.port}"


def _describe_process() -> dict[str, Any]:
    return {"host": _host_name(), "pid": os.getpid(), **_versions()}


def _versions() -> dict[str, str]:
    return {"hubtune": version("hubtune"), "paddle": paddle.__version__}


def _check_hello(rank: Rank, number: int, hello: dict[str, Any]) -> None:
    if hello.get("size") != rank.size:
        raise UsageError(
            f"Rank {number} on {hello['host']} was started as one of {hello.get('size')} processes, and rank "
            f"0 as one of {rank.size}: start all with the same number"
        )
    for package, own in _versions().items():
        if hello.get(package) != own:
            raise MachineError(
                f"Rank {number} on {hello['host']} has {package} {hello.get(package)}, and rank 0 has {own}: "
                "install the same version on all machines"
            )


def _host_name() -> str:
    return socket.gethostname()


class _Waiting:
    """Says in the log who is waited for, and gives up in the end."""

    def __init__(self, max_wait: float) -> None:
        self._max_wait = max_wait
        self._start = time.monotonic()
        self._next = self._start + _FIRST_NOTICE

    def check(self, who: str) -> None:
        now = time.monotonic()
        if now - self._start > self._max_wait:
            raise MachineError(
                f"Waited {format_duration(self._max_wait)} in vain for {who}: is it started, and can the "
                "machines reach each other?"
            )
        if now >= self._next:
            logger.warning("waiting for %s", who)
            self._next = now + _NOTICE_INTERVAL
