"""Addresses: what cannot be one, or holds a secret, is refused before any request."""

import pytest

from hubtune.data.sources.open import open_source
from hubtune.data.sources.remote import is_address
from hubtune.errors import MachineError, UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s3://b/x", True), ("https://host/x.zip", True), ("C:\\pics", False), ("pics/", False), ("a:b", False)],
)
def test_addresses_are_told_from_paths(text: str, expected: bool):
    assert is_address(text) == expected


@pytest.mark.parametrize(
    "address",
    [
        "https://user:CANARY-1@host/x.zip",
        "https://CANARY-1@host/x.zip",
        "https://user:CANARY-1/2@host/x.zip",
        "s3://AKIA:CANARY-1@bucket/x",
        "oss://CANARY-1@bucket/x",
        "sftp://user:CANARY-1@host/x",
        "https://host/x.zip?X-Amz-Signature=CANARY-1",
        "https://host/x.zip?a=1&access_token=CANARY-1",
    ],
)
def test_an_address_with_a_secret_is_refused_without_repeating_it(address: str):
    with pytest.raises(UsageError, match="holds a ") as caught:
        open_source(address)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s33://bucket/x", r"Addresses of the kind s33:// are not known\. Did you mean 's3'\?"),
        ("s3://", "is no address of pictures: write s3://bucket/folder"),
        ("zip://x::s3://bucket/x.zip", "joined by :: are not read"),
        ("https://host/", "web servers do not list files"),
        ("https:///x.zip", "is no address: write https://host/path/pictures.zip"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(address: str, words: str):
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match=words):
        open_source(address)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MachineError, match=r'pip install "hubtune\[remote\]"'):
        open_source("s3://bucket/x")


def test_oss_needs_an_endpoint(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("fsspec")
    monkeypatch.delenv("OSS_ENDPOINT", raising=False)
    with pytest.raises(MachineError, match="set OSS_ENDPOINT, for example to https://oss-cn-hangzhou"):
        open_source("oss://bucket/x")
