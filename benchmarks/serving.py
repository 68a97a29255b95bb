"""Measure `hubtune serve` under load: throughput, times, refusals, slow clients, damaged bodies, memory.

    python benchmarks/serving.py RUN PHOTOS [--json FILE] [--only NAME ...]

It starts the server itself. Clients run in this process, on the same cores as the server: the figures are
lower bounds of what the server alone would reach.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HOST = "127.0.0.1"
_HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
# Asks for /healthz until a line comes, and prints the seconds that the answers took.
_WATCH = """
import http.client, json, select, sys, time
connection, times = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1])), []
while not select.select([sys.stdin], [], [], 0.02)[0]:
    start = time.perf_counter()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read()
    times.append(time.perf_counter() - start)
    if len(times) == 1:
        print(flush=True)
print(json.dumps(times))
"""


class Served:
    """A server in a process of its own."""

    def __init__(self, run: Path) -> None:
        start = time.monotonic()
        command = [sys.executable, "-m", "hubtune", "serve", str(run), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = ""
        while "Serving at" not in line:
            line = self.process.stderr.readline()
            if not line:
                raise SystemExit("the server did not start")
        self.seconds_to_open = time.monotonic() - start
        self.port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]

    def resident(self) -> float:
        """Return its memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> dict[str, float]:
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return {"exit code": self.process.wait(20), "seconds": time.monotonic() - start}


class Client:
    """A connection that is kept, and opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.retry_after = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes, path: str = "/predict") -> tuple[int, float]:
        """Send a body; return the status and the seconds that the answer took."""
        start = time.perf_counter()
        if self._streams is None:
            self._streams = await asyncio.open_connection(_HOST, self._port)
        reader, writer = self._streams
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write((_HEAD.format(path=path, size=len(body)) if body else head).encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", answer)[1])  # type: ignore[index]
        await reader.readexactly(length)
        if wait := re.search(rb"(?i)retry-after: (\d+)", answer):
            self.retry_after = int(wait[1])
        if b"connection: close" in answer.lower():
            self.close()
        return int(answer.split(b" ", 2)[1]), time.perf_counter() - start

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def times_of(values: Sequence[float]) -> dict[str, float]:
    return {"p50": statistics.median(values), "p99": percentile(values, 0.99), "max": max(values)}


async def load(served: Served, photos: Sequence[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Let clients send photos one after the other for some seconds."""
    times: list[float] = []
    statuses: Counter[int] = Counter()
    cpu, start = served.cpu_seconds(), time.perf_counter()

    async def work(number: int) -> None:
        client, chosen = Client(served.port), random.Random(number)
        while time.perf_counter() - start < seconds:
            status, taken = await client.ask(chosen.choice(photos))
            statuses[status] += 1
            times.append(taken)
        client.close()

    await asyncio.gather(*(work(number) for number in range(clients)))
    taken = time.perf_counter() - start
    return {
        "clients": clients,
        "images a second": len(times) / taken,
        "server CPU ms an image": 1000 * (served.cpu_seconds() - cpu) / len(times),
        **times_of(times),
        "statuses": dict(statuses),
    }


async def burst(served: Served, photos: Sequence[bytes], count: int = 1000) -> dict[str, Any]:
    """Send requests at once, each by a connection of its own, and ask for /healthz meanwhile."""
    before = served.resident()
    # In a process of its own: this one is busy with its clients.
    watching = subprocess.Popen(
        [sys.executable, "-c", _WATCH, str(served.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    watching.stdout.readline()

    async def one(number: int) -> int:
        client = Client(served.port)
        try:
            return (await client.ask(photos[number % len(photos)]))[0]
        except (OSError, asyncio.IncompleteReadError):
            return 0
        finally:
            client.close()

    start = time.perf_counter()
    statuses = Counter(await asyncio.gather(*(one(number) for number in range(count))))
    seconds = time.perf_counter() - start
    health = json.loads(watching.communicate("\n")[0])
    await asyncio.sleep(1)
    return {
        "requests": count,
        "statuses": dict(statuses),
        "seconds": seconds,
        "answered images a second": statuses[200] / seconds,
        "/healthz": times_of(health),
        "memory MB before, after": [before, served.resident()],
    }


async def overload(served: Served, photos: Sequence[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Let more clients than are taken at once ask again and again, as late as they are told to."""
    statuses, start = Counter[int](), time.perf_counter()

    async def work(number: int) -> None:
        client = Client(served.port)
        while time.perf_counter() - start < seconds:
            status, _ = await client.ask(photos[number % len(photos)])
            if time.perf_counter() - start < seconds:
                statuses[status] += 1
            if status == 503:
                client.close()  # a connection that says nothing would be closed meanwhile
                await asyncio.sleep(client.retry_after)
        client.close()

    await asyncio.gather(*(work(number) for number in range(clients)))
    return {"clients": clients, "images a second": statuses[200] / seconds, "statuses": dict(statuses)}


async def damaged(served: Served, photos: Sequence[bytes], count: int) -> dict[str, Any]:
    """Send damaged photos and random bytes."""
    chosen, statuses = random.Random(0), Counter[int]()
    client = Client(served.port)
    for _ in range(200):  # so that memory has its usual size
        await client.ask(chosen.choice(photos))
    before = served.resident()

    def body() -> bytes:
        content = bytearray(chosen.choice(photos))
        kind = chosen.randrange(4)
        if kind == 0:
            return bytes(content[: chosen.randrange(1, len(content))])
        if kind == 1:
            return chosen.randbytes(chosen.randrange(1, 4000))
        for _ in range(chosen.randrange(1, 50)):
            content[chosen.randrange(min(len(content), 2000 if kind == 2 else 10**9))] = chosen.randrange(256)
        return bytes(content)

    async def work(share: int) -> None:
        mine = Client(served.port)
        for _ in range(share):
            statuses[(await mine.ask(body()))[0]] += 1
        mine.close()

    memory = [before]
    for _ in range(4):
        await asyncio.gather(*(work(count // 32) for _ in range(8)))
        memory.append(served.resident())
    client.close()
    return {"statuses": dict(statuses), "memory MB before, after each quarter": memory}


async def slow_clients(served: Served, photos: Sequence[bytes], count: int = 200) -> dict[str, Any]:
    """Hold connections open in four ways, and measure another client meanwhile."""
    alone = (await load(served, photos, 1, 8))["p99"]
    closed: list[float] = []
    lines = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"

    async def hold(number: int) -> None:
        reader, writer = await asyncio.open_connection(_HOST, served.port)
        sent, dripped = [(b"", b""), (lines[:30], b""), (b"", lines * 50), (lines + b"\r\n", b"x" * 10**5)][
            number % 4
        ]
        start = time.perf_counter()
        writer.write(sent)

        async def drip() -> None:
            for place in range(len(dripped)):
                writer.write(dripped[place : place + 1])
                await asyncio.sleep(1)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 90)
        closed.append(time.perf_counter() - start)
        dripping.cancel()
        writer.close()

    holding = [asyncio.create_task(hold(number)) for number in range(count)]
    await asyncio.sleep(0.5)
    beside = await load(served, photos, 1, 20)
    await asyncio.gather(*holding)
    return {
        "clients": count,
        "closed after": {"first": min(closed), "last": max(closed)},
        "p99 alone": alone,
        "p99 beside them": beside["p99"],
        "statuses": beside["statuses"],
    }


def predict_rate(run: Path, photos: Sequence[bytes]) -> dict[str, float]:
    """Return what `Model.predict` does with the same photos in memory, and the engine alone, one by one."""
    import hubtune
    from hubtune.data.images.preprocessing import preprocess_views

    model = hubtune.load_model(run)
    contents = [*photos] * max(1, 600 // len(photos))
    [*model.predict(contents[:40])]
    start, cpu = time.perf_counter(), time.process_time()
    [*model.predict(contents)]
    rate = len(contents) / (time.perf_counter() - start)
    cpu = 1000 * (time.process_time() - cpu) / len(contents)
    single = []
    for content in photos[:100]:
        start = time.perf_counter()
        model.begin(preprocess_views("x", model.card.views, content))()
        single.append(time.perf_counter() - start)
    return {
        "images a second": rate,
        "CPU ms an image": cpu,
        "one image, decoding and engine: p50": statistics.median(single),
    }


def measure(run: Path, photos: Sequence[bytes], only: Sequence[str], bodies: int) -> dict[str, Any]:
    """Run the measurements that are asked for, and return their figures."""
    figures: dict[str, Any] = {"load average before": os.getloadavg(), "cores": os.cpu_count()}
    if "load" in only:
        figures["predict"] = predict_rate(run, photos)
    served = Served(run)
    figures["seconds until the port is open"] = served.seconds_to_open

    async def all_of_them() -> None:
        await load(served, photos, 4, 2)
        if "load" in only:
            figures["load"] = [await load(served, photos, clients, 20) for clients in (1, 8, 32)]
        if "burst" in only:
            figures["burst"] = [await burst(served, photos) for _ in range(3)]
            figures["8 clients"] = await load(served, photos, 8, 15)
            figures["overload"] = await overload(served, photos, 1000, 30)
            figures["8 clients again"] = await load(served, photos, 8, 15)
        if "damaged" in only:
            figures["damaged"] = await damaged(served, photos, bodies)
        if "slow" in only:
            figures["slow"] = await slow_clients(served, photos)

    asyncio.run(all_of_them())
    figures["stop"] = served.stop()
    figures["load average after"] = os.getloadavg()
    if "load" in only:
        figures["predict again"] = predict_rate(run, photos)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path, help="a folder")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", nargs="+", default=["load", "burst", "damaged", "slow"])
    parser.add_argument("--bodies", type=int, default=10_000, help="damaged bodies")
    given = parser.parse_args()
    files = sorted(path for path in given.photos.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    photos = [path.read_bytes() for path in files[:: max(1, len(files) // 200)]][:200]
    figures = measure(given.run, photos, given.only, given.bodies)
    text = json.dumps(figures, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
