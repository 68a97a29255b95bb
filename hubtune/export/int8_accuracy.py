"""How right a model in int8 is, compared with the same model in float32 on the same images."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hubtune.errors import CheckFailedError, DataError
from hubtune.evaluation.comparison import compare
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation

MOST_LOST = 0.005
"""A loss of accuracy above this, beyond its standard error, refuses an export in int8."""


@dataclass(frozen=True)
class Int8Accuracy:
    """What int8 does to the answers for the images of the validation list.

    Attributes:
        calibration_images: number of training images by which the steps of int8 were chosen.
        head_solved: whether the head was solved again on features in int8.
        count: number of validation images.
        float32: accuracy of the model in float32.
        float32_interval: its 95 % interval.
        int8: accuracy in int8.
        int8_interval: its 95 % interval.
        loss: accuracy in float32 minus that in int8, on the same images.
        standard_error: of the loss: that of the mean of the differences of right answers.
        agreement: share of the images that get the same label.
    """

    calibration_images: int
    head_solved: bool
    count: int
    float32: float
    float32_interval: tuple[float, float]
    int8: float
    int8_interval: tuple[float, float]
    loss: float
    standard_error: float
    agreement: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        return {
            **asdict(self),
            "float32_interval": [*self.float32_interval],
            "int8_interval": [*self.int8_interval],
        }

    def check(self) -> None:
        """Raise ``CheckFailedError`` if int8 loses too much."""
        if self.loss - self.standard_error > MOST_LOST:
            raise CheckFailedError(
                f"int8 loses too much: on the {self.count:,} validation pictures it is right for "
                f"{100 * self.int8:.1f} %, and float32 for {100 * self.float32:.1f} %, a loss of "
                f"{100 * self.loss:.1f} ± {100 * self.standard_error:.1f} points where {100 * MOST_LOST:g} "
                "beyond the standard error is allowed; nothing was written. Export without --int8"
            )


def compare_accuracy(
    float32: Evaluation | LabelEvaluation,
    int8: Evaluation | LabelEvaluation,
    calibration_images: int,
    head_solved: bool,
) -> Int8Accuracy:
    """Compare the answers of a model in float32 and in int8 for the same images.

    Raises:
        DataError: no image can be read.
    """
    pair = compare(float32.answers, int8.answers)
    if not pair.count:
        raise DataError("none of its validation pictures can be read")
    disagreeing = (pair.only_first + pair.only_second) / pair.count
    readable = float32.answers.readable & int8.answers.readable
    same = float32.answers.predicted[readable] == int8.answers.predicted[readable]
    same = same.reshape(len(same), -1).all(axis=1)  # of a multi-label model, all labels
    return Int8Accuracy(
        calibration_images=calibration_images,
        head_solved=head_solved,
        count=pair.count,
        float32=float32.accuracy,
        float32_interval=float32.interval,
        int8=int8.accuracy,
        int8_interval=int8.interval,
        loss=pair.difference,
        standard_error=math.sqrt(max(0.0, disagreeing - pair.difference**2) / pair.count),
        agreement=float(np.mean(same)),
    )
