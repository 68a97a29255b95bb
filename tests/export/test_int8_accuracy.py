"""What int8 may lose: the paired loss of accuracy, its standard error, and when an export is refused."""

import dataclasses
import math

import numpy as np
import pytest

from hubtune.errors import CheckFailedError, DataError
from hubtune.evaluation.answers import Answers
from hubtune.evaluation.evaluation import evaluate_answers
from hubtune.export.int8_accuracy import MOST_LOST, Int8Accuracy, compare_accuracy


def _evaluation(predicted, truth):
    predicted, truth = np.array(predicted), np.array(truth)
    count = len(truth)
    share = np.where(predicted < 0, np.nan, 0.9)
    answers = Answers(
        paths=[f"{number}.jpg" for number in range(count)],
        truth=truth,
        predicted=predicted,
        confidence=share,
        probability=np.where(predicted == truth, share, 0.1),
        rank=np.where(predicted < 0, -1, (predicted != truth).astype(int)),
        second=np.where(predicted < 0, -1, 1 - predicted),
        errors=["damaged" if value < 0 else None for value in predicted],
    )
    return evaluate_answers(answers, ["a", "b"])


def _compare(before, after, truth):
    return compare_accuracy(_evaluation(before, truth), _evaluation(after, truth), 300, head_solved=True)


def test_the_loss_and_its_standard_error_are_those_of_the_same_images():
    truth = [0] * 10
    before, after = [0] * 9 + [1], [1] * 2 + [0] * 7 + [0]
    found = _compare(before, after, truth)
    gains = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, -1])
    assert found.loss == pytest.approx(gains.mean())
    assert found.standard_error == pytest.approx(gains.std() / math.sqrt(10))
    assert (found.float32, found.int8, found.count) == (0.9, 0.8, 10)
    assert found.agreement == pytest.approx(0.7)
    assert found.float32_interval[0] < 0.9 < found.float32_interval[1]
    assert found.as_dict()["int8_interval"] == [*found.int8_interval]


def test_unreadable_images_do_not_count():
    found = _compare([0, 0, -1], [0, 1, -1], [0, 0, 0])
    assert (found.count, found.loss, found.agreement) == (2, 0.5, 0.5)
    with pytest.raises(DataError, match="none of its validation pictures can be read"):
        _compare([-1], [-1], [0])


def _accuracy(loss, standard_error):
    figures = dict.fromkeys([field.name for field in dataclasses.fields(Int8Accuracy)], 0.5)
    interval = (0.4, 0.6)
    intervals = {"float32_interval": interval, "int8_interval": interval, "count": 1_200, "int8": 0.9}
    return Int8Accuracy(**{**figures, **intervals, "loss": loss, "standard_error": standard_error})


@pytest.mark.parametrize("loss, standard_error", [(0.02, 0.0149), (0.03, 0.026), (-0.1, 0.0), (0.0, 0.0)])
def test_a_loss_above_half_a_point_beyond_its_standard_error_is_refused(loss, standard_error):
    found = _accuracy(loss, standard_error)
    if loss - standard_error <= MOST_LOST:
        found.check()
        return
    with pytest.raises(CheckFailedError) as raised:
        found.check()
    assert str(raised.value) == (
        "int8 loses too much: on the 1,200 validation pictures it is right for 90.0 %, and float32 for "
        f"50.0 %, a loss of {100 * loss:.1f} ± {100 * standard_error:.1f} points where 0.5 beyond the "
        "standard error is allowed; nothing was written. Export without --int8"
    )
