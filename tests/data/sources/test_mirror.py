"""Buckets and web servers: fetched once, checked, resumed; hostile keys and secrets stay where they are."""

import logging
import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.archives import zipped
from support.download_server import serving, status, whole
from support.images import draw_tree
from support.object_service import CANARY, running_moto

from hubtune.data.sources import mirror, remote
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, HubtuneError, MachineError

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
VARIABLES = ("AWS_ENDPOINT_URL", *KEYS, "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED")
BROKEN = remote.DownloadError("the connection broke")


@pytest.fixture(scope="module")
def endpoint():
    with running_moto() as address:
        yield address


class Bucket:
    """A bucket, the number of reads of each object, and an error to raise at a read."""

    def __init__(self, client, name):
        self.client, self.name, self.fetched, self.fail = client, name, Counter(), lambda path, times: None

    def put(self, objects, prefix=""):
        for key, content in objects.items():
            self.client.put_object(Bucket=self.name, Key=prefix + key, Body=content)

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture
def bucket(endpoint, monkeypatch, request):
    import boto3

    for name, value in zip(VARIABLES, (endpoint, "some-key", CANARY, "us-east-1", "true"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.001)
    made = Bucket(boto3.client("s3"), f"b{abs(hash(request.node.name))}")
    made.client.create_bucket(Bucket=made.name)
    ask = remote._Bucket._ask

    def counting(self, what, path, **options):
        if what == "cat_file":
            key = path.removeprefix(f"{made.name}/")
            made.fetched[key] += 1
            if error := made.fail(key, made.fetched[key]):
                raise error
        return ask(self, what, path, **options)

    monkeypatch.setattr(remote._Bucket, "_ask", counting)
    return made


@pytest.fixture
def photos(tmp_path):
    return draw_tree(tmp_path / "pics", {"cat": 3, "dog": 2}, size=8)


@pytest.fixture
def pics(bucket, photos):
    bucket.put(original(photos), "pics/")
    return f"s3://{bucket.name}/pics"


def content(listing):
    return {file.name: file.path.read_bytes() for file in listing.files}


def original(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def files_at_home():
    return [path for path in Path(os.environ["HUBTUNE_HOME"]).rglob("*") if path.is_file()]


def test_a_folder_of_a_bucket_is_fetched_once_and_then_what_changes(bucket, photos, pics):
    owls = {f"owl/{name}": owl for name, owl in original(photos / "cat").items()}
    bucket.put(owls, "pics/")
    bucket.put({"pics2/x/1.png": b"another folder that begins alike", "pics/dog/": b""})
    where = f"{pics}/"
    first = open_source(where)
    assert content(first) == original(photos) | owls
    assert first.labels == ["cat", "dog", "owl"]
    assert first.root.is_relative_to(os.environ["HUBTUNE_HOME"])
    assert set(bucket.fetched.values()) == {1}
    bucket.fetched.clear()
    assert open_source(where) == first
    assert not bucket.fetched
    changes = {"cat/000.png": b"n" * len(original(photos)["cat/000.png"]), "cat/9.png": b"x"}
    bucket.put(changes, "pics/")
    for name in owls:
        bucket.delete(f"pics/{name}")
    second = open_source(where)
    assert (content(second), second.labels) == (original(photos) | changes, ["cat", "dog"])
    assert set(bucket.fetched) == {"pics/cat/000.png", "pics/cat/9.png"}
    second.files[0].path.write_bytes(b"something else")  # damage in the cache
    (second.root / "cat" / "stray.png").touch()
    assert content(open_source(where)) == original(photos) | changes


def test_after_a_lost_connection_files_are_kept_and_a_large_one_goes_on(bucket, photos, pics, monkeypatch):
    bucket.fail = lambda path, times: BROKEN if times < 3 or "dog/001" in path else None
    expected = (
        r"cannot be fetched \(the connection broke\): check the network, and try again\. "
        "4 files of it are in the cache and will not be fetched again"
    )
    with pytest.raises(MachineError, match=expected):
        open_source(pics)
    bucket.fetched.clear()
    bucket.fail = lambda path, times: None
    assert content(open_source(pics)) == original(photos)
    assert list(bucket.fetched) == ["pics/dog/001.png"]
    archive, where = zipped(photos).read_bytes(), f"s3://{bucket.name}/pics.zip"
    seen = set()
    monkeypatch.setattr(remote, "_PIECE", len(archive) // 10 + 1)
    bucket.put({"pics.zip": archive})
    bucket.fail = lambda _, times: BROKEN if times > 5 else None
    with pytest.raises(MachineError, match="the connection broke"):
        open_source(where)
    bucket.fetched.clear()
    assert content(open_source(where, progress=lambda *what: seen.add(what[0]))) == original(photos)
    assert (bucket.fetched["pics.zip"], seen) == (5, {"listing", "fetching, MB", "unpacking"})


def test_files_that_change_or_vanish_while_fetched_are_noticed(bucket, photos, pics, monkeypatch):
    monkeypatch.setattr(remote, "_PIECE", 100)
    new = b"n" * len(original(photos)["cat/000.png"])

    def change(path, times):
        if path.endswith("cat/000.png") and times == 2:
            bucket.put({"pics/cat/000.png": new})

    bucket.fail = change
    with pytest.raises(MachineError, match="it changes while it is being fetched"):
        open_source(pics)
    assert content(open_source(pics)) == original(photos) | {"cat/000.png": new}
    bucket.put({"pics/cat/9.png": b"another"})
    bucket.fail = lambda path, _: bucket.delete("pics/cat/9.png")
    listing = open_source(pics)
    assert [(e.path.name, e.reason) for e in listing.left_out] == [("9.png", "is no longer at the source")]


HOSTILE = {
    "../evil.png": "it leads out of its folder",
    "cat/../../evil.png": "it leads out of its folder",
    "/tmp/evil.png": "it is absolute",
    "C:\\evil.png": "it has a drive letter",
    "..\\evil.png": "it leads out of its folder",
    "cat//1.png": "cannot be a file's path",
    "cat/./1.png": "cannot be a file's path",
    "cat\\1.png": "cannot be a file's path",
    "dog": "is a file and a folder at once",
    "cat/" + "x" * 300 + ".png": "too long",
}


def test_hostile_keys_never_leave_the_cache(bucket, photos, pics, monkeypatch):
    bucket.put(dict.fromkeys(HOSTILE, b"evil"), "pics/")
    listing = open_source(pics)
    assert content(listing) == original(photos)
    assert len(listing.left_out) == len(HOSTILE)
    for entry in listing.left_out:
        assert entry.path.is_relative_to(listing.root) and ".." not in entry.path.parts
        assert not os.path.isfile(entry.path)  # noqa: PTH113  # whose name may be too long
    reasons = " ".join(entry.reason for entry in listing.left_out)
    assert all(reason in reasons for reason in HOSTILE.values())
    assert not [path for path in files_at_home() if path.read_bytes() == b"evil"]
    assert not Path("/tmp/evil.png").exists()
    assert open_source(pics).left_out == listing.left_out
    bucket.put({"pics/Cat/000.png": b"x"})
    with pytest.raises(DataError, match="'Cat' and 'cat' differ only in case"):
        open_source(pics)
    assert open_source(pics, settings=SourceSettings(as_classes=True)).labels == ["Cat", "cat", "dog"]
    monkeypatch.setattr(mirror, "_ignores_case", lambda _: True)
    listing = open_source(pics)
    assert listing.labels == ["cat", "dog"]
    assert "has the name of another file on this disk" in {entry.reason for entry in listing.left_out}


@pytest.mark.slow
def test_open_buckets_need_no_keys_and_what_is_missing_is_named(bucket, photos, pics, endpoint, monkeypatch):
    for where in ("s3://no-such-bucket/pics", pics.replace("pics", "pisc"), f"{pics}/cat/9.png"):
        with pytest.raises(DataError, match=f"There is nothing at {where}: check the names"):
            open_source(where)
    for name in KEYS:
        monkeypatch.delenv(name)
    with pytest.raises(DataError, match="may not be read: set AWS_ACCESS_KEY_ID"):
        open_source(pics)
    monkeypatch.setenv("OSS_ENDPOINT", endpoint)
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL")
        patch.setenv("OSS_ACCESS_KEY_ID", "some-key")
        patch.setenv("OSS_ACCESS_KEY_SECRET", CANARY)
        assert content(open_source(pics.replace("s3://", "oss://"))) == original(photos)
    for name in original(photos):
        bucket.client.put_object_acl(Bucket=bucket.name, Key=f"pics/{name}", ACL="public-read")
    assert content(open_source(pics)) == original(photos)


@pytest.mark.slow
def test_without_network_the_message_says_how_to_go_on(pics, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("HUBTUNE_OFFLINE", "1")
        with pytest.raises(MachineError, match="is not in the cache, and HUBTUNE_OFFLINE forbids"):
            open_source(pics)
    first = open_source(pics)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match=r"cannot be fetched .* set HUBTUNE_OFFLINE=1"):
        open_source(pics)
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert open_source(pics) == first
    first.files[0].path.unlink()
    with pytest.raises(MachineError, match=r"lacks 1 file of .*such as 'cat/000.png'"):
        open_source(pics)


def test_secrets_are_in_no_message_and_no_file(pics, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "hubtune")
    open_source(pics)

    def leaking(*_, **__):
        raise ValueError(f"signing with {CANARY} failed")

    system = SimpleNamespace(info=leaking, storage_options={})
    monkeypatch.setattr(remote, "_file_system", lambda _: system)
    messages = []
    for address in (pics, f"{pics}/cat/000.png"):
        with pytest.raises(HubtuneError, match="signing with … failed") as caught:
            open_source(address)
        messages.append(str(caught.value))
        system.info = lambda path: {"type": "file", "name": path, "size": 3, "ETag": "1"}
        system.cat_file = leaking
    assert CANARY not in " ".join(messages) + caplog.text
    written = [path.read_bytes() for path in files_at_home()]
    assert len(written) > 5
    assert not [text for text in written if CANARY.encode() in text or b"some-key" in text]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.001)
    with serving() as running:
        yield running


def test_an_archive_on_a_web_server_is_fetched_once_and_again_when_it_changes(server, photos):
    archive = zipped(photos).read_bytes()
    server.plan = [whole(archive, '"1"', end=600), whole(archive, '"1"')]
    where = f"{server.base}/download/pics.zip?raw=true"
    first = open_source(where)
    assert content(first) == original(photos)
    assert server.requests[1].headers["Range"] == "bytes=600-"  # it goes on where the connection broke
    assert open_source(where) == first
    assert len(server.requests) == 3  # it asks what the file is, and reads no more
    (photos / "cat" / "000.png").write_bytes(b"other")
    server.plan = [whole(zipped(photos).read_bytes(), '"2"')]
    assert content(open_source(where)) == original(photos)
    for plan, error, words in (
        (status(404), DataError, "cannot be fetched: the server answers 404"),
        (status(500), MachineError, "the server answers 500 .*check the network"),
        (whole(b"just text"), DataError, "is no archive and no table"),
    ):
        server.plan = [plan]
        with pytest.raises(error, match=words):
            open_source(f"{server.base}/other.zip")


def test_a_table_on_a_web_server_brings_what_it_names(server, photos):
    table = b"path,label\ncat/000.png,cat\ndog/000.png,dog\ncat/a \xe7\x8c\xab.png,cat\n"
    files = {"labels.csv": table, **original(photos)}

    def answer(request):
        found = files.get(request.path.removeprefix("/set/"))
        (status(404) if found is None else whole(found))(request)

    server.plan = [answer]
    listing = open_source(f"{server.base}/set/labels.csv")
    assert [file.name for file in listing.files] == ["cat/000.png", "dog/000.png"]
    [missing] = listing.left_out
    assert (missing.path.name, missing.reason[:22]) == ("a 猫.png", "the server answers 404")
    assert "/set/cat/a%20%E7%8C%AB.png" in {request.path for request in server.requests}
