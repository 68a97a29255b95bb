"""From the name of weights to a network that holds all of them, or an error and an untouched network."""

from pathlib import Path

import numpy as np
from paddle import nn

from hubtune.errors import ModelError, suggest
from hubtune.hub import cache
from hubtune.models.backbone import PublishedWeights

_LISTED = 10


def resolve(weights: str | Path, published: PublishedWeights | None, name: str) -> Path:
    """Return the file that weights are in: fetched and verified for ``"official"``, else the path itself.

    Args:
        weights: ``"official"`` or a path.
        published: where the official weights of the backbone are; ``None`` where there are none.
        name: the backbone's name, for messages.

    Raises:
        ModelError: the backbone has no official weights, they differ from what was published, or the path
            is no file.
        MachineError: the official weights cannot be fetched or kept.
    """
    if weights == "official":
        if published is None:
            raise ModelError(
                f"No official weights are published for {name}; pass a file with `-o module.weights=FILE`, "
                "or `-o module.weights=none` for random ones."
            )
        return cache.fetch(published.url, sha256=published.sha256, md5=published.md5)
    path = Path(weights).expanduser()
    if path.is_dir():
        raise ModelError(f"The weights for {name} are to come from {path}, which is a folder; name a file.")
    if not path.is_file():
        near = suggest(path.name, [file.name for file in _files_of(path.parent)])
        raise ModelError(f"The weights file {path} for {name} is not there.{near or ' Check the path.'}")
    return path


def load_into(network: nn.Layer, state: dict[str, np.ndarray], *, head: frozenset[str], source: str) -> bool:
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
        difference = _difference(name, tuple(target.shape), _type_name(target.dtype), state.get(name))
        if difference is None:
            continue
        if name in head:
            head_fits = False
        else:
            differences.append(difference)
    for name, array in state.items():
        if name not in targets and name not in head:
            differences.append(f"unexpected: {name!a} with the shape {list(array.shape)}")
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            differences.append(f"not finite: {name!a} holds {bad:,} NaN or infinite values")
    if differences:
        raise ModelError(_refusal(differences, source))
    for name, target in targets.items():
        if head_fits or name not in head:
            target.set_value(state[name])
    return head_fits


def _difference(name: str, shape: tuple[int, ...], type_name: str, array: np.ndarray | None) -> str | None:
    if array is None:
        return f"missing: {name!a} with the shape {list(shape)}"
    if array.shape != shape:
        return f"shape: {name!a} is {list(array.shape)} in the file and {list(shape)} in the network"
    if array.dtype.name != type_name:
        return f"type: {name!a} is {array.dtype.name} in the file and {type_name} in the network"
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
