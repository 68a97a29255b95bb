"""The cache of weights: a file is there whole and right, or not at all, and messages say what to do."""

import errno
import hashlib
import logging
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
from hubtune.hub.weights_cache import (
    TRIES,
    ExpectedFile,
    add_to_cache,
    cache_path,
    cached_files,
    checksum_record,
    delete_cached_file,
    fetch_file,
    partial_downloads,
)
from hubtune.storage import download
from hubtune.storage.atomic import with_ending
from hubtune.storage.lock import exclusive_lock

CHECKSUMS = ({"sha256": SHA256}, {"md5": MD5}, {})


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(weights_cache, "PAUSE_SECONDS", 0.0)
    with serving() as running:
        yield running


@pytest.fixture
def cached(server):
    """Puts a file into the cache by hand, as a person does."""

    def put(content):
        path = cache_path(server.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put


def fetched(url, **expected):
    return fetch_file(url, ExpectedFile(**expected)).read_bytes()


def other_names():
    """Names in the cache, except the weights themselves and the locks."""
    folder = cache_path("x").parent
    return sorted(file.name for file in folder.iterdir() if file.suffix not in (".pdparams", ".lock"))


def ranges(server):
    return [request.headers.get("Range") for request in server.requests]


def test_a_file_is_fetched_once(server):
    progress = []
    expected = ExpectedFile(sha256=SHA256.upper())
    path = fetch_file(server.url, expected, progress=lambda *state: progress.append(state))
    assert path == cache_path(server.url) == fetch_file(server.url, expected)
    assert (path.read_bytes(), progress[-1]) == (CONTENT, (len(CONTENT), len(CONTENT)))
    assert path.name.startswith("Net_pretrained-") and path.suffix == ".pdparams"
    assert (len(server.requests), other_names()) == (1, [])


def test_paths_differ_by_address_and_stay_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path))
    assert cache_path("https://a.org/x/w.pdparams") != cache_path("https://a.org/y/w.pdparams")
    for url in ("https://a.org/x/w.pdparams", "https://a.org/..%2f..%2fetc/%00"):
        assert cache_path(url).parent == tmp_path / "weights"
    for url in ("https://a.org", "https://a.org/.."):
        assert cache_path(url).name.startswith("file-")


@pytest.mark.parametrize("expected", CHECKSUMS)
def test_a_broken_connection_is_resumed(server, expected):
    server.plan = [whole(end=300_000), whole(end=700_000), whole()]
    assert fetched(server.url, **expected) == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=700000-"]
    assert [name for name in other_names() if ".part" in name] == []


def test_a_login_page_is_not_taken_for_weights(server):
    server.plan = [whole(end=300_000), page]
    with pytest.raises(MachineError, match="an HTML page, perhaps a login or error page") as error:
        fetched(server.url)
    assert str(cache_path(server.url)) in str(error.value)
    assert not cache_path(server.url).exists()


@pytest.mark.parametrize("expected", CHECKSUMS[:2])
def test_other_bytes_than_published_are_a_model_error(server, expected):
    server.plan = [whole(b"x" + CONTENT[1:])]
    [kind] = expected
    with pytest.raises(ModelError, match=f"is not the published file: it has the {kind} .* instead of"):
        fetched(server.url, **expected)
    assert len(server.requests) == TRIES
    assert not cache_path(server.url).exists()


@pytest.mark.parametrize(("code", "requests"), [(404, 1), (503, TRIES)])
def test_only_passing_troubles_are_tried_again(server, code, requests):
    server.plan = [status(code)]
    with pytest.raises(MachineError, match=f"127.0.0.1: the server answers {code}"):
        fetched(server.url)
    assert len(server.requests) == requests


def test_mirrors_are_tried_in_order_and_complete_what_the_first_server_began(server, monkeypatch):
    monkeypatch.setenv("HUBTUNE_MIRROR", f"{server.base}/one/, {server.base}/two")
    server.plan = [whole(end=300_000), status(404), status(404), whole(tag='"other"')]
    assert fetched(server.url, sha256=SHA256) == CONTENT
    assert [request.path for request in server.requests] == [NAME, NAME, f"/one{NAME}", f"/two{NAME}"]
    assert ranges(server) == [None, *["bytes=300000-"] * 3]


def test_addresses_of_another_kind_are_refused(server, monkeypatch):
    for url in ("file:///etc/passwd", "w.pdparams", "http://["):
        with pytest.raises(ModelError, match="no http or https address"):
            fetched(url)
    monkeypatch.setenv("HUBTUNE_MIRROR", "/srv/mirror")
    with pytest.raises(UsageError, match="HUBTUNE_MIRROR holds '/srv/mirror'"):
        fetched(server.url)


@pytest.mark.parametrize("expected", CHECKSUMS)
def test_a_damaged_cached_file_is_fetched_again_with_a_warning(server, expected, caplog):
    path = fetch_file(server.url, ExpectedFile(**expected))
    path.write_bytes(b"x" + CONTENT[1:])
    with caplog.at_level(logging.WARNING, "hubtune"):
        assert fetched(server.url, **expected) == CONTENT
    assert "it is deleted and fetched again" in caplog.text
    assert len(server.requests) == 2


def test_a_damaged_record_means_a_new_download(server):
    checksum_record(fetch_file(server.url, ExpectedFile())).write_text("[")
    assert fetched(server.url) == CONTENT
    assert len(server.requests) == 2


def test_a_file_put_into_the_cache_by_hand_is_recorded_at_first_use(server, cached):
    cached(CONTENT)
    assert fetched(server.url) == CONTENT
    assert not server.requests
    cached(CONTENT[1:])
    assert fetched(server.url) == CONTENT
    assert len(server.requests) == 1


def test_a_read_only_cache_can_be_used(server, cached, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    cached(CONTENT)
    monkeypatch.setattr(weights_cache, "write_atomically", read_only)
    assert fetched(server.url) == CONTENT
    assert not server.requests


@pytest.mark.parametrize("by_hand", [b"other", b"<html>", None])
def test_wrong_content_is_never_recorded(server, cached, by_hand):
    expected = {"find_error": lambda file: None if file.read_bytes() == CONTENT else "is not it"}
    if by_hand:
        cached(by_hand)
    server.plan = [whole(b'{"error": "rate limited"}'), whole()]
    assert fetched(server.url, **expected) == CONTENT
    server.plan = [whole(b"{}")]
    with pytest.raises(ModelError, match="is not the published file: it is not it"):
        fetched(server.base + "/other.pdparams", **expected)
    assert other_names() == [checksum_record(cache_path(server.url)).name]


def test_another_file_than_the_first_is_refused_until_the_record_is_deleted(server):
    path = fetch_file(server.url, ExpectedFile())
    path.unlink()
    server.plan = [whole(b"other")]
    with pytest.raises(ModelError) as refusal:
        fetched(server.url)
    assert str(refusal.value) == (
        f"What {server.url} holds is not the file that was first used: it has the sha256 "
        f"{hashlib.sha256(b'other').hexdigest()} instead of {SHA256}, and was thrown away. If its publisher "
        f"has replaced it, delete {checksum_record(path)} to accept the new one."
    )
    assert not path.exists()
    checksum_record(path).unlink()
    assert fetched(server.url) == b"other"


def test_offline_makes_no_network_call_and_says_what_to_do(server, monkeypatch):
    path = fetch_file(server.url, ExpectedFile())
    other = server.base + "/other.pdparams"

    def forbidden(*_, **__):
        raise AssertionError("a network call")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, forbidden)
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert fetch_file(server.url, ExpectedFile()) == path
    with pytest.raises(MachineError) as error:
        fetched(other)
    assert str(error.value) == (
        "The weights other.pdparams cannot be used: the file is not in the cache, and HUBTUNE_OFFLINE "
        f"forbids fetching it. Fetch {other} on another machine, and put it at {cache_path(other)}, or "
        "name a file as its weights (`-o module.weights=FILE`, elsewhere `--weights FILE`)."
    )
    path.write_bytes(b"x")
    with pytest.raises(MachineError, match="has the sha256"):
        fetched(server.url)
    assert path.exists()


def test_no_network_gives_the_same_advice(monkeypatch):
    monkeypatch.setattr(weights_cache, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 1.0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/w.pdparams"
        with pytest.raises(MachineError) as error:
            fetched(url)
    for part in ("fetching it failed (127.0.0.1: ", url, str(cache_path(url)), "HUBTUNE_MIRROR"):
        assert part in str(error.value)


def test_a_full_disk_is_a_machine_error_and_leaves_no_file(server, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"No space left on device\. Free some space or set HUBTUNE_HOME"):
        fetched(server.url)
    assert not cache_path(server.url).exists()


def test_a_cache_inside_a_file_is_a_machine_error(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file"))
    with pytest.raises(MachineError, match="set HUBTUNE_HOME"):
        fetched(server.url)


def test_an_interrupt_keeps_the_part_for_the_next_call(server):
    def interrupt(done, _):
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_file(server.url, ExpectedFile(sha256=SHA256), progress=interrupt)
    path = cache_path(server.url)
    assert not path.exists()
    assert partial_downloads() == {path: [with_ending(path, ".part"), with_ending(path, ".part.json")]}
    assert fetched(server.url, sha256=SHA256) == CONTENT
    assert ranges(server)[0] is None and ranges(server)[1].startswith("bytes=")
    assert partial_downloads() == {}


def test_files_are_added_and_deleted_unless_another_process_is_at_work(tmp_path):
    (tmp_path / "w").write_bytes(CONTENT)
    path = add_to_cache(tmp_path / "w", "https://a.org/w.pdparams")
    files = {path: [path, checksum_record(path)]}
    assert (path.read_bytes(), cached_files()) == (CONTENT, files)
    with exclusive_lock(with_ending(path, ".lock")):
        assert not delete_cached_file(path, files[path])
    assert cached_files() == files
    assert delete_cached_file(path, files[path])
    assert cached_files() == {}


def start_fetching(url):
    code = (
        "import sys; from hubtune.hub.weights_cache import ExpectedFile, fetch_file; "
        "print(fetch_file(sys.argv[1], ExpectedFile()))"
    )
    root = Path(weights_cache.__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", code, url], cwd=root, stdout=subprocess.PIPE)


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
    part = with_ending(cache_path(server.url), ".part")
    wait_for(lambda: part.exists() and part.stat().st_size > 0)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate(timeout=HANG_SECONDS)
    assert not cache_path(server.url).exists()
    assert fetched(server.url) == CONTENT
    assert ranges(server)[1].startswith("bytes=")
