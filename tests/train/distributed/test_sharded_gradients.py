"""Gradients of shards add up to those of the batch, also where images or whole shards are missing."""

from itertools import pairwise

import numpy as np
import paddle
import pytest

import hubtune
from hubtune.models.classifier import Classifier
from hubtune.recipe.optimization import LossSettings
from hubtune.train.batches import Shard, TrainBatch
from hubtune.train.distributed.sharded_gradients import ShardedGradients
from hubtune.train.loss import Loss, one_hot
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.step import TrainStep


@pytest.fixture
def make_step(module):
    """Builds a step with ``shards`` of a batch, or without."""

    def make(shards, *, update=False, dropout=0.0):
        paddle.seed(0)
        classifier = Classifier(module.backbone, 3, dropout=dropout, seed=0)
        classifier.load_backbone(module.network)
        parameters = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        config = hubtune.RunConfig(optimizer="sgd", clip={"global_norm": 1e3})
        optimizer = Optimizer(plan_training(config, parameters, 0.1), 10)
        sharding = None if shards is None else ShardedGradients(shards)
        step = TrainStep(
            *(classifier, classifier, optimizer, Loss(LossSettings())),
            keep_statistics=not update,
            sharding=sharding,
        )
        step.start(0)
        return step

    return make


def _arrays(count, seed=0):
    random = np.random.default_rng(seed)
    return [random.standard_normal((3, 32, 32)).astype(np.float32) for _ in range(count)]


def _batch(cuts, size=None):
    """A batch of images with their labels, cut at these places."""
    arrays, targets = _arrays(cuts[-1]), one_hot(np.arange(cuts[-1]) % 3, 3)
    parts = [Shard(n, arrays[a:b], targets[a:b]) for n, (a, b) in enumerate(pairwise(cuts))]
    return TrainBatch(parts, [], size or cuts[-1], 0.0)


def _gradients(step, batch):
    result = step.compute_gradients(batch, 0)
    return result, [tensor.grad.numpy() for tensor in step.optimizer.trained]


@pytest.mark.parametrize("cuts", [(0, 3, 6, 9, 12), (0, 5, 5, 11, 12), (0, 12, 12, 12, 12)])
def test_shards_add_up_to_the_whole_batch(make_step, cuts):
    whole, expected = _gradients(make_step(None), _batch((0, 12)))
    result, gradients = _gradients(make_step(4), _batch(cuts))
    assert (result.count, result.correct) == (whole.count, whole.correct)
    assert result.loss == pytest.approx(whole.loss, rel=1e-5)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_unreadable_images_do_not_weaken_the_others(make_step):
    readable, expected = _gradients(make_step(2), _batch((0, 3, 6)))
    result, gradients = _gradients(make_step(2), _batch((0, 3, 6), size=8))
    assert result.count == readable.count == 6
    assert result.loss == pytest.approx(readable.loss, rel=1e-6)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_a_batch_without_a_readable_image_changes_nothing(make_step):
    step = make_step(2, update=True)
    before = {name: tensor.numpy().copy() for name, tensor in step.classifier.state().items()}
    assert step.run(_batch((0, 0, 0), size=4), 0, 0.1).count == 0
    for name, tensor in step.classifier.state().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_statistics_are_the_mean_of_the_shards_by_their_images(make_step):
    def statistics(step, batch):
        step.compute_gradients(batch, 0)
        return [tensor.numpy() for tensor in step.classifier.running_statistics()]

    both = statistics(make_step(2, update=True), _batch((0, 3, 12)))
    batch = _batch((0, 3, 12))
    alone = []
    for shard in batch.shards:
        one = TrainBatch([Shard(0, shard.arrays, shard.targets)], [], len(shard.arrays), 0.0)
        alone.append(statistics(make_step(1, update=True), one))
    assert both
    for joined, first, second in zip(both, *alone, strict=True):
        np.testing.assert_allclose(joined, (3 * first + 9 * second) / 12, rtol=1e-4, atol=1e-6)


def test_dropout_differs_between_shards_and_is_that_of_the_step(make_step):
    equal = _arrays(2)
    targets = one_hot([0, 1], 3)
    batch = TrainBatch([Shard(0, equal, targets), Shard(1, equal, targets)], [], 4, 0.0)
    swapped = TrainBatch([Shard(1, equal, targets), Shard(0, equal, targets)], [], 4, 0.0)
    first, again = (_gradients(make_step(2, dropout=0.5), each)[1] for each in (batch, batch))
    other = _gradients(make_step(2, dropout=0.5), swapped)[1]
    one_mask = _gradients(make_step(1, dropout=0.5), TrainBatch(batch.shards[:1], [], 2, 0.0))[1]
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    assert any(not np.allclose(one, alone) for one, alone in zip(first, one_mask, strict=True))


def test_parameters_without_a_gradient_stay_without(make_step):
    step = make_step(2)
    step.forward = lambda images: step.classifier(images).detach() + step.classifier.head.parameters()[-1]
    step.compute_gradients(_batch((0, 2, 4)), 0)
    unused = [tensor for tensor in step.optimizer.trained if tensor.grad is None]
    assert len(unused) == len(step.optimizer.trained) - 1
