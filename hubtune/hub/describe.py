"""Descriptions of hub modules and of their weights on this machine, as JSON has them."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.hub.registry import ResolvedModule, backbone_preprocessing
from hubtune.hub.weights import find_local_weights, weights_error
from hubtune.hub.weights_cache import weights_folder
from hubtune.models import catalog
from hubtune.models.backbone import Backbone
from hubtune.models.catalog import Pretrained


class LocalWeights(NamedTuple):
    """A weights file on this machine, and the name of the module that would use it."""

    name: str
    file: Path
    error: str | None  # what is wrong with the file; None if it can be used
    is_own: bool  # whether it is in hubtune's cache, not another program's


def check_local_weights() -> Iterator[LocalWeights]:
    """Yield every weights file on this machine that a module would use, compared with its checksum."""
    for entry in catalog.PRETRAINED:
        file = None if entry.weights is None else find_local_weights(entry)
        if file is not None:
            yield LocalWeights(entry.name, file, weights_error(entry, file), file.parent == weights_folder())


def matches_pattern(pattern: str, *names: str) -> bool:
    """Return whether one of the names contains a text, or matches it if it has wildcards.

    Example:
        >>> matches_pattern("NET50", "resnet50_imagenet"), matches_pattern("res*50", "resnet50_imagenet")
        (True, False)
    """
    pattern = pattern.lower() if any(mark in pattern for mark in "*?[") else f"*{pattern.lower()}*"
    return any(fnmatchcase(name.lower(), pattern) for name in names)


def weights_licence(name: str) -> str | None:
    """Return the SPDX identifier of a module's official weights; ``None`` if there are none on the hub."""
    entry = catalog.lookup(name)
    return None if entry is None or entry.weights is None else entry.weights.licence


def describe_pretrained(entry: Pretrained) -> dict[str, Any]:
    weights = entry.weights
    document: dict[str, Any] = {
        "name": entry.name,
        "aliases": list(entry.aliases),
        **_architecture(entry.backbone, backbone_preprocessing(entry.backbone)),
        "weights": None,
    }
    if weights is not None:
        file = find_local_weights(entry)
        facts = {key: getattr(weights, key) for key in ("url", "sha256", "md5", "licence", "top1", "top5")}
        document["weights"] = {**facts, "file": file and str(file)}
    return document


def describe_resolved(name: str, module: ResolvedModule) -> dict[str, Any]:
    """Return the description of a module folder or a weights file."""
    file = module.own_weights()
    return {
        "name": name,
        "aliases": [],
        **_architecture(module.pretrained.backbone, module.preprocessing),
        "weights": file and {"file": str(file)},
        "classes": list(module.labels),
    }


def _architecture(backbone: Backbone, preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "architecture": backbone.name,
        "parameters": backbone.parameters,
        "width": backbone.width,
        "size_multiple": backbone.size_multiple,
        "preprocessing": preprocessing.model_dump(),
    }
