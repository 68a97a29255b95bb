"""Lists written into a bucket, for images in a bucket."""

import tempfile
from pathlib import Path

from hubtune.data.bucket_lists import recorded_address
from hubtune.data.list_files import TRAIN_LIST
from hubtune.data.splits.files import LIST_FILES, Split
from hubtune.errors import UsageError, writing
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.object_store import ObjectStore


def write_to_bucket(split: Split, address: str, *, force: bool = False) -> list[str]:
    """Write what :meth:`~hubtune.data.splits.files.Split.write` writes to an address; returns the names.

    Raises:
        UsageError: the images are not in a bucket, so that the lists would name files of this machine; or
            lists with other content are there, and ``force`` is not set.
        MachineError: the bucket cannot be written.
    """
    store = ObjectStore(address)
    with writing(cache_root()):
        cache_root().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=cache_root(), prefix=".lists-")
    with folder as name:
        files = {file.name: file.read_bytes() for file in split.write(name)}
        if recorded_address(Path(name)) is None:
            raise UsageError(
                f"The pictures are files of this machine, and lists at {address} would be read on others: "
                "give the pictures in a bucket, or a folder for the lists"
            )
    there = store.list()
    stale = [each for each in LIST_FILES.values() if each in there and each not in files]
    other = [each for each, content in files.items() if each in there and store.get(each) != content]
    if (stale or other) and not force:
        names = ", ".join(sorted([*stale, *other]))
        raise UsageError(f"{address} has {names} with other content already: add --force to replace them")
    for each in stale:
        store.delete(each)
    # The training list last: without it, there are no lists.
    for each in sorted(files, key=lambda file: file == TRAIN_LIST):
        store.put(each, files[each])
    return [*files]
