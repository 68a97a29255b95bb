"""Models are averaged after the right steps, weighted by images."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from support.ranks import Job
from support.split_folder import draw_split

from hubtune.train.distributed.model_averaging import ModelAveraging
from hubtune.train.plan import LoopSettings


class _OtherRank:
    """A process group in which another rank has a vector of its own."""

    size = 2

    def __init__(self, vector):
        self._vector = vector

    def sum_shards(self, own, shards):
        assert shards == 2
        total = own[0]() + paddle.to_tensor(self._vector)
        return SimpleNamespace(add_up=lambda: total)


def _settings(interval):
    return LoopSettings(10, 20, 100, 10, None, lambda step: 0.1, 0.1, average_interval=interval)


def test_the_mean_is_weighted_by_images_and_made_after_each_interval():
    weight = paddle.to_tensor([2.0, 4.0])
    step = SimpleNamespace(
        classifier=SimpleNamespace(training_state=lambda: {"w": weight}),
        optimizer=SimpleNamespace(optimizer=SimpleNamespace(state_dict=dict)),
    )
    # The other rank had 3 of the 4 images, with the weights 6 and 8.
    averaging = ModelAveraging(_settings(3), _OtherRank(np.float32([6, 8]) * 0.75), lambda figures: figures)
    averaging._own, averaging._all = 1, 4
    averaging.finish(step, 2)
    np.testing.assert_array_equal(weight.numpy(), [2, 4])
    averaging.finish(step, 3)
    np.testing.assert_array_equal(weight.numpy(), [5, 7])


@pytest.mark.parametrize(("interval", "steps"), [(1, range(1, 21)), (4, [4, 8, 10, 12, 16, 20])])
def test_models_are_averaged_at_intervals_and_before_each_evaluation(interval, steps):
    settings = _settings(interval)
    assert [step for step in range(1, 21) if settings.averages_after(step)] == [*steps]
    assert all(settings.averages_after(step) for step in range(1, 21) if settings.saves_after(step, 1e9))


@pytest.mark.slow
def test_two_runs_of_two_processes_are_equal(tmp_path):
    data = draw_split(tmp_path / "data", {"a": 14, "b": 12}, validate=3, test=0)
    recipe = tmp_path / "job.yaml"
    recipe.write_text(f"data: {{base: {data}}}\nmodule: digitnet\n")
    options = ("-o", "train.epochs=2", "-o", "train.batch_size=8", "-o", "train.model_average_interval=2")
    jobs = [Job(tmp_path, recipe, *options, name=name).finish() for name in ("one", "two")]
    assert jobs[0].weights == jobs[1].weights
