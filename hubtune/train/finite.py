"""Detects divergence: a loss or weight that is not a finite number ends the run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import paddle

from hubtune.errors import NumericError
from hubtune.models.classifier import Classifier
from hubtune.runs.folder import RunFolder
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import LoopSettings


@dataclass(frozen=True)
class FiniteCheck:
    """Raises ``NumericError`` if a run has diverged, with a report in its folder and advice on the rate."""

    folder: RunFolder
    settings: LoopSettings
    optimizer: Optimizer

    def check(self, value: float, name: str, step: int, images: Sequence[Path] = ()) -> None:
        """Check a figure of a step, whose batch is for the report."""
        if not math.isfinite(value):
            self._fail(name, step, images)

    def check_update(self, step: int, images: Sequence[Path]) -> None:
        """Check what a step has changed: the trained weights, and the optimizer's moments."""
        if (name := self.optimizer.find_infinite()) is not None:
            self._fail(name, step, images)

    def check_weights(self, classifier: Classifier, step: int) -> None:
        """Check all weights: a gradient may be infinite although the loss is finite."""
        for name, tensor in classifier.training_state().items():
            if not paddle.isfinite(tensor).all():
                self._fail(f"the weight {name}", step, ())

    def _fail(self, name: str, step: int, images: Sequence[Path]) -> NoReturn:
        rate = self.settings.rate(step - 1)
        report = {"step": step, "learning_rate": rate, "batch": [str(path) for path in images]}
        report["loss_scale"] = self.optimizer.precision.scale
        file = self.folder.write_nan_report(report)
        raise NumericError(
            f"{name[0].upper()}{name[1:]} is not a finite number at step {step} (learning rate {rate:g}); "
            f"{file} has the details. Try a tenth of the rate: -o train.learning_rate="
            f"{self.settings.base_rate / 10:.3g}"
        )
