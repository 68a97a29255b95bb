"""Addresses, ``scheme://bucket/path``: which texts are one, and what may be in it."""

import os
import re
from dataclasses import dataclass

from hubtune.errors import UsageError
from hubtune.text import escaped

BUCKET_SCHEMES = ("s3", "oss", "cos", "bos")
"""Services that keep objects by the protocol of S3."""

# At least two letters, as C:/ is a path; one slash is what pathlib makes of two.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def is_address(where: str) -> bool:
    """Whether a text is an address, ``scheme://…``, rather than a path such as ``C:\\…``."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", where) is not None


def is_bucket_address(where: str) -> bool:
    """Whether a text is the address of a folder or an object in a bucket."""
    return is_address(where) and where.partition(":")[0].lower() in BUCKET_SCHEMES


def address_problem(where: str | os.PathLike[str], *, buckets: bool = False) -> str | None:
    """Return why a text cannot be a path; ``None`` if it can, or is an address of ``buckets``, if allowed."""
    text = os.fspath(where)
    if not _ADDRESS.match(text) or (buckets and is_bucket_address(text)):
        return None
    known = f", or an address {', '.join(f'{scheme}://' for scheme in BUCKET_SCHEMES)}" if buckets else ""
    return f"{escaped(text)} is an address, and this must be a path on this machine{known}"


def check_path(where: str | os.PathLike[str], what: str) -> None:
    """Raise UsageError if a path is an address; ``what`` names the option or argument."""
    if problem := address_problem(where):
        raise UsageError(f"{what}: {problem}: name a path")


def check_no_password(scheme: str, rest: str, variables: str) -> None:
    """Raise UsageError if what follows ``scheme://`` holds a password, without repeating it."""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # A password with a slash ends up after the apparent host, behind a port that is not a number.
    if re.search(r":(?!\d*$)", host) or ("@" in host and scheme in ("http", "https", *BUCKET_SCHEMES)):
        raise UsageError(
            f"The address {scheme}://… holds a password or a key, which would end up in files and logs: "
            f"leave it away, and set {variables}"
        )


@dataclass(frozen=True)
class BucketAddress:
    """A folder in a bucket.

    Attributes:
        scheme: one of :data:`BUCKET_SCHEMES`.
        folder: the start of the keys, without a slash at the end; empty for the whole bucket.
    """

    scheme: str
    bucket: str
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.folder}" if self.folder else "")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.folder.rpartition("/")[2] or self.bucket

    def key(self, name: str) -> str:
        """Return the key of an object by its name in the folder."""
        return f"{self.folder}/{name}" if self.folder else name


def parse_bucket_address(where: str) -> BucketAddress:
    """Read ``scheme://bucket/folder``.

    Raises:
        UsageError: it is not one, or holds a password.
    """
    scheme, _, rest = where.partition("://")
    scheme = scheme.lower()
    if scheme in BUCKET_SCHEMES:
        check_no_password(scheme, rest, "the variables that the service reads")
    bucket, _, folder = rest.partition("/")
    folder = folder.rstrip("/")
    parts = folder.split("/") if folder else []
    if scheme not in BUCKET_SCHEMES or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        names = ", ".join(f"{name}://" for name in BUCKET_SCHEMES)
        raise UsageError(
            f"'{escaped(where)}' is no address in a bucket: write scheme://bucket/folder, {names}"
        )
    if any(part in ("", ".", "..") for part in parts) or any(letter in rest for letter in "?#\\\0"):
        raise UsageError(f"'{escaped(where)}' is no address in a bucket: its path has empty or special parts")
    return BucketAddress(scheme, bucket, "/".join(parts))


class FetchedFile(str):
    """The path of a file in the cache.

    Attributes:
        address: where it came from.
    """

    address: str

    def __new__(cls, file: os.PathLike[str], address: str) -> "FetchedFile":
        path = super().__new__(cls, os.fspath(file))
        path.address = address
        return path


def name_of(path: str) -> str:
    """Return the name that a file has for people: its address, if it was fetched, else its path."""
    return path.address if isinstance(path, FetchedFile) else path
