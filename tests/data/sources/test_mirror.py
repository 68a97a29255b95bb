"""Buckets and web servers: fetched once, checked, resumed; hostile keys and secrets stay where they are."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.download_server import Server, serving, status, whole
from support.images import draw_tree

from hubtune.data.sources import mirror, remote
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError, HubtuneError, MachineError

CANARY = "CANARY-7f3a9c-secret"
VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OSS_ENDPOINT")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that speaks S3, on this machine."""
    server = pytest.importorskip("moto.server", reason='moto is not installed: pip install -e ".[test]"')
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


class Bucket:
    """A bucket with what was asked of it."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name, self.fetched = client, name, Counter[str]()

    def put(self, **objects: bytes) -> None:
        for key, content in objects.items():
            self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def upload(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*.png"):
            self.put(**{prefix + path.relative_to(folder).as_posix(): path.read_bytes()})


@functools.cache
def _system(make: Callable[..., Any], scheme: str, _: tuple[str | None, ...], **options: Any) -> Any:
    return make(scheme, **options)


@pytest.fixture
def bucket(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Bucket]:
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "some-key",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.001)
    name = f"b{abs(hash(request.node.name))}"
    made = Bucket(boto3.client("s3"), name)
    made.client.create_bucket(Bucket=name)
    # Making a client takes longer than all else.
    make = remote._file_system

    def kept(scheme: str, **options: Any) -> Any:
        return _system(make, scheme, tuple(map(os.environ.get, VARIABLES)), **options)

    monkeypatch.setattr(remote, "_file_system", kept)
    ask = remote._Bucket._ask

    def counting(self: Any, what: str, path: str, **options: Any) -> Any:
        if what == "cat_file":
            made.fetched[path.removeprefix(f"{name}/")] += 1
        return ask(self, what, path, **options)

    monkeypatch.setattr(remote._Bucket, "_ask", counting)
    yield made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw_tree(tmp_path / "pics", {"cat": 3, "dog": 2}, size=8)


def content(listing: Any) -> dict[str, bytes]:
    return {file.name: file.path.read_bytes() for file in listing.files}


def original(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def home() -> Path:
    return Path(os.environ["HUBTUNE_HOME"])


def test_a_folder_of_a_bucket_is_fetched_once(bucket: Bucket, photos: Path):
    bucket.upload(photos, "sets/pics/")
    bucket.put(**{"sets/pictures/x/1.png": b"another folder that begins alike", "sets/pics/dog/": b""})
    seen: list[tuple[str, int, int]] = []
    listing = open_source(f"s3://{bucket.name}/sets/pics", progress=lambda *what: seen.append(what))
    assert content(listing) == original(photos)
    assert listing.labels == ["cat", "dog"]
    assert listing.root.is_relative_to(home())
    assert seen[0] == ("listing", 0, 0)
    assert seen[1:] == [("fetching", number, 5) for number in range(1, 6)]
    assert set(bucket.fetched.values()) == {1}
    bucket.fetched.clear()
    assert content(open_source(f"s3://{bucket.name}/sets/pics")) == original(photos)
    assert not bucket.fetched


def test_what_changes_at_the_source_changes_here_and_nothing_else(bucket: Bucket, photos: Path):
    bucket.upload(photos, "pics/")
    bucket.upload(photos / "cat", "pics/owl/")
    where = f"s3://{bucket.name}/pics/"
    first = open_source(where)
    bucket.fetched.clear()
    changed = original(photos) | {
        "cat/000.png": b"n" * len(original(photos)["cat/000.png"]),
        "cat/9.png": b"x",
    }
    bucket.put(**{f"pics/{name}": changed[name] for name in ("cat/000.png", "cat/9.png")})
    for number in range(3):
        bucket.client.delete_object(Bucket=bucket.name, Key=f"pics/owl/{number:03}.png")
    second = open_source(where)
    assert content(second) == changed
    assert second.labels == ["cat", "dog"]  # no empty folder stays as a class
    assert set(bucket.fetched) == {"pics/cat/000.png", "pics/cat/9.png"}
    assert first.root == second.root


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(bucket: Bucket, photos: Path):
    bucket.upload(photos, "pics/")
    listing = open_source(f"s3://{bucket.name}/pics")
    listing.files[0].path.write_bytes(b"something else")
    (listing.root / "cat" / "stray.png").touch()
    assert content(open_source(f"s3://{bucket.name}/pics")) == original(photos)


def failing(
    monkeypatch: pytest.MonkeyPatch, fail: Callable[[str, int], BaseException | None]
) -> Counter[str]:
    """Make reads fail: told the path, and how often it was read before."""
    ask, reads = remote._Bucket._ask, Counter[str]()

    def trying(self: Any, what: str, path: str, **options: Any) -> Any:
        if what == "cat_file":
            reads[path] += 1
            error = fail(path, reads[path])
            if error is not None:
                raise error
        return ask(self, what, path, **options)

    monkeypatch.setattr(remote._Bucket, "_ask", trying)
    return reads


def test_a_lost_connection_is_tried_again(bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.upload(photos, "pics/")
    failing(monkeypatch, lambda _, times: remote.DownloadError("the connection broke") if times < 3 else None)
    assert content(open_source(f"s3://{bucket.name}/pics")) == original(photos)


def test_what_was_fetched_before_the_network_failed_is_kept(
    bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.upload(photos, "pics/")
    with monkeypatch.context() as patch:
        failing(
            patch, lambda path, _: remote.DownloadError("the connection broke") if "dog/001" in path else None
        )
        with pytest.raises(
            MachineError,
            match=r"cannot be fetched \(the connection broke\): check the network, and try again\. "
            "4 files of it are in the cache and will not be fetched again",
        ):
            open_source(f"s3://{bucket.name}/pics")
    bucket.fetched.clear()
    assert content(open_source(f"s3://{bucket.name}/pics")) == original(photos)
    assert list(bucket.fetched) == ["pics/dog/001.png"]


def test_a_large_file_goes_on_where_it_stopped(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from support.archives import zipped

    monkeypatch.setattr(remote, "_PIECE", 1_000)
    draw_tree(tmp_path / "pics", {"cat": 2, "dog": 2})
    archive = zipped(tmp_path / "pics").read_bytes()
    bucket.put(**{"pics.zip": archive})
    pieces = -(-len(archive) // 1_000)
    with monkeypatch.context() as patch:
        failing(patch, lambda _, times: remote.DownloadError("the connection broke") if times > 5 else None)
        with pytest.raises(MachineError, match="the connection broke"):
            open_source(f"s3://{bucket.name}/pics.zip")
    bucket.fetched.clear()
    seen: list[tuple[str, int, int]] = []
    listing = open_source(f"s3://{bucket.name}/pics.zip", progress=lambda *what: seen.append(what))
    assert content(listing) == original(tmp_path / "pics")
    assert bucket.fetched["pics.zip"] == pieces - 5
    assert {what for what, _, _ in seen} == {"listing", "fetching, MB", "unpacking"}


def test_a_file_that_changes_between_its_pieces_is_fetched_anew(
    bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(remote, "_PIECE", 100)
    bucket.upload(photos, "pics/")
    new = b"n" * len(original(photos)["cat/000.png"])

    def change(path: str, times: int) -> None:
        if path.endswith("cat/000.png") and times == 2:
            bucket.put(**{"pics/cat/000.png": new})

    failing(monkeypatch, change)
    with pytest.raises(MachineError, match="it changes while it is being fetched"):
        open_source(f"s3://{bucket.name}/pics")
    # A new listing tells the new sum.
    assert content(open_source(f"s3://{bucket.name}/pics")) == original(photos) | {"cat/000.png": new}


def test_an_etag_that_is_no_sum_is_no_damage(bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch):
    """Of objects that the service encrypts with a key of its own."""
    bucket.upload(photos, "pics/")
    real = remote._token
    monkeypatch.setattr(remote, "_token", lambda info: real(info)[::-1] if real(info) else None)
    assert content(open_source(f"s3://{bucket.name}/pics")) == original(photos)
    assert sum(bucket.fetched.values()) <= 10


def test_an_object_that_vanishes_is_left_out_by_name(
    bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.upload(photos, "pics/")

    def vanish(path: str, _: int) -> None:
        if path.endswith("cat/000.png"):
            bucket.client.delete_object(Bucket=bucket.name, Key="pics/cat/000.png")

    failing(monkeypatch, vanish)
    listing = open_source(f"s3://{bucket.name}/pics")
    assert len(listing.files) == 4
    assert [(e.path.name, e.reason) for e in listing.left_out] == [("000.png", "is no longer at the source")]


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


def test_hostile_keys_never_leave_the_cache(bucket: Bucket, photos: Path, tmp_path: Path):
    bucket.upload(photos, "pics/")
    bucket.put(**{f"pics/{key}": b"evil" for key in HOSTILE})
    listing = open_source(f"s3://{bucket.name}/pics")
    assert content(listing) == original(photos)
    assert len(listing.left_out) == len(HOSTILE)
    for entry in listing.left_out:
        assert entry.path.is_relative_to(listing.root)
        assert not os.path.isfile(entry.path)  # noqa: PTH113  # whose name may be too long
        assert ".." not in entry.path.parts
    reasons = " ".join(entry.reason for entry in listing.left_out)
    assert all(reason in reasons for reason in HOSTILE.values())
    assert not [path for path in home().rglob("*") if path.is_file() and path.read_bytes() == b"evil"]
    assert not Path("/tmp/evil.png").exists()
    assert open_source(f"s3://{bucket.name}/pics").left_out == listing.left_out


def test_keys_that_this_disk_takes_for_the_same_are_left_out(
    bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.upload(photos, "pics/")
    bucket.put(**{"pics/Cat/000.png": b"x"})
    where = f"s3://{bucket.name}/pics"
    assert open_source(where).labels == ["Cat", "cat", "dog"]
    monkeypatch.setattr(mirror, "_ignores_case", lambda _: True)
    listing = open_source(where)
    assert listing.labels == ["cat", "dog"]
    assert {e.reason for e in listing.left_out} == {"has the name of another file on this disk"}


def test_a_table_in_a_bucket_brings_what_it_names(bucket: Bucket, photos: Path):
    bucket.upload(photos, "set/images/")
    rows = "images/cat/000.png,cat,train\nimages/dog/000.png,dog,val\n"
    bucket.put(**{"set/labels.csv": f"path,label,split\n{rows}".encode()})
    listing = open_source(f"s3://{bucket.name}/set/labels.csv")
    assert [(file.name, file.part) for file in listing.files] == [
        ("images/cat/000.png", "train"),
        ("images/dog/000.png", "validate"),
    ]
    assert set(bucket.fetched) == {"set/labels.csv", "set/images/cat/000.png", "set/images/dog/000.png"}
    bucket.put(**{"set/labels.csv": f"path,label,split\n{rows}images/none.png,dog,val\n".encode()})
    with pytest.raises(DataError, match=r"1 file .* not there: 'images/none.png' \(labels.csv:4\)"):
        open_source(f"s3://{bucket.name}/set")


def test_oss_goes_through_its_own_variables(
    bucket: Bucket, photos: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
):
    bucket.upload(photos, "pics/")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("OSS_ENDPOINT", endpoint)
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "some-key")
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", CANARY)
    assert content(open_source(f"oss://{bucket.name}/pics")) == original(photos)


def test_an_open_bucket_needs_no_keys(bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.upload(photos, "pics/")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DataError, match="may not be read: set AWS_ACCESS_KEY_ID"):
        open_source(f"s3://{bucket.name}/pics")
    for name in original(photos):
        bucket.client.put_object_acl(Bucket=bucket.name, Key=f"pics/{name}", ACL="public-read")
    assert content(open_source(f"s3://{bucket.name}/pics")) == original(photos)


def test_what_is_not_there_is_said(bucket: Bucket):
    bucket.put(**{"pics/cat/1.png": b"x"})
    for where in (
        "s3://no-such-bucket/pics",
        f"s3://{bucket.name}/pisc",
        f"s3://{bucket.name}/pics/cat/2.png",
    ):
        with pytest.raises(DataError, match=f"There is nothing at {where}: check the names"):
            open_source(where)


def test_keys_that_may_not_read_are_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(remote, "_file_system", lambda _: SimpleNamespace(info=forbidden))
    with pytest.raises(
        MachineError, match="may not be read: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ):
        open_source(f"s3://{bucket.name}/pics")


def test_no_network_is_said_and_how_to_go_on_without(
    bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.upload(photos, "pics/")
    where = f"s3://{bucket.name}/pics"
    with monkeypatch.context() as patch:
        patch.setenv("HUBTUNE_OFFLINE", "1")
        with pytest.raises(MachineError, match="is not in the cache, and HUBTUNE_OFFLINE forbids"):
            open_source(where)
    first = open_source(where)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match=r"cannot be fetched .* set HUBTUNE_OFFLINE=1"):
        open_source(where)
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert open_source(where) == first
    first.files[0].path.unlink()
    with pytest.raises(MachineError, match=r"lacks 1 file of .*such as 'cat/000.png'"):
        open_source(where)


def test_secrets_are_neither_said_nor_written(
    bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "hubtune")
    bucket.upload(photos, "pics/")
    open_source(f"s3://{bucket.name}/pics")

    def telling(*_: object, **__: object) -> None:
        raise ValueError(f"signing with {CANARY} failed")

    system = SimpleNamespace(info=telling, storage_options={})
    monkeypatch.setattr(remote, "_file_system", lambda _: system)
    with pytest.raises(HubtuneError, match="signing with … failed") as caught:
        open_source(f"s3://{bucket.name}/pics")
    messages = [str(caught.value)]
    system.info = lambda path: {"type": "file", "name": path, "size": 3, "ETag": "1"}
    system.cat_file = telling
    with pytest.raises(HubtuneError, match="signing with … failed") as caught:
        open_source(f"s3://{bucket.name}/pics/cat/000.png")
    messages.append(str(caught.value))
    assert CANARY not in " ".join(messages) + caplog.text
    written = [path.read_bytes() for path in home().rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [text for text in written if CANARY.encode() in text or b"some-key" in text]


def test_a_full_disk_is_said_first(bucket: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.upload(photos, "pics/")
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    with pytest.raises(MachineError, match=r"GB to fetch, but the cache has 0\.0 GB: free some space"):
        open_source(f"s3://{bucket.name}/pics")
    assert not bucket.fetched


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.001)
    with serving() as running:
        yield running


def test_an_archive_on_a_web_server_is_fetched_once_and_again_when_it_changes(server: Server, photos: Path):
    from support.archives import zipped

    server.plan = [whole(zipped(photos).read_bytes(), '"1"')]
    where = f"{server.base}/download/pics.zip?raw=true"
    first = open_source(where)
    assert content(first) == original(photos)
    assert len(server.requests) == 1
    assert open_source(where) == first
    assert len(server.requests) == 2  # it asks what the file is, and reads no more
    (photos / "cat" / "000.png").write_bytes(b"other")
    server.plan = [whole(zipped(photos).read_bytes(), '"2"')]
    assert content(open_source(where)) == original(photos)


def test_a_broken_download_goes_on_where_it_stopped(server: Server, photos: Path):
    from support.archives import zipped

    archive = zipped(photos).read_bytes()
    server.plan = [whole(archive, end=600), whole(archive)]
    assert content(open_source(f"{server.base}/pics.zip")) == original(photos)
    assert server.requests[1].headers["Range"] == "bytes=600-"


def test_a_table_on_a_web_server_brings_what_it_names(server: Server, photos: Path):
    def answer(request: Any) -> None:
        path = request.path.removeprefix("/set/")
        if path == "labels.csv":
            rows = "cat/000.png,cat\ndog/000.png,dog\ncat/a%20%E7%8C%AB.png,cat\n"
            whole(f"path,label\n{rows.replace('a%20%E7%8C%AB', 'a 猫')}".encode())(request)
        elif (photos / path).exists():
            whole((photos / path).read_bytes())(request)
        else:
            status(404)(request)

    server.plan = [answer]
    listing = open_source(f"{server.base}/set/labels.csv")
    assert [file.name for file in listing.files] == ["cat/000.png", "dog/000.png"]
    assert [(e.path.name, e.reason[:22]) for e in listing.left_out] == [
        ("a 猫.png", "the server answers 404")
    ]
    assert "/set/cat/a%20%E7%8C%AB.png" in {request.path for request in server.requests}


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        (status(404), DataError, "cannot be fetched: the server answers 404"),
        (status(500), MachineError, "the server answers 500 .*check the network"),
        (whole(b"just text"), DataError, "is no archive and no table"),
    ],
)
def test_an_answer_that_is_no_data_set_is_said(server: Server, plan: Any, error: type[Exception], words: str):
    server.plan = [plan]
    with pytest.raises(error, match=words):
        open_source(f"{server.base}/pics.zip")
