"""The cache of weights: a file is there whole and right, or not at all, and messages say what to do."""

import errno
import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.download_server import CONTENT, MD5, NAME, SHA256, page, serving, stall, status, whole
from support.waiting import HANG_SECONDS, wait_for

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.hub import weights_cache
from hubtune.hub.weights_cache import cache_path, cached_files, fetch_file
from hubtune.storage import published_file
from hubtune.storage.atomic import with_ending
from hubtune.storage.published_file import TRIES, ExpectedFile, checksum_record


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(published_file, "PAUSE_SECONDS", 0.0)
    with serving() as running:
        yield running


def put_into_cache(server, content):
    """Do by hand what a person does."""
    path = cache_path(server.url)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def fetched(url, **expected):
    return fetch_file(url, ExpectedFile(**expected)).read_bytes()


def ranges(server):
    return [request.headers.get("Range") for request in server.requests]


def refusal(kind, url, **expected):
    with pytest.raises(kind) as error:
        fetched(url, **expected)
    return str(error.value)


def test_a_file_is_fetched_once(server):
    progress = []
    expected = ExpectedFile(sha256=SHA256.upper())
    path = fetch_file(server.url, expected, progress=lambda *state: progress.append(state))
    assert path == cache_path(server.url) == fetch_file(server.url, expected)
    assert (path.read_bytes(), progress[-1]) == (CONTENT, (len(CONTENT), len(CONTENT)))
    assert (len(server.requests), cached_files()) == (1, {path: [path]})


def test_paths_differ_by_address_and_stay_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path))
    assert cache_path("https://a.org/x/w.pdparams") != cache_path("https://a.org/y/w.pdparams")
    for url in ("https://a.org/x/w.pdparams", "https://a.org/..%2f..%2fetc/%00", "https://a.org/.."):
        assert cache_path(url).parent == tmp_path / "weights"
        assert cache_path(url).name.startswith(("w-", "_-", "file-"))


BROKEN = [whole(b"x" + CONTENT[1:])]
WRONG = "is not the published file: it has the "


@pytest.mark.parametrize(
    ("plan", "expected", "kind", "message", "requests"),
    [
        ([whole(end=300_000), page], {}, MachineError, "an HTML page, perhaps a login or error page", TRIES),
        (BROKEN, {"sha256": SHA256}, ModelError, f"{WRONG}sha256 ", TRIES),
        (BROKEN, {"md5": MD5}, ModelError, f"{WRONG}md5 ", TRIES),
        ([status(404)], {}, MachineError, "127.0.0.1: the server answers 404", 1),
        ([status(503)], {}, MachineError, "127.0.0.1: the server answers 503", TRIES),
    ],
)
def test_what_is_not_the_file_is_refused_and_only_passing_troubles_are_tried_again(
    server, plan, expected, kind, message, requests
):
    server.plan = plan
    assert message in refusal(kind, server.url, **expected)
    assert len(server.requests) == requests
    assert not cache_path(server.url).exists()


def test_mirrors_are_tried_in_order_and_complete_what_the_first_server_began(server, monkeypatch):
    monkeypatch.setenv("HUBTUNE_MIRROR", f"{server.base}/one/, {server.base}/two")
    server.plan = [whole(end=300_000), status(404), status(404), whole(tag='"other"')]
    assert fetched(server.url, sha256=SHA256) == CONTENT
    assert [request.path for request in server.requests] == [NAME, NAME, f"/one{NAME}", f"/two{NAME}"]
    assert ranges(server) == [None, *["bytes=300000-"] * 3]


def test_addresses_of_another_kind_are_refused(server, monkeypatch):
    for url in ("file:///etc/passwd", "w.pdparams", "http://["):
        assert "no http or https address" in refusal(ModelError, url)
    monkeypatch.setenv("HUBTUNE_MIRROR", "/srv/mirror")
    assert "HUBTUNE_MIRROR holds '/srv/mirror'" in refusal(UsageError, server.url)


@pytest.mark.parametrize(
    ("expected", "of"), [({"sha256": SHA256}, Path), ({"md5": MD5}, Path), ({}, Path), ({}, checksum_record)]
)
def test_a_damaged_file_or_record_is_fetched_again_with_a_warning(server, expected, of, told):
    of(fetch_file(server.url, ExpectedFile(**expected))).write_bytes(b"x" + CONTENT[1:])
    assert fetched(server.url, **expected) == CONTENT
    assert "it is deleted and fetched again" in told.text
    assert len(server.requests) == 2


def test_a_file_put_into_the_cache_by_hand_is_recorded_at_first_use(server, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    put_into_cache(server, CONTENT)
    with monkeypatch.context() as patch:  # a shared cache that cannot be written can be used all the same
        patch.setattr(published_file, "write_atomically", read_only)
        assert fetched(server.url) == CONTENT
    assert not checksum_record(cache_path(server.url)).exists()
    assert fetched(server.url) == CONTENT
    assert not server.requests
    put_into_cache(server, CONTENT[1:])
    assert fetched(server.url) == CONTENT
    assert len(server.requests) == 1


def test_another_file_than_the_first_is_refused_until_the_record_is_deleted(server):
    path = fetch_file(server.url, ExpectedFile())
    path.unlink()
    server.plan = [whole(b"other")]
    assert refusal(ModelError, server.url) == (
        f"What {server.url} holds is not the file that was first used: it has the sha256 "
        f"{hashlib.sha256(b'other').hexdigest()} instead of {SHA256}, and was thrown away. If its publisher "
        f"has replaced it, delete {checksum_record(path)} to accept the new one."
    )
    assert not path.exists()
    checksum_record(path).unlink()
    assert fetched(server.url) == b"other"


def test_without_a_network_or_offline_the_message_says_what_to_do(server, monkeypatch):
    path = fetch_file(server.url, ExpectedFile())
    server.plan = [status(503)]
    other = server.base + "/other.pdparams"
    message = refusal(MachineError, other)
    for part in ("fetching it failed (127.0.0.1: ", other, str(cache_path(other)), "HUBTUNE_MIRROR"):
        assert part in message

    def forbidden(*_, **__):
        raise AssertionError("a network call")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, forbidden)
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert fetch_file(server.url, ExpectedFile()) == path
    assert refusal(MachineError, other) == (
        "The weights other.pdparams cannot be used: the file is not in the cache, and HUBTUNE_OFFLINE "
        f"forbids fetching it. Fetch {other} on another machine, and put it at {cache_path(other)}, or "
        "name a file as its weights (`-o module.weights=FILE`, elsewhere `--weights FILE`)."
    )
    path.write_bytes(b"x")
    assert "has the sha256" in refusal(MachineError, server.url)
    assert path.exists()


def test_a_full_disk_or_a_cache_inside_a_file_is_a_machine_error(server, monkeypatch, tmp_path):
    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        advice = "No space left on device. Free some space or set HUBTUNE_HOME"
        assert advice in refusal(MachineError, server.url)
    assert not cache_path(server.url).exists()
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file"))
    assert "set HUBTUNE_HOME" in refusal(MachineError, server.url)


def start_fetching(url):
    code = "from hubtune.hub.weights_cache import *; print(fetch_file(sys.argv[1], ExpectedFile()))"
    command = [sys.executable, "-c", f"import sys; {code}", url]
    return subprocess.Popen(command, cwd=Path(weights_cache.__file__).parents[2], stdout=subprocess.PIPE)


def test_two_processes_at_once_download_once(server):
    server.plan = [whole(pause=0.05)]
    processes = [start_fetching(server.url) for _ in range(2)]
    outputs = {process.communicate(timeout=HANG_SECONDS)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert (len(outputs), len(server.requests)) == (1, 1)
    assert cache_path(server.url).read_bytes() == CONTENT


def test_another_process_resumes_a_killed_download(server):
    server.plan = [stall, whole()]
    process = start_fetching(server.url)
    path = cache_path(server.url)
    parts = [with_ending(path, ".part"), with_ending(path, ".part.json")]
    wait_for(lambda: parts[0].exists() and parts[0].stat().st_size > 0)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate(timeout=HANG_SECONDS)
    assert not path.exists()
    assert weights_cache.partial_downloads() == {path: parts}
    assert fetched(server.url) == CONTENT
    assert ranges(server)[1].startswith("bytes=")
    assert weights_cache.partial_downloads() == {}
