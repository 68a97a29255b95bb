"""A merged class has the sum of its parts' probabilities."""

import numpy as np
import paddle
from paddle.nn import functional

from hubtune.models.merged_outputs import MergedOutputs


def test_probabilities_add_up_also_of_logits_far_apart():
    logits = np.array([[2.0, -1, 0.5, 3], [80, -80, 0, 79], [-90, -90, -90, 90]], np.float32)
    layer = MergedOutputs([[3, 0], [1], [2]])
    assert not layer.state_dict()
    merged = layer(paddle.to_tensor(logits))
    before = functional.softmax(paddle.to_tensor(logits)).numpy()
    after = functional.softmax(merged).numpy()
    expected = np.stack([before[:, 3] + before[:, 0], before[:, 1], before[:, 2]], axis=1)
    np.testing.assert_allclose(after, expected, atol=1e-6)
    assert np.isfinite(merged.numpy()).all()
