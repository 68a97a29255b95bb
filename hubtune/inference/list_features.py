"""The features of lists of images by a network, in a table that heads can be fitted to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys
from hubtune.hub.file_names import CODE_FILE
from hubtune.hub.user_code import read_code
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_table import Table
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.model import Model
from hubtune.inference.program import Subnetwork
from hubtune.inference.quantized_backbone import QuantizedBackbone
from hubtune.models.classifier import Classifier
from hubtune.storage.checked_folder import MANIFEST
from hubtune.storage.regular_file import read_json


def features_backbone(
    classifier: Classifier,
    view: Preprocessing,
    *,
    module: str,
    wanted: str,
    cache: FeatureCache,
    code: bytes | None,
) -> FrozenBackbone:
    """Return the part of a classifier that computes the head's input, as a frozen backbone."""
    taps = () if classifier.second_order is None else classifier.second_order.taps
    return FrozenBackbone(
        Subnetwork(classifier, classifier.features, view),
        classifier.state_before_head(),
        module=module,
        layer=f"features and covariances of {', '.join(tap.name for tap in taps)}" if taps else "features",
        wanted=wanted,
        cache=cache,
        code=code,
    )


def backbone_of_model(model: Model) -> tuple[FrozenBackbone, list[int]]:
    """Return the backbone of a fine-tuned model, and the widths of its blocks of features.

    Features that were computed in training are taken from the cache.
    """
    classifier, card = model.classifier, model.card
    assert isinstance(classifier, Classifier)
    code = None
    if card.architecture == CODE_FILE and model.folder is not None:
        manifest = read_json(model.folder / MANIFEST)
        code = read_code(model.folder / CODE_FILE, manifest).content
    name = card.architecture if code is None else card.module
    if model.program is not None:
        quantized = QuantizedBackbone(
            model.program, classifier, card.preprocessing, module=name, cache=FeatureCache()
        )
        return quantized, classifier.blocks
    backbone = features_backbone(
        classifier,
        card.preprocessing,
        module=name,
        wanted="auto",
        cache=FeatureCache(),
        code=code,
    )
    return backbone, classifier.blocks


def compute_table(
    backbone: FrozenBackbone,
    blocks: Sequence[int],
    views: Sequence[Preprocessing],
    entries: Sequence[ImageEntry],
    groups: Mapping[Path, int],
    *,
    advance: Callable[[int, int], None] = lambda done, count: None,
) -> tuple[Table, np.ndarray]:
    """Compute the features of images, averaged over the views.

    Args:
        backbone: computes the features.
        blocks: widths of the blocks of features.
        views: the ways to look at each image.
        entries: the images, with their classes and checksums.
        groups: path → number of the image's group.
        advance: called with the number of images done, and of all.

    Returns:
        The table of the readable images, and their indices among the entries.

    Raises:
        MachineError: an image does not load within two minutes.
    """
    rows, indices = [], []
    outputs = backbone.extract(views, [entry.path for entry in entries], batch_size=32, workers=2)
    for index, output in enumerate(outputs):
        if output.rows is not None and all(np.isfinite(row).all() for row in output.rows):
            rows.append(np.asarray(np.mean(output.rows, axis=0, dtype=np.float32)))
            indices.append(index)
        advance(index + 1, len(entries))
    keys = split_keys(entries, groups)
    labels = np.array([entries[index].label for index in indices], np.int64)
    values = np.array(rows, np.float32) if rows else np.zeros((0, sum(blocks)), np.float32)
    table = Table(values, labels, np.ones(len(indices)), [keys[index] for index in indices], blocks)
    return table, np.array(indices, np.int64)
