"""A server of files on this machine that fails in every way."""

import contextlib
import hashlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hubtune.storage import download
from support.waiting import wait_for

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "/dygraph/Net_pretrained.pdparams"


class Answer(BaseHTTPRequestHandler):
    """Answers each request by the next of the server's plan; the last of it stays."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(self)
        plan = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            plan(self)

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


Plan = Callable[[Answer], None]


class Server(ThreadingHTTPServer):
    """A server on this machine that remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.plan: list[Plan] = [whole()]
        self.requests: list[Answer] = []
        self.closing = threading.Event()
        self.stalled = threading.Event()
        self.base = f"http://127.0.0.1:{self.server_port}"
        self.url = self.base + NAME


def whole(
    content: bytes = CONTENT, tag: str | None = '"1"', *, end: int | None = None, pause: float = 0
) -> Plan:
    """A proper server; with ``end``, the connection breaks before that byte of the file."""

    def plan(answer: Answer) -> None:
        headers = {"ETag": tag} if tag else {}
        asked, condition = answer.headers.get("Range"), answer.headers.get("If-Range")
        start = 0
        if asked and condition in (None, tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                answer.head(416, 0)
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.head(206 if start else 200, len(content) - start, **headers)
        for first in range(start, len(content) if end is None else end, 2**16):
            answer.wfile.write(content[first : min(first + 2**16, end or len(content))])
            time.sleep(pause)

    return plan


def ignoring_ranges(answer: Answer) -> None:
    answer.head(200, len(CONTENT))
    answer.wfile.write(CONTENT)


def wrong_part(answer: Answer) -> None:
    """Send the end of another file, as a server does that ignores If-Range."""
    answer.head(206, 10, Content_Range="bytes 500000-500009/500010", ETag='"2"')
    answer.wfile.write(b"x" * 10)


def page(answer: Answer) -> None:
    text = b"<!DOCTYPE html><title>Log in</title>" + b" " * 10_000
    answer.head(200, len(text), Content_Type="text/html")
    answer.wfile.write(text)


def stall(answer: Answer) -> None:
    answer.head(200, len(CONTENT), ETag='"1"')
    answer.wfile.write(CONTENT[:300_000])
    _hang(answer)


def silence(answer: Answer) -> None:
    _hang(answer)


def _hang(answer: Answer) -> None:
    """Send nothing more once everything has arrived."""
    with contextlib.suppress(ImportError):  # on Windows
        import fcntl
        import termios

        wait_for(lambda: not any(fcntl.ioctl(answer.connection, termios.TIOCOUTQ, b"\0" * 4)))
    answer.server.stalled.set()
    answer.server.closing.wait()


def time_out_when_stalled(monkeypatch: pytest.MonkeyPatch, server: "Server") -> None:
    """Let a read time out as soon as the server has stalled and all that it sent is read, and never else.

    With a real time limit, a busy machine could let other reads time out, too.
    """
    readinto = socket.SocketIO.readinto

    def read(self: socket.SocketIO, buffer: memoryview) -> int | None:
        connection = self._sock
        if connection.getpeername()[1] == server.server_port:
            assert connection.gettimeout() == download.READ_SECONDS
            while not select.select([connection], [], [], 0.01)[0]:
                if server.stalled.is_set() and not select.select([connection], [], [], 0)[0]:
                    server.stalled.clear()
                    raise TimeoutError("timed out")
        return readinto(self, buffer)

    monkeypatch.setattr(socket.SocketIO, "readinto", read)


def without_length(answer: Answer) -> None:
    answer.head(200, None)
    answer.wfile.write(CONTENT)


def chunked(answer: Answer) -> None:
    answer.head(200, None, Transfer_Encoding="chunked")
    for first in range(0, len(CONTENT), 2**16):
        piece = CONTENT[first : first + 2**16]
        answer.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    answer.wfile.write(b"0\r\n\r\n")


def status(code: int) -> Plan:
    return lambda answer: answer.head(code, 0)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server that runs while the block does."""
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield running
    running.closing.set()
    running.shutdown()
    running.server_close()
