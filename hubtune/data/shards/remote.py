"""Shards in a bucket: their indexes are fetched, the shards themselves only as their images are read."""

import contextlib
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hubtune.data.shards.cache import shards_folder
from hubtune.data.shards.index import SHARD_INDEX, TarShard, parse_index, parse_table, read_index
from hubtune.data.shards.members import SOURCE_FILE
from hubtune.errors import DataError
from hubtune.storage.atomic import write_atomically
from hubtune.storage.cache_folder import cache_write_error, source_folder
from hubtune.storage.download import is_offline
from hubtune.storage.object_store import MissingObjectError, ObjectStore

_THREADS = 16


def shard_folder_of(address: str) -> Path:
    """Return the folder in the cache for the shards of an address, whether it exists or not."""
    plain = address.rstrip("/")
    return source_folder(shards_folder().name, plain.rpartition("/")[2], plain)


def known_shards(address: str) -> Path | None:
    """Return the folder in the cache for the shards of an address, if their indexes were fetched before."""
    folder = shard_folder_of(address)
    return folder if (folder / SHARD_INDEX).is_file() else None


def fetch_shard_indexes(address: str) -> Path | None:
    """Fetch the indexes of the shards at an address that are not in the cache yet.

    Returns:
        The folder in the cache, which is where the shards will be; ``None`` if there are no shards.

    Raises:
        DataError: an index is damaged.
        MachineError: the bucket cannot be read, or the cache not written.
    """
    folder, plain = shard_folder_of(address), address.rstrip("/")
    if is_offline():
        return known_shards(address)
    store = ObjectStore(plain)
    try:
        content = store.get(SHARD_INDEX)
    except MissingObjectError:
        return None
    index = parse_index(content, f"{plain}/{SHARD_INDEX}")
    before = _sums_in(folder)

    def bring(shard: TarShard) -> None:
        file = folder / shard.table_name
        with contextlib.suppress(OSError):
            if hashlib.sha256(file.read_bytes()).hexdigest() == shard.table_sha256:
                return
        try:
            table = store.get(shard.table_name)
        except MissingObjectError as error:
            raise DataError(f"{plain} lacks {shard.table_name}: pack the pictures again") from error
        parse_table(table, shard, f"{plain}/{shard.table_name}")
        write_atomically(file, table)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(bring, index.shards):
                pass
        for shard in index.shards:  # packed again since
            if before.get(shard.name, shard.sha256) != shard.sha256:
                (folder / shard.name).unlink(missing_ok=True)
        write_atomically(folder / SOURCE_FILE, json.dumps({"address": plain}))
        write_atomically(folder / SHARD_INDEX, content)
    except OSError as error:
        raise cache_write_error(folder, error) from error
    return folder


def _sums_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each shard that the index in the cache names; empty without a readable one."""
    try:
        return {shard.name: shard.sha256 for shard in read_index(folder).shards}
    except DataError:
        return {}
