"""Divides images among processes that do not know of one another: an image's name decides its shard."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ImageShard:
    """One of ``count`` shares of a set of images; ``index`` is from 0."""

    index: int
    count: int

    def __str__(self) -> str:
        """Return the shard as the command line has it: ``3/64``."""
        return f"{self.index}/{self.count}"

    def positions(self, names: Iterable[str]) -> list[int]:
        """Return the positions of this shard's images among all names, ascending."""
        return [place for place, name in enumerate(names) if shard_of(name, self.count) == self.index]


def shard_of(name: str, count: int) -> int:
    """Return the shard of an image, 0 to ``count`` - 1.

    The name is relative to the images' folder, with ``/``. Only the name matters: an image keeps its shard
    when others are added, and on machines that have the folder elsewhere.
    """
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


def names_digest(names: Iterable[str]) -> str:
    """Return the SHA-256 of a list of names in its order, in hexadecimal."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
