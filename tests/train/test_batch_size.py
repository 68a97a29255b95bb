"""Batches of `auto` size, and batches that memory does not hold at once."""

import numpy as np
import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, weight_arrays


@pytest.fixture
def weights_of(tmp_path):
    """Trains with a batch size, and returns the weights."""
    data, module = draw_split(tmp_path, {"a": 14, "b": 10}, validate=2, test=0), smallnet()

    def make(name, **options):
        run = train(module, data, tmp_path / name, batch_norm="keep", learning_rate=1e-3, **options)
        return weight_arrays(run.best_model)

    return make


def test_auto_is_thirty_two_and_smaller_parts_where_memory_is_short(weights_of, monkeypatch, told):
    expected = weights_of("32", batch_size=32)
    auto = weights_of("auto", batch_size="auto")
    assert all(np.array_equal(values, auto[name]) for name, values in expected.items())
    monkeypatch.setattr("hubtune.train.batch_size.free_bytes", lambda: 3_000_000)
    told.clear()
    parts = weights_of("parts", batch_size="auto")
    assert "batch_size: 32, " in told.text and "32 at once" not in told.text
    for name, values in expected.items():
        np.testing.assert_allclose(values, parts[name], atol=1e-5)
