"""Prediction of images in shards, one after another: the disk holds one shard, the memory a few images."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from hubtune.data.shards.index import SHARD_INDEX, ShardIndex, TarShard, parse_index, read_index
from hubtune.data.sources.shards import Sample, check_shard, read_samples
from hubtune.errors import writing
from hubtune.inference.model import Model
from hubtune.inference.prediction import Prediction
from hubtune.storage.address import is_bucket_address
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.object_store import MissingObjectError, ObjectStore

_PORTION = 256  # images in memory at once


class ShardSource:
    """Shards in a folder or a bucket."""

    def __init__(self, place: str, index: ShardIndex) -> None:
        self.place, self.index = place, index

    @contextmanager
    def file_of(self, shard: TarShard) -> Iterator[Path]:
        """Yield the file of a shard, checked; one from a bucket is removed afterwards.

        Raises:
            DataError: it is damaged.
            MachineError: the bucket cannot be read, or the cache not written.
        """
        if not is_bucket_address(self.place):
            check_shard(Path(self.place) / shard.name, shard)
            yield Path(self.place) / shard.name
            return
        with writing(cache_root()):
            cache_root().mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(dir=cache_root(), prefix=".shards-")
        with folder as name:
            file = Path(name) / shard.name
            with writing(file):
                ObjectStore(self.place).download(shard.name, file)
            check_shard(file, shard)
            yield file


def find_shards(place: str) -> ShardSource | None:
    """Return the shards at a place, a folder or an address in a bucket; ``None`` if there are none.

    Raises:
        DataError: their index is damaged.
        MachineError: the bucket cannot be read.
    """
    if is_bucket_address(place):
        try:
            content = ObjectStore(place).get(SHARD_INDEX)
        except MissingObjectError:
            return None
        return ShardSource(place, parse_index(content, f"{place}/{SHARD_INDEX}"))
    folder = Path(place)
    return ShardSource(place, read_index(folder)) if (folder / SHARD_INDEX).is_file() else None


def predict_shards(
    model: Model, source: ShardSource, *, reject: bool = False, batch_size: int = 32
) -> Iterator[Prediction]:
    """Predict all images of shards, as :meth:`~hubtune.inference.model.Model.predict`, by their names.

    Raises:
        DataError: a shard is damaged.
        MachineError: the bucket cannot be read.
    """
    for shard in source.index.shards:
        with source.file_of(shard) as file:
            samples = read_samples(file, source.index.labels)
            while portion := [*islice(samples, _PORTION)]:
                yield from _predict(model, portion, reject, batch_size)


def _predict(model: Model, samples: list[Sample], reject: bool, batch_size: int) -> Iterator[Prediction]:
    contents = [sample.content for sample in samples]
    rows = model.predict(contents, reject=reject, batch_size=batch_size)
    for sample, row in zip(samples, rows, strict=True):
        yield replace(row, path=sample.name)
