"""The processes of a job: rank 0 leads and gives orders, the others follow.

Orders and results go over the data connections. Over the control connections, heartbeats tell that the other
end is alive, followers pass on their log and their signals, and failures are told to everyone.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hubtune.errors import HubtuneError, MachineError, RankFailedError
from hubtune.log import FORMATTER
from hubtune.ranks import Rank
from hubtune.train.distributed.launch import RESTARTABLE, SUPERVISED
from hubtune.train.distributed.message import Message
from hubtune.train.distributed.rendezvous import Peer

_BEAT_SECONDS = 2.0
SILENCE_SECONDS = 40.0
"""Without a heartbeat for this long, a process counts as stopped: longer than gloo waits for a transfer."""
_END_SECONDS = 8.0  # for rank 0 to notice a failure itself, before its process is ended
_VERDICT_SECONDS = SILENCE_SECONDS + 10.0


def rank_failed(message: str) -> RankFailedError:
    """Return the error for a process that has died; it tells a supervisor to restart the job."""
    error = RankFailedError(message)
    if os.environ.get(SUPERVISED):
        error.exit_code = RESTARTABLE
    return error


class RankGroup:
    """Rank 0's connections to all others.

    Attributes:
        rank: this process.
        failure: why the job cannot go on; ``None`` as long as it can.
        on_signal: called with the number of a signal that another rank received.
        result: of the latest run, for scripts that run on all ranks.
    """

    def __init__(self, rank: Rank, peers: Sequence[Peer]) -> None:
        self.rank = rank
        self.peers = list(peers)
        self.failure: HubtuneError | None = None
        self.on_signal: Callable[[int], None] = lambda number: None
        self.result: dict[str, Any] = {}
        self._logs = _RankLogs()
        self._lock = threading.Lock()
        self._is_closed = False
        self._number = 0  # of the latest order
        for peer in self.peers:
            threading.Thread(target=self._watch, args=(peer,), daemon=True).start()
        threading.Thread(target=_beat, args=(self.peers, lambda: self._is_closed), daemon=True).start()

    @property
    def size(self) -> int:
        return self.rank.size

    def write_logs(self, folder: Path) -> None:
        """Write the log of every other rank into a folder from now on, with the lines so far."""
        self._logs.write_into(folder)

    def order(
        self, what: str, document: Mapping[str, Any] = {}, arrays: Mapping[str, np.ndarray] = {}
    ) -> None:
        """Give all others an order.

        Raises:
            RankFailedError: if one of them has died.
        """
        self._number += 1
        data = Message({"order": what, "number": self._number, **document}, arrays).encode()
        for peer in self.peers:
            self._guarded(lambda peer=peer: peer.data.send_bytes(data))  # type: ignore[misc]

    def receive(self, number: int) -> Message:
        """Wait for the next message of another rank on the latest order, however long it takes.

        Raises:
            RankFailedError: if one of them has died.
        """
        while True:
            message = Message.decode(self._guarded(self.peers[number - 1].data.recv_bytes))
            # Results of an order that was given up, as by a stop, are not of interest any more.
            if message.document["number"] == self._number:
                return message

    def gather(self) -> list[Message]:
        """Return a message of each other rank, in order."""
        return [self.receive(peer.number) for peer in self.peers]

    def fail(self, error: HubtuneError) -> None:
        """End the job: tell all others, and let the waiting thread raise the error."""
        with self._lock:
            if self._is_closed or self.failure is not None:
                return
            # The waiting thread may be inside a library that waits for ever, for a process that is dead.
            self._timer = threading.Timer(_END_SECONDS, _end_process, (error,))
            self._timer.daemon = True
            self._timer.start()
            self.failure = error
        for peer in self.peers:
            _send_control(peer, {"end": error.exit_code})
            peer.disconnect()

    def raise_failure(self, cause: Exception) -> NoReturn:
        """Raise why a transfer between ranks failed; which one is to blame may only be known in a while."""
        deadline = time.monotonic() + _VERDICT_SECONDS
        while self.failure is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.failure is None:
            reason = str(cause).strip().splitlines() or [type(cause).__name__]
            self.fail(rank_failed(f"The ranks could not exchange data ({reason[-1].strip()[:200]})"))
        assert self.failure is not None
        self._timer.cancel()
        raise self.failure from cause

    def close(self, exit_code: int) -> None:
        """End the job of all others with an exit code; 0: each goes on after its last order."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._number += 1
        last = Message({"order": "end", "number": self._number, **self.result}).encode()
        for peer in self.peers:
            if exit_code == 0:
                with suppress(OSError):  # one that is dead has nothing left to do
                    peer.data.send_bytes(last)
            _send_control(peer, {"end": exit_code})
        self._logs.close()

    def _guarded(self, transfer: Callable[[], Any]) -> Any:
        try:
            if self.failure is not None:
                raise EOFError
            return transfer()
        except (OSError, EOFError) as error:
            self.raise_failure(error)

    def _watch(self, peer: Peer) -> None:
        """Read what a rank sends over its control connection, until it ends."""
        try:
            while peer.control.poll(SILENCE_SECONDS):
                if not (data := peer.control.recv_bytes()):
                    continue
                message = json.loads(data)
                if "line" in message:
                    self._logs.add(peer.number, message["line"])
                elif "signal" in message:
                    self.on_signal(message["signal"])
                elif "failed" in message:
                    error = MachineError(f"{peer.name}: {message['failed']}")
                    error.exit_code = message["exit_code"]
                    self.fail(error)
                    return
            reason = f"has not answered for {SILENCE_SECONDS:.0f} seconds: it is stopped, or its machine is"
        except (OSError, EOFError):
            reason = "has died"
        except ValueError:
            reason = "sent what is not of hubtune"
        name = f"{peer.name[0].upper()}{peer.name[1:]}"
        self.fail(rank_failed(f"{name} {reason}"))


class Follower:
    """The connection of another rank to rank 0; the process ends with rank 0's."""

    def __init__(self, rank: Rank, leader: Peer) -> None:
        self.rank = rank
        self._leader = leader
        self._is_closed = False
        self._number = 0  # of the latest order
        self._folders: list[Path] = []
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=_beat, args=([leader], lambda: self._is_closed), daemon=True).start()

    @property
    def leader_host(self) -> str:
        return self._leader.host

    @property
    def own_host(self) -> str:
        return self._leader.own_host

    def receive(self) -> Message:
        """Wait for the next order."""
        try:
            message = Message.decode(self._leader.data.recv_bytes())
        except (OSError, EOFError):
            self.wait_for_end()
        self._number = message.document.pop("number")
        return message

    def send(self, document: Mapping[str, Any] = {}, arrays: Mapping[str, np.ndarray] = {}) -> None:
        """Send rank 0 a message."""
        try:
            answer = Message({"number": self._number, **document}, arrays)
            self._leader.data.send_bytes(answer.encode())
        except OSError:
            self.wait_for_end()

    def pass_on(self, signal: int) -> None:
        """Tell rank 0, which decides when to stop, of a signal."""
        _send_control(self._leader, {"signal": signal})

    def log_handler(self) -> logging.Handler:
        """Return a handler that passes log lines on to rank 0."""
        handler = _ControlHandler(self._leader)
        handler.setFormatter(FORMATTER)
        return handler

    def fail(self, error: BaseException) -> None:
        """Tell rank 0 why this process cannot go on."""
        code = error.exit_code if isinstance(error, HubtuneError) else 1
        text = str(error) if isinstance(error, HubtuneError) else f"{type(error).__name__}: {error}"
        _send_control(self._leader, {"failed": text, "exit_code": code})

    def wait_for_end(self) -> NoReturn:
        """Wait until it is known why the job ends, and end this process."""
        time.sleep(_VERDICT_SECONDS)
        _end_process(rank_failed(f"{self._leader.name} does not answer"))

    def temporary_folder(self) -> Path:
        """Return a new folder, which is removed with the end of this process's part, however it ends."""
        self._folders.append(Path(tempfile.mkdtemp(prefix="hubtune-")))
        return self._folders[-1]

    def close(self) -> None:
        self._is_closed = True
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _watch(self) -> None:
        try:
            while self._leader.control.poll(SILENCE_SECONDS):
                if not (data := self._leader.control.recv_bytes()):
                    continue
                code = json.loads(data)["end"]
                if code:
                    self.close()
                    os._exit(code)  # rank 0 has said why
                return
            reason = f"has not answered for {SILENCE_SECONDS:.0f} seconds: it is stopped, or its machine is"
        except (OSError, EOFError):
            reason = "has died"
        if not self._is_closed:
            # Nothing has to be saved here, and the main thread may wait for ever for a process that is dead.
            name = f"{self._leader.name[0].upper()}{self._leader.name[1:]}"
            is_first = self.rank.local == 0 or self.rank.number == 1
            self.close()
            _end_process(rank_failed(f"{name} {reason}"), prints=is_first)


class _RankLogs:
    """The log files of other ranks; lines are kept until the run folder is known."""

    _MOST_LINES = 10_000

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._early: list[tuple[int, str]] = []
        self._lock = threading.Lock()

    def write_into(self, folder: Path) -> None:
        with self._lock, suppress(OSError):
            folder.mkdir(exist_ok=True)
            self._folder = folder
        early, self._early = self._early, []
        for number, line in early:
            self.add(number, line)

    def add(self, number: int, line: str) -> None:
        with self._lock, suppress(OSError):
            if self._folder is None:
                if len(self._early) < self._MOST_LINES:
                    self._early.append((number, line))
                return
            file = self._folder / f"rank-{number}.log"
            with file.open("a", encoding="utf-8", errors="backslashreplace") as text:
                text.write(line + "\n")

    def close(self) -> None:
        with self._lock:
            self._folder = None


class _ControlHandler(logging.Handler):
    def __init__(self, leader: Peer) -> None:
        super().__init__()
        self._leader = leader

    def emit(self, record: logging.LogRecord) -> None:
        _send_control(self._leader, {"line": self.format(record)})


_control_lock = threading.Lock()


def _send_control(peer: Peer, message: Mapping[str, Any] | None) -> None:
    with _control_lock, suppress(OSError):
        peer.control.send_bytes(b"" if message is None else json.dumps(message).encode())


def _beat(peers: Sequence[Peer], is_closed: Callable[[], bool]) -> None:
    while not is_closed():
        for peer in peers:
            _send_control(peer, None)
        time.sleep(_BEAT_SECONDS)


def _end_process(error: HubtuneError, *, prints: bool = True) -> NoReturn:
    """End the process at once: its main thread does not return from a library."""
    if prints:
        with suppress(OSError, ValueError):
            # Not by the log, which another rank sends to rank 0.
            sys.stderr.write(f"Error: {error}\n")
            sys.stderr.flush()
    os._exit(error.exit_code)
