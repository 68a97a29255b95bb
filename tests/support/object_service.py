"""A service with S3's protocol on this machine, and a proxy before it that fails as networks do."""

import contextlib
import http.client
import logging
import os
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

CANARY = "CANARY-7f3a9c-secret"
VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
OTHER = "HUBTUNE_TEST_S3"

_ANSWERS = {
    "503": (503, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"),
    "expired": (400, b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"),
}


@contextlib.contextmanager
def running_moto():
    """Yield the endpoint of a server in this process; its keys may be anything."""
    server = pytest.importorskip("moto.server", reason='moto is not installed: pip install -e ".[test]"')
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def use_endpoint(monkeypatch, endpoint, secret=CANARY):
    """Set the variables by which boto3 and hubtune find the service."""
    for name, value in zip(VARIABLES, (endpoint, "some-key", secret, "us-east-1"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def other_service():
    """Return the endpoint of a further server that the person who tests has started."""
    if not os.environ.get(OTHER):
        pytest.skip(f"{OTHER} is not set: no further S3 server, http://KEY:SECRET@host:port")
    return os.environ[OTHER]


def use_other(monkeypatch):
    parts = urlsplit(other_service())
    use_endpoint(monkeypatch, f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.password)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", parts.username)


def make_bucket(name):
    import boto3

    client = boto3.Session().client("s3")  # not the default one, which remembers other keys
    client.create_bucket(Bucket=name)
    return client


def objects_in(client, bucket):
    """Return every object of a bucket with its content."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


class FaultyProxy:
    """Passes requests on; may answer 503, reset, or cut uploads and answers; ``fault`` decides for each.

    ``fault(method, path, number)`` returns ``None``, ``503``, ``expired`` (the keys), ``reset``, ``cut`` (the
    connection breaks in the middle of an upload), ``half`` (the answer is cut) or ``lost`` (done, but the
    answer never comes).
    """

    def __init__(self, endpoint, fault):
        self.target, self.fault, self.count, self.faults = urlsplit(endpoint).netloc, fault, 0, 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def decide(self, method, path):
        with self._lock:
            self.count += 1
            fault = self.fault(method, path, self.count)
            self.faults += fault is not None
            return fault


def random_faults(share, seed=0, kinds=("503", "reset", "cut", "half", "lost")):
    """Return a ``fault`` that hits a share of the requests."""
    source = random.Random(seed)
    return lambda method, path, number: source.choice(kinds) if source.random() < share else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def _pass_on(self):
        fault = self.proxy.decide(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "reset" or (fault == "cut" and length < 2):
            return self._break()
        if fault == "cut":
            self.rfile.read(length // 2)
            return self._break()
        body = self.rfile.read(length)
        if fault in _ANSWERS:
            status, content = _ANSWERS[fault]
            return self._answer(status, [("Content-Type", "application/xml")], content)
        connection = http.client.HTTPConnection(self.proxy.target)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fault == "lost":
            return self._break()
        own = ("transfer-encoding", "connection", "content-length")
        sent = [(name, value) for name, value in answer.getheaders() if name.lower() not in own]
        return self._answer(answer.status, sent, content, half=fault == "half")

    def _answer(self, status, headers, content, *, half=False):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self._break()

    def _break(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _pass_on

    def handle(self):
        with contextlib.suppress(ConnectionError):  # of a client that was killed
            super().handle()

    def log_message(self, *_):
        """Say nothing."""
