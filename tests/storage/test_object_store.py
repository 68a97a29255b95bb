"""Objects appear whole, are written on conditions, survive a bad network, and keys are renewed once."""

import io
import secrets
import threading

import pytest
from support.object_service import CANARY, FaultyProxy, make_bucket, random_faults, use_endpoint, use_other

from hubtune.errors import MachineError, UsageError
from hubtune.storage import object_store
from hubtune.storage.object_store import Conditions, MissingObjectError, ObjectStore


@pytest.fixture(params=["moto", "other"])
def store(request, monkeypatch):
    if request.param == "other":
        use_other(monkeypatch)
        name = f"hubtune-test-{secrets.token_hex(6)}"
        client = make_bucket(name)
        request.addfinalizer(lambda: client.delete_bucket(Bucket=name))
        return ObjectStore(f"s3://{name}/folder")
    return ObjectStore(request.getfixturevalue("bucket").at("folder"))


def test_objects_are_written_read_listed_and_removed(store, tmp_path):
    store.put("a/1", b"one")
    store.put("a/2", io.BytesIO(b"two"))
    store.put("b", b"")
    assert store.get("a/1") == b"one" and store.get("b") == b""
    assert {name: info.size for name, info in store.list().items()} == {"a/1": 3, "a/2": 3, "b": 0}
    assert set(store.list("a/")) == {"a/1", "a/2"}
    store.download("a/2", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"two"
    found = store.read("a/1")
    assert found.age is not None and 0 <= found.age < 60
    for name in ("a/1", "a/1", "a/2", "b"):
        store.delete(name)
    assert store.list() == {}
    with pytest.raises(MissingObjectError):
        store.get("a/1")


def _needs_conditions(store):
    conditions = store.probe_conditions("probe")
    assert store.list() == {}
    if conditions != Conditions(create=True, replace=True):
        pytest.skip(f"this server obeys only {conditions}")


def test_conditions_are_obeyed_and_probed_without_leaving_anything(store):
    _needs_conditions(store)
    etag = store.create("x", b"first")
    assert etag and store.create("x", b"second") is None and store.get("x") == b"first"
    newer = store.replace("x", b"third", etag)
    assert newer and store.replace("x", b"fourth", etag) is None and store.get("x") == b"third"
    # A repeated attempt, whose first answer was lost, counts.
    assert store.create("x", b"third") == newer
    store.delete("x")


def test_of_several_that_create_an_object_one_wins(store):
    _needs_conditions(store)
    winners, start = [], threading.Barrier(8)

    def create(number):
        own = ObjectStore(store.address)
        start.wait()
        if own.create("lock", b"%d" % number):
            winners.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1 and store.get("lock") == b"%d" % winners[0]
    store.delete("lock")


@pytest.mark.parametrize("scheme", ["oss", "cos"])
def test_oss_and_cos_are_asked_by_their_own_header(scheme, bucket, moto_endpoint, monkeypatch):
    header = f"x-{scheme}-forbid-overwrite"
    monkeypatch.setenv(f"{scheme.upper()}_ENDPOINT", moto_endpoint)
    monkeypatch.setenv("OSS_ACCESS_KEY_ID" if scheme == "oss" else "COS_SECRET_ID", "id")
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET" if scheme == "oss" else "COS_SECRET_KEY", CANARY)
    sent = []
    connect = ObjectStore._connect

    def watched(self, **options):
        client = connect(self, **options)
        client.meta.events.register(
            "before-send.s3.PutObject", lambda request, **_: sent.append(request.headers)
        )
        return client

    monkeypatch.setattr(ObjectStore, "_connect", watched)
    store = ObjectStore(f"{scheme}://{bucket.name}/x")
    # This server does not know the header, and lets the second request overwrite: no lock is to be had.
    assert store.probe_conditions("probe") == Conditions(create=False, replace=False)
    assert [headers.get(header) for headers in sent] == [b"true", b"true"]
    store.put("plain", b"1")
    assert header not in sent[-1] and not any("x-amz-checksum-crc32" in headers for headers in sent)


@pytest.mark.slow
def test_a_bad_network_is_survived(bucket, moto_endpoint, monkeypatch, tmp_path):
    monkeypatch.setattr(object_store, "_PAUSE_SECONDS", 0.01)
    content = bytes(range(256)) * 1000
    with FaultyProxy(moto_endpoint, random_faults(0.15, seed=1)) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        store = ObjectStore(bucket.at("x"))
        for number in range(15):
            store.put(str(number), io.BytesIO(content))
            assert store.get(str(number)) == content
        store.download("0", tmp_path / "0")
        assert (tmp_path / "0").read_bytes() == content and len(store.list()) == 15
        assert proxy.faults > 3


def _fail(monkeypatch, code, status=403, times=10**9):
    """Let requests fail by an answer of the service; returns the number of clients made since."""
    from botocore.exceptions import ClientError

    made, left = [], [times]
    request, connect = ObjectStore._request, ObjectStore._connect

    def failing(self, what, options):
        if left[0]:
            left[0] -= 1
            answer = {
                "Error": {"Code": code, "Message": CANARY},
                "ResponseMetadata": {"HTTPStatusCode": status},
            }
            raise ClientError(answer, what)
        return request(self, what, options)

    monkeypatch.setattr(ObjectStore, "_request", failing)
    monkeypatch.setattr(
        ObjectStore, "_connect", lambda self, **options: made.append(1) or connect(self, **options)
    )
    return made


def test_expired_keys_are_read_again_once(bucket, monkeypatch):
    store = ObjectStore(bucket.at("x"))
    store.put("a", b"1")
    made = _fail(monkeypatch, "ExpiredToken", times=1)
    assert store.get("a") == b"1" and len(made) == 1
    made = _fail(monkeypatch, "ExpiredToken")
    with pytest.raises(
        MachineError, match=r"The keys for s3://.* have expired: renew AWS_ACCESS_KEY_ID"
    ) as caught:
        store.put("a", b"2")
    assert len(made) == 1 and CANARY not in str(caught.value)


def test_what_a_service_refuses_is_one_sentence_without_the_keys(bucket, monkeypatch):
    store = ObjectStore(bucket.at("x"))
    with pytest.raises(UsageError, match="There is no bucket nothing-here "):
        ObjectStore("s3://nothing-here/x").list()
    cases = {
        "AccessDenied": "may not be used: set AWS",
        "InternalError": "cannot be used: ",
        "409": "refuses a request",
    }
    for code, words in cases.items():
        with monkeypatch.context() as patch:
            _fail(patch, code, 409 if code == "409" else 500)
            with pytest.raises(MachineError, match=words) as caught:
                store.put("a", b"1")
            assert CANARY not in str(caught.value)
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    with pytest.raises(MachineError, match="HUBTUNE_OFFLINE forbids it"):
        ObjectStore(bucket.at("x"))


def test_a_service_that_does_not_answer_is_one_sentence(monkeypatch):
    use_endpoint(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setattr(object_store, "_ATTEMPTS", 1)
    with pytest.raises(MachineError, match="s3://b/x cannot be reached: "):
        ObjectStore("s3://b/x").list()
