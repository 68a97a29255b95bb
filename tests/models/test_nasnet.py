"""NASNet's cells at even and odd sizes, and timm's names; the scores are compared with timm's elsewhere."""

import numpy as np
import paddle
import pytest

from hubtune.models.nasnet import NASNetCell, PNASNetCell, from_timm


@pytest.mark.parametrize("side", [10, 11])
@pytest.mark.parametrize(("kind", "parts"), [(NASNetCell, (6, 4)), (PNASNetCell, (5, 5))])
@paddle.no_grad()
def test_cells_keep_or_halve_sizes_and_take_a_map_of_twice_the_size(side, kind, parts):
    half = -(-side // 2)
    current, previous, double = (
        paddle.rand([1, 6, side, side]),
        *(paddle.rand([1, 4, each, each]) for each in (side, 2 * side)),
    )
    for options, before, outputs, expected in (
        ({}, previous, parts[0], side),
        ({"reduction": True}, previous, parts[1], half),
        ({"halve": True}, double, parts[0], side),
    ):
        cell = kind(6, 4, 2, **options)
        cell.eval()
        assert cell(current, before).shape == [1, 2 * outputs, expected, expected]


def test_timms_tensors_get_paddles_names_and_layout_and_others_stay():
    values = [np.full(2, number, np.float32) for number in range(3)]
    file = {
        "conv0.bn.weight": values[0],
        "conv0.bn.running_mean": values[1],
        "conv0.bn.running_var": values[2],
        "conv0.bn.num_batches_tracked": np.zeros((), np.int64),
        "last_linear.weight": np.ones((5, 2), np.float32),
    }
    own = from_timm(file)
    assert {key: value.shape for key, value in own.items()} == {
        **dict.fromkeys(("conv0.bn.weight", "conv0.bn._mean", "conv0.bn._variance"), (2,)),
        "last_linear.weight": (2, 5),
    }
    assert own["conv0.bn._variance"] is values[2]
    assert from_timm(own) is own
