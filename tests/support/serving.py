"""A server in a thread of this process, a small model for it, and clients that misbehave."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hubtune.serve.app import ServeApp, ServeOptions
from hubtune.serve.models import ModelSource, ModelTable
from hubtune.serve.server import bind_port, make_server
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen
from support.waiting import HANG_SECONDS, wait_for

TOKEN = "a token of tests, long enough".replace(" ", "-").replace(",", "")


def image_bytes(seed=0, kind="PNG", side=(48, 32)):
    random = np.random.default_rng(seed)
    content = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (side[1], side[0], 3), np.uint8)).save(content, kind)
    return content.getvalue()


def train_small(folder, name="run", labels="abc", **options):
    """Train a small model on drawn images, and return the run's folder."""
    data = draw_split(folder / "data" / name, dict.fromkeys(labels, 8), validate=2, noise=120.0)
    train_frozen(smallnet(), data, folder / name, **{"fit": "crop", **options})
    return folder / name


@dataclass
class Answered:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def ask(port, path, body=None, *, method=None, headers=None):
    """Send a request to a port of this machine, and return its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
    with contextlib.closing(connection):
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        answer = connection.getresponse()
        return Answered(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


class ServedHere:
    """A running server."""

    def __init__(self, app, server, port):
        self.app, self.server, self.port = app, server, port

    def ask(self, path, body=None, **options):
        """Send a request, and return its answer."""
        return ask(self.port, path, body, **options)

    def connect(self):
        """Return a connection to write bytes to."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=HANG_SECONDS)
        return contextlib.closing(connection)

    def send_raw(self, content):
        """Send bytes, and return the first bytes of the answer: its line of status."""
        with self.connect() as connection:
            connection.sendall(content)
            return connection.recv(65_536)


@contextlib.contextmanager
def serving(sources, **options):
    """Run a server with models of these sources, name → folder; yields a :class:`ServedHere`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(next(iter(sources.values())).parent / "home"))
        table = ModelTable({name: ModelSource(folder) for name, folder in sources.items()})
    chosen = ServeOptions(**options)
    app = ServeApp(table, chosen)
    server = make_server(app, chosen.limits)
    bound = bind_port("127.0.0.1", 0)
    port = bound.getsockname()[1]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield ServedHere(app, server, port)
    finally:
        server.should_exit = True
        thread.join(HANG_SECONDS)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a run, with its programs stored in a cache of its own."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        patch.chdir(folder)
        run = train_small(folder)
        ModelSource(run).open("run")  # its program is stored
        return run


def seconds_until_closed(connection):
    """Wait until the other side closes a connection, and return how long that took."""
    start = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while connection.recv(65_536):
            pass
    return time.monotonic() - start


@contextlib.contextmanager
def started(run, *options, **environment):
    """Run ``hubtune serve`` in a process of its own; yields it, its port, and what it has printed."""
    program = [sys.executable, "-c", "from hubtune.cli.main import main; main()"]
    command = [*program, "serve", str(run), "--port", "0", *options]
    variables = {**os.environ, "HUBTUNE_HOME": str(run.parent / "home"), **environment}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)
    try:
        lines = []
        while not (lines and "Serving at" in lines[-1]):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        yield process, int(re.search(r":(\d+)/", lines[-1])[1]), "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def resident_bytes(process):
    """Return the memory that a process has now."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
