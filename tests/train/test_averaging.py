"""Averages of weights are what they say, and leave no trace."""

import numpy as np
import paddle
import pytest

from hubtune.train.averaging import BestWeights, MovingAverage


def test_a_moving_average_follows_its_formula_and_is_lent_to_the_network_only():
    tensor, counter = paddle.to_tensor([1.0, 2.0]), paddle.to_tensor([5])
    average = MovingAverage({"w": tensor, "n": counter}, 0.5)
    expected = np.array([1.0, 2.0])
    for step, value in enumerate(([3.0, 0.0], [5.0, 1.0], [7.0, 4.0], [1.0, 1.0]), 1):
        tensor.set_value(np.array(value, np.float32))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * np.array(value)
    with pytest.raises(RuntimeError), average.in_place():
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6)
        assert counter.numpy().tolist() == [5]
        raise RuntimeError  # after an error the network has its weights again, too
    assert tensor.numpy().tolist() == [1.0, 1.0]


def test_only_the_best_candidates_are_kept_and_of_equals_the_later(tmp_path):
    candidates = BestWeights(tmp_path / "candidates", 2)
    assert candidates.mean() is None
    for step, accuracy in enumerate((0.5, 0.9, 0.7, 0.9, 0.6), 1):
        candidates.add(step, accuracy, {"w": np.array([step], np.float32), "n": np.array([step])})
    mean = candidates.mean()  # of steps 2 and 4; a counter has no mean
    assert (mean["w"].tolist(), mean["w"].dtype, mean["n"].tolist()) == ([3], np.float32, [4])
    assert len(list((tmp_path / "candidates").iterdir())) == 2
    candidates.add(9, 0.9, {"w": np.array([9], np.float32), "n": np.array([9])})
    assert BestWeights(tmp_path / "candidates", 2).mean()["w"].tolist() == [6.5]  # 4 and 9; another process
