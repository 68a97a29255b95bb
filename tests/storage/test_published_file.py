"""Published files: each official address is tried, and the caller says what a person can do."""

import pytest
from support.download_server import CONTENT, SHA256, serving, status, whole

from hubtune.errors import DataError, MachineError
from hubtune.storage import published_file
from hubtune.storage.published_file import CachedFile, ExpectedFile, fetch_published


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(published_file, "PAUSE_SECONDS", 0.0)
    with serving() as running:
        yield running


def cached(server, tmp_path, **expected):
    urls = (f"{server.base}/one/set.tar.gz", f"{server.base}/two/set.tar.gz")
    expected = ExpectedFile(**expected)
    return CachedFile(tmp_path / "data" / "set.tar.gz", urls, expected, "It {}.".format, DataError)


def test_the_second_official_address_goes_on_where_the_first_broke_off(server, tmp_path):
    server.plan = [whole(end=300_000), status(404), whole(tag='"other"')]
    path = fetch_published(cached(server, tmp_path, sha256=SHA256))
    assert path.read_bytes() == CONTENT
    assert [request.path for request in server.requests] == [
        *["/one/set.tar.gz"] * 2,
        "/two/set.tar.gz",
    ]


def test_errors_are_those_that_the_caller_asked_for(server, tmp_path, monkeypatch):
    server.plan = [whole(b"x" + CONTENT[1:])]
    with pytest.raises(DataError, match="is not the published file: it has the sha256"):
        fetch_published(cached(server, tmp_path, sha256=SHA256))
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    with pytest.raises(MachineError, match="It is not in the cache, and HUBTUNE_OFFLINE forbids fetching it"):
        fetch_published(cached(server, tmp_path))
