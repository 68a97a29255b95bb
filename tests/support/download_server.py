"""A server of files on this machine that fails in every way."""

import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.waiting import wait_for

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "/dygraph/Net_pretrained.pdparams"


class Answer(BaseHTTPRequestHandler):
    """Answers each request by the next of the server's plan; the last of it stays."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append(self)
        plan = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            plan(self)

    def head(self, status, length, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.plan = [whole()]
        self.requests = []
        self.closing = threading.Event()
        self.base = f"http://127.0.0.1:{self.server_port}"
        self.url = self.base + NAME


def whole(content=CONTENT, tag='"1"', *, end=None, pause=0):
    """A proper server; with ``end``, the connection breaks before that byte of the file."""

    def plan(answer):
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


def ignoring_ranges(answer):
    answer.head(200, len(CONTENT))
    answer.wfile.write(CONTENT)


def wrong_part(answer):
    """Send the end of another file, as a server does that ignores If-Range."""
    answer.head(206, 10, Content_Range="bytes 500000-500009/500010", ETag='"2"')
    answer.wfile.write(b"x" * 10)


def page(answer):
    text = b"<!DOCTYPE html><title>Log in</title>" + b" " * 10_000
    answer.head(200, len(text), Content_Type="text/html")
    answer.wfile.write(text)


def stall(answer):
    answer.head(200, len(CONTENT), ETag='"1"')
    answer.wfile.write(CONTENT[:300_000])
    silence(answer)


def silence(answer):
    """Send nothing more once everything has arrived."""
    with contextlib.suppress(ImportError):  # on Windows
        import fcntl
        import termios

        wait_for(lambda: not any(fcntl.ioctl(answer.connection, termios.TIOCOUTQ, b"\0" * 4)))
    answer.server.closing.wait()


def without_length(answer):
    answer.head(200, None)
    answer.wfile.write(CONTENT)


def chunked(answer):
    answer.head(200, None, Transfer_Encoding="chunked")
    for first in range(0, len(CONTENT), 2**16):
        piece = CONTENT[first : first + 2**16]
        answer.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    answer.wfile.write(b"0\r\n\r\n")


def status(code):
    return lambda answer: answer.head(code, 0)


@contextlib.contextmanager
def serving():
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield running
    running.closing.set()
    running.shutdown()
    running.server_close()
