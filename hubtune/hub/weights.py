"""From the name of weights to a network that holds all of them, or an error and an untouched network."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from os.path import expanduser
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from hubtune.errors import ModelError, suggest
from hubtune.hub import other_caches, weights_cache
from hubtune.hub.identify import classes_of
from hubtune.hub.weights_cache import PASS_A_FILE
from hubtune.log import logger
from hubtune.models.backbone import IMAGENET_CLASSES, PublishedWeights, Tensors
from hubtune.models.catalog import Pretrained
from hubtune.storage.download import Progress
from hubtune.storage.safe_load import read_weights

_LISTED = 10


def resolve_weights(weights: str | Path, pretrained: Pretrained, *, progress: Progress | None = None) -> Path:
    """Return the file that weights are in.

    Official weights come from hubtune's cache, else from the caches of PaddleClas, Paddle and PaddleHub on
    this machine, else from the network.

    Args:
        weights: ``"official"`` or a path.
        pretrained: the architecture and its official weights.
        progress: called with the bytes that are there and the total, ``None`` while that is unknown.

    Raises:
        ModelError: the backbone has no official weights, they differ from what was published or recorded, or
            the path is no file.
        MachineError: the official weights cannot be fetched or kept.
    """
    if weights == "official":
        own = weights_cache.cached(_published(pretrained).url)
        if weights_error(pretrained, own) is None:
            return own
        elsewhere = _elsewhere(pretrained)
        if elsewhere is not None:
            logger.info("Using %s, which another program has downloaded.", elsewhere)
            return elsewhere
        return weights_cache.fetch_file(_published(pretrained).url, _known(pretrained), progress=progress)
    path = Path(expanduser(weights))  # noqa: PTH111  # raises for no unknown user
    if path.is_dir():
        raise ModelError(
            f"The weights for {pretrained.name} are to come from {path}, which is a folder; name a file."
        )
    if not path.is_file():
        near = suggest(path.name, [file.name for file in _files_of(path.parent)])
        raise ModelError(
            f"The weights file {path} for {pretrained.name} is not there.{near or ' Check the path.'}"
        )
    return path


def pull_weights(pretrained: Pretrained, *, progress: Progress | None = None) -> Path:
    """Bring official weights into hubtune's own cache, and return the file there.

    Args:
        pretrained: the architecture and its official weights.
        progress: as for :func:`resolve_weights`.

    Raises:
        ModelError: as for :func:`resolve_weights`.
        MachineError: as for :func:`resolve_weights`.
    """
    file = resolve_weights("official", pretrained, progress=progress)
    url, known = _published(pretrained).url, _known(pretrained)
    if file == weights_cache.cached(url):
        return file
    if known.summed and file not in other_caches.downloaded(url):
        return weights_cache.fetch_file(url, known, progress=progress)  # PaddleHub's form has another sum
    return adopt(file, pretrained)


def adopt(file: Path, pretrained: Pretrained) -> Path:
    """Copy a file into the cache as official weights, and return it there.

    Raises:
        ModelError: the file is not the published one, or holds no weights of this architecture.
        MachineError: the cache cannot be written.
    """
    published = _published(pretrained)
    known = _known(pretrained)
    reason = known.difference(file) or _misfit(pretrained, file)
    if reason is not None:
        raise ModelError(
            f"{file} cannot be the official weights of {pretrained.name} ({published.url}): it {reason}. "
            f"Where that is meant, {PASS_A_FILE}"
        )
    record = weights_cache.record_of(weights_cache.cached(published.url))
    other = weights_cache.known_from(record, known).difference(file)
    if other is not None:
        raise ModelError(
            f"{file} is not the file that {pretrained.name} was first used with: it {other}. To accept it "
            f"all the same, forget the other one by `hubtune hub prune {pretrained.name}`"
        )
    return weights_cache.put(file, published.url)


def kept(pretrained: Pretrained) -> Path | None:
    """Return where official weights lie on this machine, without checking them; ``None`` for nowhere."""
    own = weights_cache.cached(_published(pretrained).url)
    if own.is_file():
        return own
    return next(_candidates(pretrained), None)


def weights_error(pretrained: Pretrained, file: Path) -> str | None:
    """Return in words what is wrong with a file in a cache; ``None`` where it can be used."""
    known = _known(pretrained)
    url = _published(pretrained).url
    own = weights_cache.cached(url)
    try:
        if file == own:
            return weights_cache.cached_file_error(file, known)
        if file not in other_caches.downloaded(url):
            # PaddleHub has its own form of the file, to which the sums of the published one do not apply.
            known = replace(known, sha256=None, md5=None)
        elif not known.summed:
            known = weights_cache.known_from(weights_cache.record_of(own), known)
        return weights_cache.cached_file_error(file, known, other_caches.record_of(file))
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _published(pretrained: Pretrained) -> PublishedWeights:
    if pretrained.weights is None:
        raise ModelError(
            f"No official weights are published for {pretrained.name}; {PASS_A_FILE}, or `none` in its place "
            "for random ones."
        )
    return pretrained.weights


def _known(pretrained: Pretrained) -> weights_cache.Known:
    published = _published(pretrained)
    return weights_cache.Known(published.sha256, published.md5, misfit=partial(_misfit, pretrained))


def _misfit(pretrained: Pretrained, file: Path) -> str | None:
    """Return in words why a file cannot be the official weights; ``None`` where it can."""
    try:
        num_classes = classes_of(pretrained.backbone, read_weights(file))
    except ModelError as error:
        return f"cannot be read as weights: {str(error).rstrip('.')}"
    if num_classes is None:
        return f"does not hold the tensors of {pretrained.backbone.name}"
    if num_classes not in (0, IMAGENET_CLASSES):  # trained on ImageNet, or without a head
        return f"has a head of {num_classes:,} classes, not of {IMAGENET_CLASSES:,}"
    return None


def _elsewhere(pretrained: Pretrained) -> Path | None:
    """Return a sound copy of official weights in another program's cache, if there is one."""
    for file in _candidates(pretrained):
        reason = weights_error(pretrained, file)
        if reason is None:
            return file
        logger.warning("%s %s: left alone.", file, reason)
    return None


def _candidates(pretrained: Pretrained) -> Iterator[Path]:
    yield from other_caches.downloaded(_published(pretrained).url)
    yield from other_caches.of_paddlehub_module(pretrained.name)


def load_into(network: nn.Layer, state: Tensors, *, head: frozenset[str], source: str) -> bool:
    """Put weights into a network: every tensor outside the head, and the head too if all of it fits.

    Everything is checked before the first tensor is changed.

    Args:
        network: gets the weights.
        state: the weights by the names of the network's ``state_dict()``.
        head: the names of the head's tensors, whose number of classes may differ.
        source: where the weights are from, for messages.

    Returns:
        Whether the head was loaded; if not, it is as it was.

    Raises:
        ModelError: a tensor is missing, unexpected, of another shape or type, or holds NaN or infinity; the
            message lists the first ten such differences.
    """
    targets = network.state_dict()
    differences = []
    head_fits = True
    for name, target in targets.items():
        difference = _difference(name, target, state.get(name))
        if difference is None:
            continue
        if name in head:
            head_fits = False
        else:
            differences.append(difference)
    for name, array in state.items():
        if name not in targets:
            if name not in head:
                differences.append(f"unexpected: {name!a} with the shape {list(array.shape)}")
            continue
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            differences.append(f"not finite: {name!a} holds {bad:,} NaN or infinite values")
    if differences:
        raise ModelError(_refusal(differences, source))
    for name, target in targets.items():
        if head_fits or name not in head:
            target.set_value(state[name])
    return head_fits


def _difference(name: str, target: paddle.Tensor, array: np.ndarray | None) -> str | None:
    shape, type_name = tuple(target.shape), _type_name(target.dtype)
    if array is None:
        return f"missing: {name!a} with the shape {list(shape)}"
    if array.shape != shape:
        return f"shape: {name!a} is {list(array.shape)} in the file and {list(shape)} in the network"
    if array.dtype.name != type_name:
        return f"type: {name!a} is {array.dtype.name} in the file and {type_name} in the network"
    # Indices, which the architecture fixes: others would read memory that is not theirs.
    if array.dtype.kind != "f" and not np.array_equal(array, target.numpy()):
        return f"values: {name!a} holds other whole numbers than the architecture has"
    return None


def _refusal(differences: list[str], source: str) -> str:
    count = len(differences)
    lines = differences[:_LISTED]
    if count > _LISTED:
        lines.append(f"… and {count - _LISTED:,} more")
    return (
        f"The weights of {source} do not fit the network, and none were loaded ({count:,} "
        f"difference{'s' if count > 1 else ''}):\n  "
        + "\n  ".join(lines)
        + "\nName the architecture that the weights were made for, or use weights made for this one."
    )


def _type_name(dtype: object) -> str:
    return str(dtype).removeprefix("paddle.")


def _files_of(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
