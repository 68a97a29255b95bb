"""The engine for int8 in training: quantises the frozen backbone, and compares it with that in float32."""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError
from hubtune.hardware import cpu
from hubtune.inference.extract import sample_inputs
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.int8_program import PROGRAM_FILES, Int8Program
from hubtune.inference.list_features import features_backbone
from hubtune.inference.openvino_quantizer import QUANTIZER
from hubtune.inference.quantized_backbone import QuantizedBackbone
from hubtune.inference.quantizer import CalibrationImages, quantize_network
from hubtune.inference.ridge_head import clearly_lower, fit_ridge
from hubtune.inference.stored_program import find_stored, program_key, store_files
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.text import plural
from hubtune.train.calibration import choose_images
from hubtune.train.context import RunContext
from hubtune.train.data_checks import hash_images
from hubtune.train.training_features import TrainingFeatures

MOST_CALIBRATION_IMAGES = 300
"""Number of training images by which the steps of int8 are chosen, at most."""

LEAST_SPEED = 1.3
"""int8 is worth its restrictions if it is this many times as fast as float32."""

# Raised when the same images give another program, or the same features another comparison.
_VERSION = 1
# Training images whose losses are compared, about; those in float32 are computed for that alone.
_COMPARED = 300
# Images of a round, and rounds; the first one warms up. Both backbones take turns.
_TIMED, _ROUNDS = 12, 6


@dataclass(frozen=True)
class Int8Comparison:
    """What int8 does to the head's loss, and to the time.

    Attributes:
        count: number of training images, each scored without its group.
        float32: mean cross entropy of the head on features in float32.
        int8: likewise in int8.
        is_worse: whether that in float32 is lower by more than the difference's standard error.
        speed: times as fast as float32 on this machine; the median of rounds.
    """

    count: int
    float32: float
    int8: float
    is_worse: bool
    speed: float

    def log(self) -> None:
        """Log the figures; as a warning if int8 is not worth it."""
        is_slow = self.speed < LEAST_SPEED
        reason = "fits clearly worse" if self.is_worse else "is hardly faster"
        if self.is_worse and is_slow:
            reason = "fits clearly worse and is hardly faster"
        figures = (
            f"a loss of {self.int8:.4f} in place of {self.float32:.4f} on {plural(self.count, 'picture')} "
            f"that were left out of a fit, and {self.speed:.2f} times as fast as float32"
        )
        if self.is_worse or is_slow:
            logger.warning("int8 %s: %s; -o train.engine=auto takes float32", reason, figures)
        else:
            logger.info("int8: %s", figures)


def calibration_images(context: RunContext, view: Preprocessing) -> CalibrationImages:
    """Return training images, chosen by their content, the same number of each class where it has enough.

    Raises:
        DataError: none of them can be read.
    """
    pixels = []
    for entry in _calibration_entries(context):
        with suppress(ImageError):
            pixels += preprocess_views(entry.path, [view])
    if not pixels:
        raise DataError("none of its training pictures can be read")
    return CalibrationImages(pixels, view, context.stop.check)


def _calibration_entries(context: RunContext) -> list[ImageEntry]:
    entries = hash_images(context.data.examples["train"], context.stop.check)
    return choose_images(entries, MOST_CALIBRATION_IMAGES)


def quantized_backbone(
    context: RunContext, classifier: Classifier, view: Preprocessing
) -> tuple[QuantizedBackbone, Int8Program]:
    """Quantise the head's input, or take the program from the cache.

    Args:
        context: of the run.
        classifier: the network in float32, whose backbone does not change.
        view: the first one that the network gets.

    Raises:
        DataError: none of the training images can be read.
        ModelError: the network cannot be quantised.
        StopRequested: if a stop was requested.
    """
    record = context.module.backbone
    chosen = [entry.sha256 for entry in _calibration_entries(context)]
    plain = _float32_backbone(context, classifier, view)
    facts = [_VERSION, plain.network_facts, view.model_dump(), chosen, version("nncf")]
    key = f"{program_key(json.dumps(facts).encode())}-int8"
    files = find_stored(key, *PROGRAM_FILES)
    if files is None:
        images = calibration_images(context, view)
        logger.info("quantising %s on %s", record.name, plural(len(images), "training picture"))
        otherwise = "use -o train.engine=auto"
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            written = quantize_network(
                classifier, images, QUANTIZER, Path(folder), name=record.name, otherwise=otherwise
            )
            contents = [file.read_bytes() for file in QUANTIZER.files(written.features)]
        files = dict(zip(PROGRAM_FILES, contents, strict=True))
        store_files(key, files)
    program = Int8Program(files)
    backbone = QuantizedBackbone(program, classifier, view, module=record.name, cache=context.cache)
    return backbone, program


def compare_int8(
    context: RunContext, classifier: Classifier, backbone: FrozenBackbone, views: Sequence[Preprocessing]
) -> Int8Comparison | None:
    """Compare a quantised backbone with that in float32, on the same training images.

    The heads are ridge heads, whatever the recipe's is. The result of an earlier run on this machine is taken
    from the cache.

    Args:
        context: of the run.
        classifier: the network in float32.
        backbone: quantised.
        views: that the solved head looks at.

    Returns:
        The comparison; ``None`` if a stop was requested, or too few images can be read.
    """
    features = TrainingFeatures(context, backbone, classifier.blocks, merge_copies=True)
    facts = {
        "what": "int8 beside float32",
        "version": _VERSION,
        "trunk": backbone.facts,
        "pictures": features.digest,
        "views": [view.model_dump() for view in views],
        "seed": context.config.seed,
        "processor": cpu.processor().identity,
    }
    if note := context.cache.note(facts):
        return Int8Comparison(**note)
    plain = _float32_backbone(context, classifier, views[0])
    errors = _left_out_errors(context, features, views)
    same = TrainingFeatures(context, plain, classifier.blocks, merge_copies=True)
    others = _left_out_errors(context, same, views)
    if errors is None or others is None or len(errors) != len(others):
        return None
    both = np.isfinite(errors) & np.isfinite(others)
    if not both.any():
        return None
    comparison = Int8Comparison(
        count=int(both.sum()),
        float32=float(others[both].mean()),
        int8=float(errors[both].mean()),
        is_worse=clearly_lower(others, errors),
        speed=_speed_ratio(backbone, plain, sample_inputs(views[:1], context.paths("train"), _TIMED)),
    )
    context.cache.put_note(facts, asdict(comparison))
    return comparison


def _left_out_errors(
    context: RunContext, features: TrainingFeatures, views: Sequence[Preprocessing]
) -> np.ndarray | None:
    """Return the cross entropy of each of some images, scored without its group; float64.

    The images depend on the training list and the seed alone. ``None`` if a stop was requested, or all that
    can be read are of one class.
    """
    rows = features.sample(_COMPARED)
    table = features.tables(views, rows, rows).all
    if features.is_partial or len(np.unique(table.labels)) < 2:
        return None
    return fit_ridge(table, context.data.answers.count, check=context.stop.check).errors


def _float32_backbone(context: RunContext, classifier: Classifier, view: Preprocessing) -> FrozenBackbone:
    return features_backbone(
        classifier,
        view,
        module=context.module.backbone.name,
        wanted="auto",
        cache=context.cache,
        code=context.module.code,
    )


def _speed_ratio(fast: FrozenBackbone, slow: FrozenBackbone, arrays: Sequence[np.ndarray]) -> float:
    """Run the same images by both in turn; return the median of the ratios of their times."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_ROUNDS + 1):
        for backbone, spent in zip((fast, slow), times, strict=True):
            start = time.perf_counter()
            backbone.begin(arrays)()
            if number:
                spent.append(time.perf_counter() - start)
    return statistics.median(one / other for other, one in zip(*times, strict=True))
