"""Addresses are told from paths, read strictly, and never hold a password."""

from pathlib import Path

import pytest

from hubtune.errors import UsageError
from hubtune.storage.address import (
    address_problem,
    check_path,
    is_address,
    is_bucket_address,
    parse_bucket_address,
)

PATHS = ("pics/", "C:\\pics", "C:/pics", "a:b", "/abs/x", "paddle.vision:mobilenet_v2", "~/x", "official")


def test_paths_are_no_addresses_and_addresses_also_where_pathlib_has_made_a_path_of_them():
    for text in PATHS:
        assert not is_address(text) and address_problem(text) is None, text
    for text in ("s3://b/x", "gs://b/x", "https://h/x", Path("s3://b/x"), "S3://b"):
        with pytest.raises(
            UsageError, match=r"--out: .* is an address, and this must be a path on this machine"
        ):
            check_path(text, "--out")
    assert (
        is_bucket_address("oss://b/x") and is_bucket_address("COS://b") and not is_bucket_address("gs://b/x")
    )
    assert address_problem("s3://b/x", buckets=True) is None
    assert "s3://, oss://, cos://, bos://" in address_problem("gs://b/x", buckets=True)


def test_an_address_has_a_bucket_and_a_folder():
    parsed = parse_bucket_address("S3://my.bucket/runs/x/")
    assert (parsed.scheme, parsed.bucket, parsed.folder) == ("s3", "my.bucket", "runs/x")
    assert (str(parsed), parsed.name, parsed.key("a/b")) == ("s3://my.bucket/runs/x", "x", "runs/x/a/b")
    whole = parse_bucket_address("bos://b")
    assert (str(whole), whole.name, whole.key("a")) == ("bos://b", "b", "a")


@pytest.mark.parametrize(
    "address", ["s3://", "s3:///x", "gs://b/x", "s3://b/../x", "s3://b//x", "s3://b/x?y=1"]
)
def test_what_cannot_be_a_folder_in_a_bucket_is_refused(address):
    with pytest.raises(UsageError, match="is no address in a bucket"):
        parse_bucket_address(address)


@pytest.mark.parametrize(
    "address", ["s3://AKIA:CANARY-1@b/x", "oss://CANARY-1@b/x", "cos://u:CANARY-1/2@b/x"]
)
def test_a_password_is_refused_without_repeating_it(address):
    with pytest.raises(UsageError, match="holds a password") as caught:
        parse_bucket_address(address)
    assert "CANARY" not in str(caught.value)
