"""Shards of drawn images, in a folder and in a bucket, and what they take on the disk."""

import contextlib
import threading
import time

from hubtune.data.pack import pack_listing
from hubtune.data.shards.cache import shards_folder
from hubtune.data.sources.open import open_source


def upload(folder, bucket, name):
    """Copy all files of a folder into a bucket, and return the address."""
    for path in folder.iterdir():
        bucket.client.upload_file(str(path), bucket.name, f"{name}/{path.name}")
    return bucket.at(name)


def pack(source, folder, shard_bytes=30_000):
    """Pack a source into shards, and return their folder."""
    pack_listing(open_source(str(source)), str(folder), shard_bytes=shard_bytes)
    return folder


def shard_bytes_on_disk():
    """Return the bytes of all shards of buckets on this machine, unfinished ones included."""
    total = 0
    for file in shards_folder().glob("*/*"):
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.name.endswith((".tar", ".part")) else 0
    return total


@contextlib.contextmanager
def most_shard_bytes():
    """Yield a list whose only number is the most bytes of shards on the disk while the block runs."""
    most, ended = [0], threading.Event()

    def watch():
        while not ended.is_set():
            most[0] = max(most[0], shard_bytes_on_disk())
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()
        most[0] = max(most[0], shard_bytes_on_disk())  # the thread may not have run in between
