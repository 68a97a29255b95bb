"""Downloads from a server that fails in every way: a file is in the cache whole and right, or not at all."""

import errno
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.download_server import (
    CONTENT,
    MD5,
    NAME,
    SHA256,
    Server,
    chunked,
    ignoring_ranges,
    page,
    serving,
    silence,
    stall,
    status,
    time_out_when_stalled,
    whole,
    without_length,
    wrong_part,
)
from support.waiting import HANG_SECONDS, wait_for

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.hub import weights_cache
from hubtune.storage import cache_folder, download

ROOT = Path(weights_cache.__file__).parents[2]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("HUBTUNE_OFFLINE", "HUBTUNE_MIRROR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("hubtune.hub.weights_cache.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(download, "READ_SECONDS", HANG_SECONDS)
    with serving() as running:
        yield running


def leftovers() -> list[str]:
    """Names in the cache but for the weights themselves and the lock."""
    path = weights_cache.cache_path("x")
    return sorted(file.name for file in path.parent.iterdir() if file.suffix not in (".pdparams", ".lock"))


def ranges(server: Server) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def test_a_file_is_fetched_once(server: Server) -> None:
    seen: list[tuple[int, int | None]] = []
    path = weights_cache.fetch_file(
        server.url, weights_cache.ExpectedFile(sha256=SHA256), progress=lambda *state: seen.append(state)
    )
    assert path == weights_cache.cache_path(server.url)
    assert path.read_bytes() == CONTENT
    assert path.name.startswith("Net_pretrained-")
    assert path.suffix == ".pdparams"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256)) == path
    assert len(server.requests) == 1
    assert leftovers() == []


def test_places_are_in_the_chosen_home_and_differ_by_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path))
    one, two = (
        weights_cache.cache_path("https://a.org/x/w.pdparams"),
        weights_cache.cache_path("https://a.org/y/w.pdparams"),
    )
    assert one != two
    assert one.parent == two.parent == tmp_path / "weights"
    assert weights_cache.cache_path("https://a.org/..%2f..%2fetc/%00").parent == tmp_path / "weights"
    assert weights_cache.cache_path("https://a.org").name.startswith("file-")
    assert weights_cache.cache_path("https://a.org/..").name.startswith("file-")
    monkeypatch.delenv("HUBTUNE_HOME")
    assert cache_folder.cache_root() == Path.home() / ".cache" / "hubtune"


@pytest.mark.parametrize("sums", [{"sha256": SHA256.upper()}, {"md5": MD5}, {}])
def test_a_broken_connection_is_resumed_where_it_broke(server: Server, sums: dict[str, str]) -> None:
    server.plan = [whole(end=300_000), whole(end=700_000), whole()]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(**sums)).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=700000-"]
    assert [name for name in leftovers() if ".part" in name] == []


def test_without_a_sum_or_a_validator_nothing_is_resumed(server: Server) -> None:
    server.plan = [whole(tag=None, end=300_000), whole(tag=None)]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_a_server_that_ignores_ranges_starts_over(server: Server) -> None:
    server.plan = [whole(end=300_000), ignoring_ranges]
    assert (
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256)).read_bytes()
        == CONTENT
    )
    assert ranges(server) == [None, "bytes=300000-"]


def test_a_file_that_changes_between_two_requests_is_not_mixed(server: Server) -> None:
    new = CONTENT[::-1]
    server.plan = [whole(end=300_000), whole(new, '"2"')]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == new


def test_a_part_of_another_file_is_thrown_away(server: Server) -> None:
    server.plan = [whole(end=300_000), wrong_part, whole()]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=300000-", None]


def test_a_file_that_became_shorter_is_fetched_anew(server: Server) -> None:
    server.plan = [whole(end=300_000), whole(CONTENT[:1000])]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT[:1000]


def test_a_stalled_server_is_given_up_and_asked_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_out_when_stalled(monkeypatch, server)
    server.plan = [stall, whole()]
    assert (
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256)).read_bytes()
        == CONTENT
    )
    assert ranges(server) == [None, "bytes=300000-"]


def test_a_server_that_never_answers_gives_a_machine_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_out_when_stalled(monkeypatch, server)
    server.plan = [silence]
    with pytest.raises(MachineError, match="the server does not answer in time"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    assert len(server.requests) == weights_cache.TRIES


def test_a_slow_server_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(time, "monotonic", lambda: next(hours))  # much longer than the limit in all
    server.plan = [whole(pause=0.01)]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert len(server.requests) == 1


def test_a_login_page_is_not_taken_for_weights(server: Server) -> None:
    server.plan = [whole(end=300_000), page]
    with pytest.raises(MachineError, match="an HTML page, perhaps a login or error page") as error:
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    assert not weights_cache.cache_path(server.url).exists()
    assert str(weights_cache.cache_path(server.url)) in str(error.value)
    server.plan = [whole()]  # what was there before the page is still good
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=300000-"


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_changed_bytes_give_a_model_error_after_the_tries(server: Server, kind: str) -> None:
    server.plan = [whole(b"x" + CONTENT[1:])]
    wanted = {"sha256": SHA256, "md5": MD5}[kind]
    with pytest.raises(ModelError, match=f"is not the published file: it has the {kind} .* instead of"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(**{kind: wanted}))
    assert len(server.requests) == weights_cache.TRIES
    assert not weights_cache.cache_path(server.url).exists()
    server.plan = [whole()]
    assert (
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(**{kind: wanted})).read_bytes()
        == CONTENT
    )


def test_a_file_whose_length_is_unknown_needs_a_sum(server: Server) -> None:
    server.plan = [without_length]
    with pytest.raises(MachineError, match="does not tell the file's length"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    assert len(server.requests) == 1
    assert (
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256)).read_bytes()
        == CONTENT
    )


def test_chunks_tell_the_end_by_themselves(server: Server) -> None:
    server.plan = [chunked]
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT


@pytest.mark.parametrize(("code", "requests"), [(404, 1), (403, 1), (503, weights_cache.TRIES)])
def test_only_passing_troubles_are_tried_again(server: Server, code: int, requests: int) -> None:
    server.plan = [status(code)]
    with pytest.raises(MachineError, match=f"127.0.0.1: the server answers {code}"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    assert len(server.requests) == requests


def test_mirrors_are_asked_in_order_with_the_official_path(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBTUNE_MIRROR", f"{server.base}/one/, {server.base}/two")
    server.plan = [status(404), status(404), whole()]
    path = weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256))
    assert path == weights_cache.cache_path(server.url)
    assert [request.path for request in server.requests] == [NAME, f"/one{NAME}", f"/two{NAME}"]


def test_a_mirror_completes_what_the_official_server_began_if_there_is_a_sum(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBTUNE_MIRROR", f"{server.base}/one")
    server.plan = [whole(end=300_000), status(404), whole(tag='"other"')]
    assert (
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256)).read_bytes()
        == CONTENT
    )
    assert ranges(server) == [None, "bytes=300000-", "bytes=300000-"]


def test_addresses_of_another_kind_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("file:///etc/passwd", "ftp://a.org/x", "w.pdparams", "http://", "http://[x"):
        with pytest.raises(ModelError, match="no http or https address"):
            weights_cache.fetch_file(url, weights_cache.ExpectedFile())
    monkeypatch.setenv("HUBTUNE_MIRROR", "/srv/mirror")
    with pytest.raises(UsageError, match="HUBTUNE_MIRROR holds '/srv/mirror'"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())


def test_a_redirection_to_a_file_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    target = (tmp_path / "secret").as_uri()
    server.plan = [lambda answer: answer.head(302, 0, Location=target)]
    with pytest.raises(MachineError):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())


@pytest.mark.parametrize("sums", [{"sha256": SHA256}, {"md5": MD5}, {}])
def test_a_damaged_cached_file_is_replaced_and_that_is_said(
    server: Server, sums: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    path = weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(**sums))
    path.write_bytes(b"x" + CONTENT[1:])
    with caplog.at_level(logging.WARNING, "hubtune"):
        assert (
            weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(**sums)).read_bytes() == CONTENT
        )
    assert "it is deleted and fetched again" in caplog.text
    assert len(server.requests) == 2


def test_a_damaged_record_means_a_new_download(server: Server) -> None:
    path = weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    path.with_name(path.name + ".json").write_text("[")
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_file_put_into_the_cache_by_hand_is_recorded_at_first_use(server: Server) -> None:
    path = weights_cache.cache_path(server.url)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()) == path
    path.write_bytes(CONTENT[1:])
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_can_be_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    path = weights_cache.cache_path(server.url)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(weights_cache, "write_atomically", read_only)
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()) == path
    assert not server.requests


def test_content_that_is_no_good_is_not_recorded_but_asked_for_again(server: Server) -> None:
    known = weights_cache.ExpectedFile(
        find_error=lambda file: None if file.read_bytes() == CONTENT else "is not it"
    )
    server.plan = [whole(b'{"error": "rate limited"}'), whole()]
    assert weights_cache.fetch_file(server.url, known).read_bytes() == CONTENT
    server.plan = [whole(b"{}")]
    other = server.base + "/other.pdparams"
    with pytest.raises(ModelError, match="is not the published file: it is not it"):
        weights_cache.fetch_file(other, known)
    assert leftovers() == [weights_cache.checksum_record(weights_cache.cache_path(server.url)).name]


def test_a_file_put_there_by_hand_is_not_recorded_if_it_is_no_good(server: Server) -> None:
    path = weights_cache.cache_path(server.url)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other")
    known = weights_cache.ExpectedFile(
        find_error=lambda file: None if file.read_bytes() == CONTENT else "is not it"
    )
    assert weights_cache.fetch_file(server.url, known).read_bytes() == CONTENT


def test_another_file_than_was_first_fetched_is_refused_until_the_record_is_deleted(server: Server) -> None:
    path = weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    path.unlink()
    server.plan = [whole(b"other")]
    with pytest.raises(ModelError) as refusal:
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    record = weights_cache.checksum_record(path)
    other = hashlib.sha256(b"other").hexdigest()
    assert str(refusal.value) == (
        f"What {server.url} holds is not the file that was first used: it has the sha256 "
        f"{other} instead of {SHA256}, and was thrown away. If its publisher has replaced it, delete "
        f"{record} to accept the new one."
    )
    assert not path.exists()
    record.unlink()
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == b"other"


def test_a_page_put_into_the_cache_by_hand_is_replaced(server: Server) -> None:
    path = weights_cache.cache_path(server.url)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<html>")
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT


def test_offline_makes_no_network_call_and_says_what_to_do(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    other = server.base + "/other.pdparams"

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a network call")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, forbidden)
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()) == path
    with pytest.raises(MachineError) as error:
        weights_cache.fetch_file(other, weights_cache.ExpectedFile())
    assert str(error.value) == (
        "The weights other.pdparams cannot be used: the file is not in the cache, and HUBTUNE_OFFLINE "
        f"forbids to fetch it. Fetch {other} on another machine, and put it at "
        f"{weights_cache.cache_path(other)}, or "
        "name a file as its weights (`-o module.weights=FILE`, elsewhere `--weights FILE`)."
    )
    path.write_bytes(b"x")
    with pytest.raises(MachineError, match="has the sha256"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    assert path.exists()


def test_no_network_gives_the_same_advice(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/w.pdparams"
        monkeypatch.setattr(download, "CONNECT_SECONDS", 1.0)
        with pytest.raises(MachineError) as error:
            weights_cache.fetch_file(url, weights_cache.ExpectedFile())
    assert error.value.exit_code == 5
    for words in (
        "fetching it failed (127.0.0.1: ",
        url,
        str(weights_cache.cache_path(url)),
        "HUBTUNE_MIRROR",
    ):
        assert words in str(error.value)


def test_an_unknown_host_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(MachineError, match=r"nowhere\.invalid: Name or service not known"):
        weights_cache.fetch_file("https://nowhere.invalid/w.pdparams", weights_cache.ExpectedFile())


def test_a_full_disk_is_a_machine_error_and_leaves_no_file(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"No space left on device\. Free some space or set HUBTUNE_HOME"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    assert not weights_cache.cache_path(server.url).exists()


def test_a_home_that_is_a_file_is_a_machine_error(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file"))
    with pytest.raises(MachineError, match="set HUBTUNE_HOME"):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())


def test_an_interrupt_keeps_the_part_for_the_next_call(server: Server) -> None:
    def interrupt(done: int, _: int | None) -> None:
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256), progress=interrupt)
    assert not weights_cache.cache_path(server.url).exists()
    assert (
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile(sha256=SHA256)).read_bytes()
        == CONTENT
    )
    assert ranges(server)[0] is None
    assert str(ranges(server)[1]).startswith("bytes=")


def test_a_whole_part_that_was_never_renamed_does_no_harm(server: Server) -> None:
    server.plan = [whole(end=len(CONTENT) - 1), status(404), whole()]
    with pytest.raises(MachineError):
        weights_cache.fetch_file(server.url, weights_cache.ExpectedFile())
    part = next(weights_cache.cache_path(server.url).parent.glob("*.part"))
    part.write_bytes(CONTENT + b"x")
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT


def start_fetching(url: str) -> "subprocess.Popen[bytes]":
    code = (
        "import sys; from hubtune.hub import weights_cache as cache; "
        "print(cache.fetch_file(sys.argv[1], cache.ExpectedFile()))"
    )
    return subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT, stdout=subprocess.PIPE)


def test_two_processes_at_once_download_once(server: Server) -> None:
    server.plan = [whole(pause=0.05)]
    processes = [start_fetching(server.url) for _ in range(2)]
    outputs = [process.communicate(timeout=HANG_SECONDS)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(server.requests) == 1
    assert weights_cache.cache_path(server.url).read_bytes() == CONTENT


def test_a_killed_download_is_resumed_by_another_process(server: Server) -> None:
    server.plan = [stall, whole()]
    process = start_fetching(server.url)
    part = weights_cache.cache_path(server.url).with_name(weights_cache.cache_path(server.url).name + ".part")
    wait_for(lambda: part.exists() and part.stat().st_size > 0)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate(timeout=HANG_SECONDS)
    assert not weights_cache.cache_path(server.url).exists()
    assert weights_cache.fetch_file(server.url, weights_cache.ExpectedFile()).read_bytes() == CONTENT
    assert str(ranges(server)[1]).startswith("bytes=")
