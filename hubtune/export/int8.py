"""Quantises a fine-tuned model to int8, and judges it on the validation list."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import preprocess_views
from hubtune.errors import DataError, HubtuneError, ModelError
from hubtune.export.benchmark import SpeedRatio
from hubtune.export.int8_accuracy import Int8Accuracy, compare_accuracy
from hubtune.export.int8_head import fit_quantized, has_solved_head, require_images, training_context
from hubtune.export.network import ExportNetwork
from hubtune.export.network_parts import NetworkParts
from hubtune.export.quantized_model import QuantizedFiles, QuantizedModel
from hubtune.export.quantizer import CalibrationImages, Quantizer, quantizer_for
from hubtune.hub.user_code import describe_exception
from hubtune.inference.model import Model
from hubtune.train.calibration import choose_images
from hubtune.train.context import RunContext
from hubtune.train.data_checks import hash_images
from hubtune.train.evaluator import evaluate_list

MOST_IMAGES = 300
"""Number of training images by which the steps of int8 are chosen, at most."""


@dataclass(frozen=True)
class Int8Report:
    """An export in int8 compared with one in float32: how right and how fast it is."""

    accuracy: Int8Accuracy
    speed: SpeedRatio

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        return {"accuracy": self.accuracy.as_dict(), "speed": self.speed.as_dict()}


@contextmanager
def quantized_model(model: Model, run: Path | None, form: str) -> Iterator[QuantizedModel]:
    """Yield a model with its backbone in int8; its files last as long as the block.

    Args:
        model: fine-tuned, read from a run.
        run: its run folder; ``None`` if it is in none.
        form: the name of a format that has a quantiser.

    Raises:
        ModelError: the training or validation images are not there, or the network cannot be quantised.
        CheckFailedError: int8 loses too much accuracy.
    """
    if run is None:
        raise ModelError(
            "int8 needs the training and validation pictures, which only a run knows: export the run, not "
            "its model folder"
        )
    with TemporaryDirectory(prefix="hubtune-") as folder:
        try:
            with training_context(run, model) as context:
                require_images(context)
                result = quantize_model(context, model, quantizer_for(form), Path(folder))
        except DataError as error:
            raise ModelError(f"The model of {run} cannot be quantised: {error}") from error
        assert result.accuracy is not None
        result.accuracy.check()
        yield result


def quantize_model(context: RunContext, model: Model, quantizer: Quantizer, folder: Path) -> QuantizedModel:
    """Return a model with its backbone in int8, and its metrics; its accuracy is compared, but not judged.

    Args:
        context: of the run that trained the model, see :func:`~hubtune.export.int8_head.training_context`.
        model: read from the run.
        quantizer: of the format.
        folder: for the files of the network.

    Raises:
        DataError: none of the training or of the validation images can be read.
        ModelError: the network cannot be quantised.
    """
    images = calibration_images(context, model)
    result = fit_quantized(context, model, _write_quantized(model, images, quantizer, folder))
    before = evaluate_list(context, "validate", model.score)
    after = evaluate_list(context, "validate", result.score, result.reference)
    if before is None or after is None:
        raise DataError("none of its validation pictures can be read")
    result.accuracy = compare_accuracy(before, after, len(images), has_solved_head(context, model))
    found = {"validate": after, "test": evaluate_list(context, "test", result.score)}
    metrics = {name: figures.as_dict() for name, figures in found.items() if figures is not None}
    result.card = result.card.model_copy(update={"metrics": metrics})
    return result


def calibration_images(context: RunContext, model: Model) -> CalibrationImages:
    """Return training images, chosen by their content, the same number of each class where it has enough."""
    view = ExportNetwork(model).view
    entries = choose_images(hash_images(context.data.examples["train"], context.stop.check), MOST_IMAGES)
    pixels = []
    for entry in entries:
        with suppress(ImageError):
            pixels += preprocess_views(entry.path, [view])
    if not pixels:
        raise DataError("none of its training pictures can be read")
    return CalibrationImages(pixels, view)


def _write_quantized(
    model: Model, images: CalibrationImages, quantizer: Quantizer, folder: Path
) -> QuantizedFiles:
    """Write the parts of a model, and quantise the one that is its backbone."""
    parts = NetworkParts(model)
    names = ("views", "single_view", "float32", "features", "int8", "pixels_to_features")
    files = {name: folder / f"{name}{quantizer.suffix}" for name in names}
    try:
        quantizer.write(parts.views, files["views"])
        quantizer.write(parts.single_view, files["single_view"])
        quantizer.write(parts.backbone, files["float32"])
        quantizer.write(parts.features_of(model.classifier), files["features"])
        quantizer.quantize(files["float32"], files["int8"], images)
        joined = [files["single_view"], files["int8"], files["features"]]
        quantizer.join(joined, files["pixels_to_features"])
    except (HubtuneError, OSError):
        raise
    except Exception as error:  # foreign code can fail in any way
        reason = describe_exception(error)
        raise ModelError(
            f"The network {model.card.architecture} cannot be quantised ({reason}): export without --int8"
        ) from error
    return QuantizedFiles(quantizer, files["views"], files["int8"], files["pixels_to_features"])
