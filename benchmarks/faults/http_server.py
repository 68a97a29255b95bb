"""Requests that a server must refuse or outlast: too large, damaged, slow, many, and foreign."""

import asyncio
import contextlib
import http.client
import os
import random
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.children import enter, fork, mutate_here, wait
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.outcome import Bench, Outcome
from benchmarks.serving import Client

_PATIENCE_SECONDS = 60.0
_TOKEN = "the-token-of-the-bench-of-faults"
_MEGABYTE = 2**20
_LINES = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
_HOST = "127.0.0.1"
# Of other programs on the machine.
_TIME_FACTOR = 5


@dataclass(frozen=True)
class Running:
    """A server in a child."""

    child: int
    port: int

    def resident(self) -> float:
        """Return its memory in MB."""
        pages = int(Path(f"/proc/{self.child}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; return the status and the content of the answer."""
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=_PATIENCE_SECONDS)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", path, body, named)  # type: ignore[arg-type]
            answer = connection.getresponse()
            return answer.status, answer.read()

    def raw(self, content: bytes) -> bytes:
        """Send bytes; return the first line of the answer, or the status 0 if there is none."""
        with socket.create_connection((_HOST, self.port), timeout=10) as connection:
            connection.sendall(content)
            with contextlib.suppress(TimeoutError):
                return connection.recv(65_536).partition(b"\r\n")[0]
        return b"none 0"


@contextlib.contextmanager
def _running(bench: Bench, *, token: str | None = None, deadline: float = 30.0) -> Iterator[Running]:
    """Run ``hubtune serve`` with the fixture's model while the block runs."""
    work = copy_fixture(bench)
    note = bench.folder / "port"

    def serve() -> None:
        from hubtune.serve.app import ServeApp, ServeOptions
        from hubtune.serve.limits import ServeLimits
        from hubtune.serve.models import ModelSource, ModelTable
        from hubtune.serve.server import bind_port, run_server

        enter(work)
        mutate_here()
        limits = ServeLimits(deadline_seconds=deadline)
        app = ServeApp(
            ModelTable({"m": ModelSource(Path("runs/m"))}), ServeOptions(token=token, limits=limits)
        )
        bound = bind_port(_HOST, 0)
        part = note.with_suffix(".part")
        part.write_text(str(bound.getsockname()[1]))
        run_server(app, bound, limits, lambda: part.rename(note) and None)

    child = fork(serve, err=bench.folder / "err")
    try:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not note.exists():
            if time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {(bench.folder / 'err').read_text()[-300:]}")
            time.sleep(0.02)
        yield Running(child, int(note.read_text()))
    finally:
        os.kill(child, signal.SIGKILL)
        wait(child, _PATIENCE_SECONDS)


def _photo(bench: Bench) -> bytes:
    return (bench.fixture / "pics" / "a" / "0.png").read_bytes()


def _expect_alive(outcome: Outcome, server: Running, photo: bytes) -> None:
    status = server.ask("/predict", photo)[0]
    outcome.expect(status == 200, f"the next request has {status}")


def large(bench: Bench) -> Outcome:
    """Send 50 MB with and without their length, lengths that lie, and packed bodies."""
    outcome, photo = Outcome(), _photo(bench)
    with _running(bench) as server:
        for _ in range(20):
            server.ask("/predict", photo)
        before = server.resident()
        for name, body in (
            ("with its length", bytes(50 * _MEGABYTE)),
            ("without a length", (bytes(_MEGABYTE) for _ in range(50))),
        ):
            status = server.ask("/predict", body)[0]
            outcome.expect(status == 413, f"50 MB {name}: {status}")
            _expect_alive(outcome, server, photo)
        for header, allowed in (
            (b"Content-Length: 52428800", (413,)),
            (b"Content-Length: 99999999999999999999", (413,)),
            (b"Content-Length: -1", (400,)),
            (b"Content-Length: 5\r\nContent-Length: 6", (400,)),
            (b"Content-Length: many", (400,)),
            (b"Content-Length: 3\r\nTransfer-Encoding: chunked", (400,)),
            (b"Content-Length: 3\r\nContent-Encoding: gzip", (415,)),
            (b"Content-Length: 3\r\nContent-Type: multipart/form-data; boundary=x", (415,)),
        ):
            line = server.raw(b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
            outcome.expect(int(line.split()[1]) in allowed, f"{header!r}: {line!r}")
        _expect_alive(outcome, server, photo)
        growth = server.resident() - before
        outcome.expect(growth < 20, f"memory grew by {growth:.0f} MB")
        outcome.evidence = f"memory {growth:+.0f} MB"
    return outcome


def damaged(bench: Bench) -> Outcome:
    """Send what is no image, and damaged ones, to all paths that take images."""
    outcome, photo = Outcome(), _photo(bench)
    count, chosen, statuses = bench.count(10_000, 600), random.Random(30), Counter[int]()
    paths = ("/predict", "/predict/batch", "/v2/models/m/infer", "/predict?explain=1")

    def body() -> bytes:
        content = bytearray(chosen.choice((photo, b'{"images": ["QUJD"]}', b'{"inputs": [{}]}')))
        kind = chosen.randrange(4)
        if kind == 0:
            return bytes(content[: chosen.randrange(1, len(content))])
        if kind == 1:
            return chosen.randbytes(chosen.randrange(1, 3000))
        for _ in range(chosen.randrange(1, 20)):
            content[chosen.randrange(min(len(content), 200 if kind == 2 else 10**6))] = chosen.randrange(256)
        return bytes(content)

    async def send_all(port: int) -> None:
        client = Client(port)
        for number in range(count):
            statuses[(await client.ask(body(), paths[number % 40 % len(paths)]))[0]] += 1

    with _running(bench) as server:
        for name, content, allowed in (
            ("0 bytes", b"", (422,)),
            ("text", b"no image", (422,)),
            ("JSON", b"{}", (422,)),
            ("a part of an image", photo[:60], (422,)),
            ("a bomb", b"P6 20000 20000 255\n", (413,)),
        ):
            status, answer = server.ask("/predict", content)
            outcome.expect(status in allowed and b'"code"' in answer, f"{name}: {status} {answer[:80]!r}")
        server.ask("/predict?explain=1", photo)
        before = server.resident()
        asyncio.run(send_all(server.port))
        growth = server.resident() - before
        outcome.tried += count
        wrong = [status for status in statuses if status >= 500]
        outcome.expect(not wrong, f"damaged bodies have the statuses {dict(statuses)}")
        outcome.expect(growth < 50, f"memory grew by {growth:.0f} MB")
        _expect_alive(outcome, server, photo)
        outcome.evidence = f"{dict(sorted(statuses.items()))}; memory {growth:+.0f} MB"
    return outcome


def slow(bench: Bench) -> Outcome:
    """Hold connections open in four ways while another client is served."""
    outcome, photo = Outcome(), _photo(bench)
    count, deadline = bench.count(200, 60), 30.0 if not bench.short else 3.0
    ways = [(b"", b""), (_LINES[:30], b""), (b"", _LINES * 50), (_LINES + b"\r\n", b"x" * 10**5)]
    closed: list[float] = []

    async def hold(port: int, sent: bytes, dripped: bytes) -> None:
        reader, writer = await asyncio.open_connection(_HOST, port)
        start = time.monotonic()
        writer.write(sent)

        async def drip() -> None:
            for place in range(len(dripped)):
                writer.write(dripped[place : place + 1])
                await asyncio.sleep(1)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(TimeoutError):
            with contextlib.suppress(ConnectionError):  # which is one way of closing
                await asyncio.wait_for(reader.read(), 60)
            closed.append(time.monotonic() - start)
        dripping.cancel()
        writer.close()

    async def ask_often(port: int) -> list[float]:
        client = Client(port)
        times = []
        for _ in range(150):
            status, seconds = await client.ask(photo)
            times.append(seconds)
            outcome.tried += 1
            if status != 200:
                outcome.failures.append(f"another client has {status}")
        client.close()
        return sorted(times)

    async def both(port: int) -> tuple[list[float], list[float]]:
        alone = await ask_often(port)
        holding = [asyncio.create_task(hold(port, *ways[number % 4])) for number in range(count)]
        await asyncio.sleep(0.3)
        beside = await ask_often(port)
        await asyncio.gather(*holding)
        return alone, beside

    with _running(bench, deadline=deadline) as server:
        alone, beside = asyncio.run(both(server.port))
        for number in range(count):
            outcome.expect(number < len(closed), "a slow client is not closed after 60 seconds")
        # A single process that gets its turn late is no evidence.
        bound = max(2 * _TIME_FACTOR * alone[-2], 0.5)
        outcome.expect(
            beside[-2] < bound, f"another client waits {beside[-2]:.2f} s, alone {alone[-2]:.2f} s"
        )
        _expect_alive(outcome, server, photo)
        outcome.evidence = (
            f"{count} closed after {max(closed, default=0):.1f} s at most; "
            f"another client's p99: {1000 * alone[-2]:.0f} ms alone, {1000 * beside[-2]:.0f} ms beside them"
        )
    return outcome


def burst(bench: Bench) -> Outcome:
    """Send 1,000 requests at once, each by its own connection, and ask for the health meanwhile."""
    outcome, photo, health = Outcome(), _photo(bench), list[float]()

    async def one(port: int) -> int:
        client = Client(port)
        try:
            return (await client.ask(photo))[0]
        except (OSError, asyncio.IncompleteReadError):
            return 0
        finally:
            client.close()

    async def watch(port: int, end: asyncio.Event) -> None:
        client = Client(port)
        while not end.is_set():
            health.append((await client.ask(b"", "/healthz"))[1])
            await asyncio.sleep(0.05)
        client.close()

    async def all_at_once(port: int) -> Counter[int]:
        end = asyncio.Event()
        watching = asyncio.create_task(watch(port, end))
        found = Counter(await asyncio.gather(*(one(port) for _ in range(1000))))
        end.set()
        await watching
        return found

    with _running(bench) as server:
        for _ in range(20):
            server.ask("/predict", photo)
        before = server.resident()
        found = asyncio.run(all_at_once(server.port))
        outcome.tried += sum(found.values())
        outcome.expect(set(found) <= {200, 503}, f"statuses {dict(found)}")
        outcome.expect(found[200] >= 64, f"{found[200]} of 1,000 are answered, and 64 can wait")
        outcome.expect(max(health) < _TIME_FACTOR, f"the health is answered after {max(health):.1f} s")
        growth = server.resident() / before - 1
        outcome.expect(growth < 0.2, f"memory grew by {100 * growth:.0f} %")
        _expect_alive(outcome, server, photo)
        outcome.evidence = (
            f"{dict(found)}; health after {1000 * max(health):.0f} ms at most; memory {100 * growth:+.0f} %"
        )
    return outcome


def _paths() -> list[str]:
    ups = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "%252e%252e%252f",
        "..%c0%af",
        "....//",
        "%00../",
    )
    return [f"/{folder}{3 * up}etc/passwd" for folder in ("static/", "", "app.js/", "models/") for up in ups]


def foreign(bench: Bench) -> Outcome:
    """Ask for files, under other names, from other sites' pages, and without the token."""
    outcome, photo = Outcome(), _photo(bench)
    bearer = {"Authorization": f"Bearer {_TOKEN}"}
    with _running(bench, token=_TOKEN) as server:
        for path in _paths():
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{_authorization()}Connection: close\r\n\r\n"
            line = server.raw(request.encode())
            outcome.expect(re.match(rb"HTTP/1.1 40[045] ", line), f"{path}: {line!r}")
        own = f"http://{_HOST}:{server.port}"
        for headers, expected in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Basic {_TOKEN}"}, 401),
            ({**bearer, "Host": "evil.example"}, 400),
            ({**bearer, "Origin": "http://evil.example"}, 403),
            ({**bearer, "Origin": "null"}, 403),
            ({**bearer, "Sec_Fetch_Site": "cross-site"}, 403),
            ({**bearer, "Origin": own}, 200),
            (bearer, 200),
        ):
            status = server.ask("/predict", photo, **headers)[0]
            outcome.expect(status == expected, f"{headers}: {status} instead of {expected}")
        statuses = [server.ask("/models", Authorization=f"Bearer wrong{n}")[0] for n in range(12)]
        outcome.expect(statuses[-1] == 429, f"wrong tokens: {statuses}")
        status, page = server.ask("/")
        outcome.expect(status == 200 and b"<script>" not in page, "the page has a script in it")
    return outcome


def _authorization() -> str:
    return f"Authorization: Bearer {_TOKEN}\r\n"
