"""Maps of several resolutions pass from stage to stage of an HRNet in one tensor, unchanged."""

import numpy as np
import paddle

from hubtune.models.hrnet import packed, unpacked


def test_packed_maps_have_the_coarsest_sides_and_come_back_to_the_bit():
    paddle.seed(0)
    maps = [
        paddle.randn([2, channels, 24 // step, 16 // step]) for channels, step in ((3, 1), (6, 2), (12, 4))
    ]
    tensor = packed(maps)
    assert tensor.shape == [2, 3 * 16 + 6 * 4 + 12, 6, 4]
    for own, again in zip(maps, unpacked(tensor, [3, 6, 12]), strict=True):
        np.testing.assert_array_equal(again.numpy(), own.numpy())
