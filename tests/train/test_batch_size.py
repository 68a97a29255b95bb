"""Batches of `auto` size, and batches that memory does not hold at once."""

import numpy as np
import pytest
from support.tiny_task import weight_arrays


@pytest.mark.slow
def test_auto_is_thirty_two_and_smaller_parts_where_memory_is_short(run, monkeypatch, told):
    def weights_of(name, batch_size):
        options = {"batch_norm": "keep", "learning_rate": 1e-3, "batch_size": batch_size}
        return weight_arrays(run(name, **options).best_model)

    expected, auto = weights_of("32", 32), weights_of("auto", "auto")
    assert all(np.array_equal(values, auto[name]) for name, values in expected.items())
    monkeypatch.setattr("hubtune.train.batch_size.free_bytes", lambda **_: 3_000_000)
    told.clear()
    parts = weights_of("parts", "auto")
    assert "batch_size: 32, " in told.text and "32 at once" not in told.text
    for name, values in expected.items():
        np.testing.assert_allclose(values, parts[name], atol=1e-5)
