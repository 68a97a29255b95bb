"""Work on images that the ranks share: each takes every n-th batch, rank 0 gets all results in order."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.predict import ImageScores
from hubtune.train.distributed.group import Follower, RankGroup
from hubtune.train.distributed.message import Message

_Result = TypeVar("_Result", BackboneOutput, ImageScores)
Compute = Callable[[Sequence[Path]], Iterator[_Result]]


def share_images(
    group: RankGroup,
    order: str,
    details: Mapping[str, Any],
    paths: Sequence[Path],
    size: int,
    compute: Compute[_Result],
    decode: Callable[[Message, Sequence[Path]], Iterator[_Result]],
    arrays: Mapping[str, np.ndarray] = {},
) -> Iterator[_Result]:
    """Yield the result of each image, in order, of which other ranks compute their share.

    Whole batches of ``size`` images are given away: some engines' last digits depend on the batch.

    Args:
        group: of which this process is rank 0.
        order: what the others have to do, with its ``details`` and ``arrays``.
        paths: the images.
        size: of a batch.
        compute: yields the results of images that this rank computes.
        decode: reads results of images from a message of another rank.

    Raises:
        RankFailedError: if another rank has died.
    """
    if len(paths) <= size:
        yield from compute(paths)
        return
    names = [str(path) for path in paths]
    group.order(order, {**details, "paths": names, "size": size}, arrays)
    own = compute(own_share(paths, size, 0, group.size))
    for number, start in enumerate(range(0, len(paths), size)):
        batch = paths[start : start + size]
        rank = number % group.size
        yield from islice(own, len(batch)) if rank == 0 else decode(group.receive(rank), batch)


def send_share(
    follower: Follower,
    document: Mapping[str, Any],
    compute: Compute[_Result],
    encode: Callable[[Iterable[_Result]], Message],
) -> None:
    """As another rank, do what :func:`share_images` has ordered, and send the results batch by batch."""
    size: int = document["size"]
    paths = [Path(name) for name in document["paths"]]
    own = own_share(paths, size, follower.rank.number, follower.rank.size)
    results = compute(own)
    for start in range(0, len(own), size):
        message = encode(list(islice(results, min(size, len(own) - start))))
        follower.send(message.document, message.arrays)


def own_share(paths: Sequence[Path], size: int, rank: int, ranks: int) -> list[Path]:
    """Return the images of every n-th batch, from that of a rank."""
    starts = range(rank * size, len(paths), ranks * size)
    return [path for start in starts for path in paths[start : start + size]]


def encode_outputs(outputs: Iterable[BackboneOutput]) -> Message:
    rows: dict[str, np.ndarray] = {}
    entries = []
    for place, output in enumerate(outputs):
        for view, row in enumerate(output.rows or ()):
            rows[f"{place}.{view}"] = row
        entries.append(
            {
                "views": None if output.rows is None else len(output.rows),
                "reason": None if output.error is None else output.error.reason,
                "digest": None if output.digest is None else output.digest.hex(),
            }
        )
    return Message({"images": entries}, rows)


def decode_outputs(message: Message, paths: Sequence[Path]) -> Iterator[BackboneOutput]:
    for place, (path, entry) in enumerate(zip(paths, message.document["images"], strict=True)):
        rows = entry["views"] and [message.arrays[f"{place}.{view}"] for view in range(entry["views"])]
        digest = entry["digest"] and bytes.fromhex(entry["digest"])
        yield BackboneOutput(path, rows, _error(path, entry), digest)


def encode_scores(results: Iterable[ImageScores]) -> Message:
    arrays: dict[str, np.ndarray] = {}
    entries = []
    for place, result in enumerate(results):
        if result.values is not None:
            arrays[f"{place}.values"] = result.values
        if result.features is not None:
            arrays[f"{place}.features"] = result.features
        entries.append({"reason": None if result.error is None else result.error.reason})
    return Message({"images": entries}, arrays)


def decode_scores(message: Message, paths: Sequence[Path]) -> Iterator[ImageScores]:
    arrays = message.arrays
    for place, (path, entry) in enumerate(zip(paths, message.document["images"], strict=True)):
        values, features = arrays.get(f"{place}.values"), arrays.get(f"{place}.features")
        yield ImageScores(path, values, _error(path, entry), features)


def _error(path: Path, entry: Mapping[str, Any]) -> ImageError | None:
    return None if entry["reason"] is None else ImageError(path, entry["reason"])
