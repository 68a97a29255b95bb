"""Addresses: what cannot be one, or holds a secret, is refused before any request."""

import sys

import pytest

from hubtune.data.sources.open import open_source
from hubtune.errors import MachineError, UsageError
from hubtune.storage.address import is_address

SECRETS = """
https://user:CANARY-1@host/x.zip
https://CANARY-1@host/x.zip
https://user:CANARY-1/2@host/x.zip
s3://AKIA:CANARY-1@bucket/x
oss://CANARY-1@bucket/x
sftp://user:CANARY-1@host/x
https://host/x.zip?X-Amz-Signature=CANARY-1
https://host/x.zip?a=1&access_token=CANARY-1
"""
MISTAKES = {
    "s33://bucket/x": r"Addresses of the kind s33:// are not known\. Did you mean 's3'\?",
    "ftp://host/x.zip": "Addresses of the kind ftp:// are not read: fetch the files, and give their folder",
    "s3://": "is no address of pictures: write s3://bucket/folder",
    "zip://x::s3://bucket/x.zip": "joined by :: are not read",
    "https://host/": "web servers do not list files",
    "https:///x.zip": "is no address: write https://host/path/pictures.zip",
}


@pytest.mark.parametrize("address", SECRETS.split())
def test_an_address_with_a_secret_is_refused_without_repeating_it(address):
    with pytest.raises(UsageError, match="holds a ") as caught:
        open_source(address)
    assert "CANARY" not in str(caught.value)


def test_an_address_that_cannot_be_one_and_a_missing_endpoint_or_extra_are_named(monkeypatch):
    pytest.importorskip("fsspec")
    texts = ("s3://b/x", "https://host/x.zip", "C:\\pics", "pics/", "a:b")
    assert [is_address(text) for text in texts] == [True, True, False, False, False]
    for address, words in MISTAKES.items():
        with pytest.raises(UsageError, match=words):
            open_source(address)
    monkeypatch.delenv("OSS_ENDPOINT", raising=False)
    with pytest.raises(MachineError, match="set OSS_ENDPOINT, for example to https://oss-cn-hangzhou"):
        open_source("oss://bucket/x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MachineError, match=r'pip install "fsspec\[s3\]>=2024.2"'):
        open_source("s3://bucket/x")
