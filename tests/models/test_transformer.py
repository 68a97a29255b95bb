"""Parts that transformers share."""

import numpy as np
import paddle
import pytest

from hubtune.models.transformer import DropPath


def test_drop_path_leaves_out_whole_samples_and_only_in_training():
    paddle.seed(0)
    layer = DropPath(0.25)
    branch = paddle.ones([4000, 2, 3])
    kept = layer(branch).numpy().reshape(4000, 6)
    assert (kept == kept[:, :1]).all()
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert kept.mean() == pytest.approx(1, abs=0.05)
    layer.eval()
    np.testing.assert_array_equal(layer(branch).numpy(), branch.numpy())
