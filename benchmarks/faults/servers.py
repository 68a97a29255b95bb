"""A server of files that fails as it is asked to, in a process of its own."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.faults.children import ROOT, fork, wait

sys.path.append(str(ROOT / "tests"))

from support import download_server  # below tests/

_PATIENCE_SECONDS = 60.0
NAME = download_server.NAME


@contextlib.contextmanager
def serving(*plans: Any) -> Iterator[str]:
    """Run a server while the block runs; yields its base address.

    Args:
        plans: one for each request, from ``tests/support/download_server.py``; the last one stays.
    """
    with TemporaryDirectory(prefix="hubtune-faults-") as folder:
        note = Path(folder) / "port"

        def serve() -> None:
            server = download_server.Server()
            server.plan = list(plans)
            note.with_suffix(".part").write_text(server.base)
            note.with_suffix(".part").rename(note)
            server.serve_forever(0.05)

        child = fork(serve)
        try:
            yield _read(note)
        finally:
            os.kill(child, signal.SIGKILL)
            wait(child, _PATIENCE_SECONDS)


def _read(note: Path) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not note.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    return note.read_text()


def raw(answer: bytes) -> Any:
    """Return a plan that sends these bytes and closes the connection."""

    def plan(request: Any) -> None:
        request.wfile.write(answer)

    return plan


def whole(content: bytes, **options: Any) -> Any:
    """Return a plan that sends a file properly, or up to ``end``."""
    return download_server.whole(content, **options)


def plans_of(names: Sequence[str]) -> list[Any]:
    """Return plans of ``tests/support/download_server.py`` by their names."""
    return [getattr(download_server, name) for name in names]
