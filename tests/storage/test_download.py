"""One download: whatever the server does, the file is complete and right, or there is a DownloadError."""

import socket

import pytest
from support.download_server import (
    CONTENT,
    chunked,
    ignoring_ranges,
    page,
    serving,
    silence,
    stall,
    status,
    whole,
    without_length,
    wrong_part,
)

from hubtune.storage import download as module
from hubtune.storage.download import DownloadError, download, is_offline, is_web_address


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "READ_SECONDS", 5.0)
    with serving() as running:
        yield running


@pytest.fixture
def fetch(server, tmp_path):
    """Try until the file is complete; return it and the ranges that were requested."""

    def fetch(*plan, checked=False, url=None):
        part = tmp_path / "w.part"
        server.plan = list(plan)
        for last in (False, False, True):
            try:
                download(url or server.url, part, None, checked=checked)
                break
            except DownloadError as error:
                if last or error.final:
                    raise
        return part.read_bytes(), [request.headers.get("Range") for request in server.requests]

    return fetch


HALF, HALF_UNTAGGED = whole(end=300_000), whole(tag=None, end=300_000)
ENDINGS = {
    "a broken download is resumed": ([HALF, whole(end=700_000), whole()], False, CONTENT, [300_000, 700_000]),
    "nothing is resumed without a tag": ([HALF_UNTAGGED, whole(tag=None)], False, CONTENT, [None]),
    "a checksum allows to resume": ([HALF_UNTAGGED, whole(tag=None)], True, CONTENT, [300_000]),
    "a server that ignores ranges starts over": ([HALF, ignoring_ranges], True, CONTENT, [300_000]),
    "a changed file is not mixed": ([HALF, whole(CONTENT[::-1], '"2"')], False, CONTENT[::-1], [300_000]),
    "a part of another file is discarded": ([HALF, wrong_part, whole()], False, CONTENT, [300_000, None]),
    "a shorter file starts over": ([HALF, whole(CONTENT[:1000])], False, CONTENT[:1000], [300_000, None]),
    "a login page does not replace a part": ([HALF, page, whole()], False, CONTENT, [300_000, 300_000]),
    "chunks tell the end": ([chunked], False, CONTENT, []),
    "an unknown length needs a checksum": ([without_length], True, CONTENT, []),
}


@pytest.mark.parametrize(("plan", "checked", "content", "ranges"), ENDINGS.values(), ids=ENDINGS)
def test_a_file_is_complete_in_the_end(fetch, plan, checked, content, ranges):
    expected = [None, *(start and f"bytes={start}-" for start in ranges)]
    assert fetch(*plan, checked=checked) == (content, expected)


@pytest.mark.parametrize(
    ("plan", "reason", "requests"),
    [
        (without_length, "the server does not tell the file's length, so it cannot be checked", 1),
        (status(403), "the server answers 403 Forbidden", 1),
        (status(503), "the server answers 503 Service Unavailable", 3),
        (page, "the answer is an HTML page, perhaps a login or error page of the network", 3),
        (whole(b""), "the answer is empty", 3),
        (whole(end=300_000), "the connection ended after 300,000 of 1,024,000 bytes", 3),
    ],
)
def test_failures_are_named_and_only_passing_ones_are_tried_again(fetch, server, plan, reason, requests):
    with pytest.raises(DownloadError) as caught:
        fetch(plan)
    assert str(caught.value) == reason
    assert len(server.requests) == requests


def test_a_silent_server_is_given_up_and_a_stalled_one_resumed(fetch, monkeypatch):
    monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    with pytest.raises(DownloadError, match=r"^the server does not answer in time$"):
        fetch(silence)
    monkeypatch.setattr(module, "READ_SECONDS", 1.0)
    content, ranges = fetch(stall, whole(), checked=True)
    assert (content, ranges[-1]) == (CONTENT, "bytes=300000-")


def test_the_limit_on_reading_counts_from_the_last_bytes(fetch, monkeypatch):
    monkeypatch.setattr(module, "READ_SECONDS", 1.0)
    # 16 pauses, longer than the limit together
    assert fetch(whole(pause=0.08)) == (CONTENT, [None])


def test_only_web_addresses_are_opened(fetch, tmp_path):
    (tmp_path / "secret").write_text("secret")
    target = (tmp_path / "secret").as_uri()
    with pytest.raises(DownloadError):
        fetch(lambda answer: answer.head(302, 0, Location=target))
    with pytest.raises(DownloadError):
        fetch(whole(), url=target)
    for url in ("file:///etc/passwd", "ftp://a.org/x", "w.pdparams", "http://", "http://[x", "http://a b"):
        assert not is_web_address(url)
    assert is_web_address("https://a.org/x")


def test_an_unknown_host_is_named_and_a_variable_forbids_downloads(fetch, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"^Name or service not known$"):
        fetch(whole(), url="https://nowhere.invalid/w.pdparams")
    for value, offline in (("", False), ("0", False), ("No", False), ("1", True)):
        monkeypatch.setenv("HUBTUNE_OFFLINE", value)
        assert is_offline() is offline
