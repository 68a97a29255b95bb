"""What all tests share: drawn photos, no network, a cache and a working folder of their own."""

import logging
import os
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from support.images import draw_tree
from support.object_service import make_bucket, running_moto, use_endpoint
from support.waiting import HANG_SECONDS

from hubtune.log import logger

# A busy machine makes no example too slow.
settings.register_profile("hubtune", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hubtune")
_LOCAL = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's cache or working folder, or any machine but this one; all read English."""
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path_factory.mktemp("home")))
    # Nor what other programs have in the user's home.
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("user")))
    monkeypatch.delenv("HUB_HOME", raising=False)
    monkeypatch.setenv("HUBTUNE_LANG", "en")
    monkeypatch.delenv("HUBTUNE_OFFLINE", raising=False)
    monkeypatch.delenv("HUBTUNE_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    connect = socket.socket.connect

    def only_local(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in _LOCAL:
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_local)


@pytest.fixture(scope="session")
def material() -> Path:
    """Real weights, photos and awkward files; they are not part of the project."""
    folder = os.environ.get("HUBTUNE_TEST_MATERIAL")
    if not folder:
        pytest.skip("HUBTUNE_TEST_MATERIAL is not set: no folder with real weights, photos and awkward files")
    return Path(folder)


@pytest.fixture
def draw_photos() -> Callable[..., Path]:
    """Draws a folder-per-class tree whose classes differ in colour, with noise and other sizes."""
    return draw_tree


@pytest.fixture
def run_hubtune() -> Callable[..., "object"]:
    """Runs the command line in a process of its own."""
    import subprocess

    def run(
        *arguments: object, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from hubtune.cli.main import main; main()", *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            cwd=cwd,
            env={**os.environ, **environment},
            timeout=HANG_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def run_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SimpleNamespace]:
    """Runs the command line in this process: quicker, and the network is forbidden."""
    from hubtune.cli.main import main
    from hubtune.log import logger

    def run(*arguments: object, cwd: Path | None = None) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["hubtune", *map(str, arguments)])
        # What the log is shown on ends with the test.
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "propagate", logger.propagate)
        if cwd is not None:
            monkeypatch.chdir(cwd)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with warnings.catch_warnings(), pytest.raises(SystemExit) as end:
            main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=end.value.code, stdout=out, stderr=err)

    return run


@pytest.fixture
def told(caplog, monkeypatch):
    """What is logged, once, whether or not a command has been run before."""
    caplog.set_level(logging.DEBUG, logger.name)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    return caplog


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """The endpoint of a server with S3's protocol in this process."""
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An empty bucket: its ``name``, boto3's ``client``, and ``at(path)``, which returns an address."""
    use_endpoint(monkeypatch, moto_endpoint)
    name = f"b{secrets.token_hex(6)}"
    client = make_bucket(name)
    return SimpleNamespace(name=name, client=client, at=lambda path: f"s3://{name}/{path}")
