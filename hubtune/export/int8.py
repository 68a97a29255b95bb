"""Quantises a fine-tuned model to int8, and judges it on the validation list."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hubtune.errors import DataError, ModelError
from hubtune.export.benchmark import SpeedRatio
from hubtune.export.formats import quantizer_for
from hubtune.export.int8_accuracy import Int8Accuracy, compare_accuracy
from hubtune.export.int8_head import fit_quantized, has_solved_head, require_images, training_context
from hubtune.export.network import ExportNetwork
from hubtune.export.quantized_model import QuantizedModel
from hubtune.inference.model import Model
from hubtune.inference.quantizer import Quantizer, quantize_network
from hubtune.train.context import RunContext
from hubtune.train.evaluator import FittedCalibration, evaluate_list
from hubtune.train.int8_engine import calibration_images


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
    images = calibration_images(context, ExportNetwork(model).view)
    name, otherwise = model.card.architecture, "export without --int8"
    files = quantize_network(model.classifier, images, quantizer, folder, name=name, otherwise=otherwise)
    result = fit_quantized(context, model, files)
    before = evaluate_list(context, "validate", model.score, _calibration_of(model))
    after = evaluate_list(context, "validate", result.score, _calibration_of(result))
    if before is None or after is None:
        raise DataError("none of its validation pictures can be read")
    result.accuracy = compare_accuracy(before, after, len(images), has_solved_head(context, model))
    found = {
        "validate": after,
        "test": evaluate_list(context, "test", result.score, _calibration_of(result)),
    }
    metrics = {name: figures.as_dict() for name, figures in found.items() if figures is not None}
    result.card = result.card.model_copy(update={"metrics": metrics})
    return result


def _calibration_of(model: Model) -> FittedCalibration:
    thresholds = model.card.thresholds
    reference = model.reference if isinstance(model, QuantizedModel) else None
    return FittedCalibration(reference=reference, thresholds=thresholds or None)
