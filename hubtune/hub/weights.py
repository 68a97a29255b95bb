"""Finds a module's weights, and loads them into a network: all of them, or none and an error."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from os.path import expanduser
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from safetensors.numpy import save_file

from hubtune.errors import ModelError, suggest
from hubtune.hub import weights_cache
from hubtune.hub.identify import num_classes_of
from hubtune.hub.other_caches import files_of_paddle, files_of_paddlehub, foreign_checksum_record
from hubtune.hub.own_names import own_tensors
from hubtune.hub.registry import SHIPPED
from hubtune.hub.weights_cache import PASS_A_FILE, cache_path
from hubtune.log import logger
from hubtune.models.backbone import IMAGENET_CLASSES, Tensors
from hubtune.models.catalog import Pretrained, find
from hubtune.storage.download import Progress
from hubtune.storage.fluid.weights import is_fluid
from hubtune.storage.published_file import ExpectedFile, cached_file_error, checksum_record
from hubtune.storage.safe_load import read_weights
from hubtune.text import escaped, plural

_MOST_DIFFERENCES = 10  # in a message


def find_published(name: str) -> Pretrained:
    """Return the entry of a hub name that has official weights.

    Raises:
        ModelError: there is no such name, or no weights are published for it.
    """
    if name in SHIPPED:
        raise ModelError(f"{name} comes with hubtune, weights included: there is nothing to fetch")
    entry = find(name)
    if entry.weights is None:
        raise ModelError(f"No official weights are published for {entry.name}: leave it out")
    return entry


def resolve_weights(weights: str | Path, pretrained: Pretrained, *, progress: Progress | None = None) -> Path:
    """Return the file or folder of a module's weights, ``"official"`` or a path.

    Official weights come from hubtune's cache, else from the caches of PaddleClas, Paddle and PaddleHub on
    this machine, else from the network.

    Raises:
        ModelError: the backbone has no official weights, they differ from the published or recorded ones, or
            there is nothing at the path.
        MachineError: the official weights cannot be fetched or kept.
    """
    if weights == "official":
        return _resolve_official(pretrained, progress)
    path = Path(expanduser(weights))  # noqa: PTH111  # Path's raises for unknown users
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        near = suggest(path.name, [file.name for file in beside if file.is_file()]) or " Check the path."
        raise ModelError(f"The weights file {path} for {pretrained.name} is not there.{near}")
    return path


def pull_weights(pretrained: Pretrained, *, progress: Progress | None = None) -> Path:
    """Bring official weights into hubtune's own cache, and return the file there.

    The errors are those of :func:`resolve_weights`.
    """
    file = _resolve_official(pretrained, progress)
    url, expected = _official(pretrained)
    if file == cache_path(url):
        return file
    if expected.has_checksum and file not in files_of_paddle(url):
        # PaddleHub's form of the file has another checksum.
        return weights_cache.fetch_file(url, expected, progress=progress)
    return import_weights(file, pretrained)


def import_weights(file: Path, pretrained: Pretrained) -> Path:
    """Copy a file into the cache as official weights, and return its path there.

    Paddle 1's parameters, in a folder, an archive or a file, are converted.

    Raises:
        ModelError: the file is not the published one, or does not hold this architecture's weights.
        MachineError: the cache cannot be written.
    """
    if not is_fluid(file):
        return _import_copy(file, file, pretrained)
    url, expected = _official(pretrained)
    if expected.has_checksum:
        raise ModelError(
            f"The checksum that is published for {pretrained.name} ({url}) is that of another form of "
            f"{file}: {PASS_A_FILE}"
        )
    network = pretrained.backbone.build(num_classes=IMAGENET_CLASSES)
    tensors = own_tensors(pretrained.backbone, network, read_weights(file))
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "converted.safetensors"
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, converted)
        return _import_copy(converted, file, pretrained)


def _import_copy(copy: Path, file: Path, pretrained: Pretrained) -> Path:
    """Copy a file, which may be converted from the one that a person gave, into the cache."""
    url, expected = _official(pretrained)
    reason = expected.checksum_error(copy) or _content_error(pretrained, copy)
    if reason is not None:
        raise ModelError(
            f"{file} cannot be the official weights of {pretrained.name} ({url}): it {reason}. "
            f"Where that is meant, {PASS_A_FILE}"
        )
    reason = expected.with_record(checksum_record(cache_path(url))).checksum_error(copy)
    if reason is not None:
        raise ModelError(
            f"{file} is not the file that {pretrained.name} was first used with: it {reason}. To accept it "
            f"all the same, forget the other one by `hubtune hub prune {pretrained.name}`"
        )
    return weights_cache.add_to_cache(copy, url)


def find_local_weights(pretrained: Pretrained) -> Path | None:
    """Return a file of official weights on this machine, without checking it; ``None`` if there is none."""
    own = cache_path(_official(pretrained)[0])
    return own if own.is_file() else next(_foreign_files(pretrained), None)


def weights_error(pretrained: Pretrained, file: Path) -> str | None:
    """Return what is wrong with a cached file of official weights; ``None`` if it can be used."""
    url, expected = _official(pretrained)
    own = cache_path(url)
    try:
        if file == own:
            return cached_file_error(file, expected)
        if file not in files_of_paddle(url):
            # PaddleHub has its own form of the file, to which the published checksums do not apply.
            expected = replace(expected, sha256=None, md5=None)
        elif not expected.has_checksum:
            expected = expected.with_record(checksum_record(own))
        return cached_file_error(file, expected, foreign_checksum_record(file))
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _official(pretrained: Pretrained) -> tuple[str, ExpectedFile]:
    """Return the address of official weights, and what the file there must be."""
    published = pretrained.weights
    if published is None:
        raise ModelError(
            f"No official weights are published for {pretrained.name}; {PASS_A_FILE}, or `none` in its place "
            "for random ones."
        )
    find_error = partial(_content_error, pretrained)
    return published.url, ExpectedFile(published.sha256, published.md5, find_error)


def _resolve_official(pretrained: Pretrained, progress: Progress | None) -> Path:
    url, expected = _official(pretrained)
    own = cache_path(url)
    if weights_error(pretrained, own) is None:
        return own
    for file in _foreign_files(pretrained):
        reason = weights_error(pretrained, file)
        if reason is None:
            logger.info("Using %s, which another program has downloaded.", file)
            return file
        logger.warning("%s %s: left alone.", file, reason)
    return weights_cache.fetch_file(url, expected, progress=progress)


def _content_error(pretrained: Pretrained, file: Path) -> str | None:
    """Return why a file cannot be the official weights; ``None`` if it can."""
    try:
        num_classes = num_classes_of(pretrained.backbone, read_weights(file))
    except ModelError as error:
        return f"cannot be read as weights: {str(error).rstrip('.')}"
    if num_classes is None:
        return f"does not hold the tensors of {pretrained.backbone.name}"
    if num_classes not in (0, IMAGENET_CLASSES):  # official files are trained on ImageNet, or have no head
        return f"has a head of {num_classes:,} classes, not of {IMAGENET_CLASSES:,}"
    return None


def _foreign_files(pretrained: Pretrained) -> Iterator[Path]:
    yield from files_of_paddle(_official(pretrained)[0])
    yield from files_of_paddlehub(pretrained.name)


def load_into(network: nn.Layer, state: Tensors, *, head: frozenset[str], source: str) -> bool:
    """Load weights into a network: every tensor outside the head, and the head too if all of it fits.

    Everything is checked before the first tensor is changed. ``state`` has the names of the network's
    ``state_dict()``, and ``head`` those of the head's tensors, whose number of classes may differ; ``source``
    is for messages. Returns whether the head was loaded; if not, it is unchanged.

    Raises:
        ModelError: a tensor is missing, unexpected, of another shape or type, or holds NaN or infinity; the
            message lists the first ten such differences.
    """
    targets = network.state_dict()
    misfits = {
        name: difference
        for name, target in targets.items()
        if (difference := _difference(name, target, state.get(name)))
    }
    head_fits = head.isdisjoint(misfits)
    differences = [difference for name, difference in misfits.items() if name not in head]
    for name, array in state.items():
        if name not in targets:
            if name not in head:
                differences.append(f"unexpected: '{escaped(name)}' with the shape {list(array.shape)}")
            continue
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            differences.append(f"not finite: '{escaped(name)}' holds {bad:,} NaN or infinite values")
    if differences:
        raise ModelError(_refusal(differences, source))
    for name, target in targets.items():
        if head_fits or name not in head:
            target.set_value(state[name])
    return head_fits


def _difference(name: str, target: paddle.Tensor, array: np.ndarray | None) -> str | None:
    shape, type_name = tuple(target.shape), str(target.dtype).removeprefix("paddle.")
    if array is None:
        return f"missing: '{escaped(name)}' with the shape {list(shape)}"
    if array.shape != shape:
        return f"shape: '{escaped(name)}' is {list(array.shape)} in the file and {list(shape)} in the network"
    if array.dtype.name != type_name:
        return f"type: '{escaped(name)}' is {array.dtype.name} in the file and {type_name} in the network"
    # The architecture fixes its indices; other ones would read memory that is not theirs.
    if array.dtype.kind != "f" and not np.array_equal(array, target.numpy()):
        return f"values: '{escaped(name)}' holds other whole numbers than the architecture has"
    return None


def _refusal(differences: list[str], source: str) -> str:
    count = len(differences)
    lines = "\n  ".join(differences[:_MOST_DIFFERENCES])
    more = f"\n  … and {count - _MOST_DIFFERENCES:,} more" if count > _MOST_DIFFERENCES else ""
    return (
        f"The weights of {source} do not fit the network, and none were loaded "
        f"({plural(count, 'difference')}):\n  {lines}{more}\n"
        "Name the architecture that the weights were made for, or use weights made for this one."
    )
