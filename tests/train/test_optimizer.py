"""A step of the parameters is what rules, optimiser, limits and loss scale say; checked against formulas."""

from functools import partial

import numpy as np
import paddle
import pytest

from hubtune.errors import UsageError
from hubtune.recipe.optimization import ClipSettings
from hubtune.recipe.schema import RunConfig
from hubtune.train.optimizer import Optimizer, Precision, clip_gradients, precision_of
from hubtune.train.plan import plan_training

RATE, RATES = 0.1, [0.1, 0.05, 0.01]


class _Net:
    """Two layers of the same weights, whose gradients are what a test says."""

    def __init__(self, parameters, strategy, **config):
        random = np.random.default_rng(0)
        self.named, self.gradients = parameters, {}
        for each in parameters:
            each.tensor.set_value(random.standard_normal(each.tensor.shape).astype(np.float32))
            self.gradients[each.name] = random.standard_normal(each.tensor.shape)
        plan = plan_training(RunConfig(strategy=strategy, **config), parameters, RATE)
        self.optimizer = Optimizer(plan, steps_per_epoch=2)

    def values(self):
        return {each.name: each.tensor.numpy().astype(np.float64) for each in self.named}

    def step(self, rate=RATE, factor=1.0):
        for each in self.named:
            if not each.tensor.stop_gradient:
                wanted = paddle.to_tensor(self.gradients[each.name].astype(np.float32))
                (each.tensor * wanted * factor).sum().backward()
        self.optimizer.apply(rate)


@pytest.fixture
def make_net(parameters):
    return partial(_Net, parameters)


def _rules(*rules):
    return {"name": "rules", "list": list(rules)}


def _adam(w, g, *, factor=1.0, l2=0.0, decay=0.0, matrix_decay=0.0):
    """Kingma and Ba's Adam with bias correction, epsilon 1e-8."""
    m = v = 0.0
    for t, rate in enumerate(RATES, 1):
        w = w * (1 - rate * (decay + matrix_decay * (w.ndim > 1)))
        gradient = g + l2 * w
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - factor * rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def _sgd(start, g, *, l2=0.0, l2sp=0.0, momentum=0.0, nesterov=False):
    w, speed = start, 0.0
    for rate in RATES:
        gradient = g + l2 * w + l2sp * (w - start)
        speed = momentum * speed + gradient
        w = w - rate * (gradient + momentum * speed if nesterov else speed)
    return w


def _adagrad(w, g, *, l2=0.0):
    """Duchi et al.'s Adagrad, epsilon 1e-6."""
    squares = 0.0
    for rate in RATES:
        gradient = g + l2 * w
        squares += gradient**2
        w = w - rate * gradient / (np.sqrt(squares) + 1e-6)
    return w


def _adamax(w, g, *, l2=0.0):
    """Kingma and Ba's Adamax."""
    m = largest = 0.0
    for t, rate in enumerate(RATES, 1):
        gradient = g + l2 * w
        m, largest = 0.9 * m + 0.1 * gradient, np.maximum(0.999 * largest, np.abs(gradient))
        w = w - rate / (1 - 0.9**t) * m / (largest + 1e-8)
    return w


def _rmsprop(w, g, *, l2=0.0):
    """Hinton's RMSProp as Paddle has it: squares averaged by 0.95, and epsilon, 1e-6, below the root."""
    squares = 0.0
    for rate in RATES:
        gradient = g + l2 * w
        squares = 0.95 * squares + 0.05 * gradient**2
        w = w - rate * gradient / np.sqrt(squares + 1e-6)
    return w


_HALF = _rules({"match": "head", "lr_mult": 0.5, "weight_decay": 0.2}, {"match": "*"})
_DECAY = {"name": "adam_weight_decay", "weight_decay": 0.3}  # decoupled; spares vectors, of itself
_L2SP = {"name": "l2sp", "regularization_coeff": 2.0}
_L2 = _rules({"match": "head"}, {"match": "*", "weight_decay": 0.5})
_BOTH = _rules({"match": "head"}, {"match": "*", "l2sp": 2.0, "weight_decay": 0.5})
_MOMENTUM = {"name": "momentum", "momentum": 0.8}
_NESTEROV = {**_MOMENTUM, "nesterov": True}


@pytest.mark.parametrize(
    ("strategy", "settings", "formula", "stem", "head"),
    [
        (_HALF, {}, _adam, {}, {"factor": 0.5, "l2": 0.2}),
        (_DECAY, {"clip": {}}, _adam, {"matrix_decay": 0.3}, {"matrix_decay": 0.3}),
        ("default_finetune", {"optimizer": "adamw", "clip": {}}, _adam, {"decay": 1e-3}, {"decay": 1e-3}),
        (_L2SP, {"optimizer": "sgd"}, _sgd, {"l2sp": 2}, {}),
        (_BOTH, {"optimizer": "sgd"}, _sgd, {"l2": 0.5, "l2sp": 2}, {}),
        (_L2, {"optimizer": _MOMENTUM}, _sgd, {"l2": 0.5, "momentum": 0.8}, {"momentum": 0.8}),
        (_L2, {"optimizer": "adagrad"}, _adagrad, {"l2": 0.5}, {}),
        (_L2, {"optimizer": "adamax"}, _adamax, {"l2": 0.5}, {}),
        (_L2, {"optimizer": "rmsprop"}, _rmsprop, {"l2": 0.5}, {}),
        (_L2, {"optimizer": _NESTEROV}, partial(_sgd, momentum=0.8, nesterov=True), {"l2": 0.5}, {}),
    ],
)
def test_three_steps_follow_the_formula(make_net, strategy, settings, formula, stem, head):
    net = make_net(strategy, **settings)
    before = net.values()
    for step, rate in enumerate(RATES):
        net.optimizer.begin(step)
        net.step(rate)
    for name, after in net.values().items():
        expected = formula(before[name], net.gradients[name], **(stem if name[0] == "0" else head))
        np.testing.assert_allclose(after, expected, atol=2e-5, err_msg=name)


def test_lamb_and_lars_fit_their_step_to_each_layers_norm(make_net):
    def lamb(w, g):
        step = g / (np.abs(g) + 1e-6) + 0.1 * w
        return w - RATE * np.linalg.norm(w) / np.linalg.norm(step) * step

    def lars(w, g):
        trust = 0.01 * np.linalg.norm(w) / (np.linalg.norm(g) + 0.1 * np.linalg.norm(w))
        return w - RATE * trust * (g + 0.1 * w)

    rules = _rules({"match": "*", "dimensions": 1}, {"match": "*", "weight_decay": 0.1})
    for formula, tolerance, settings in (
        (lamb, 1e-4, {"name": "lamb", "epsilon": 1e-6}),
        (lars, 1e-5, {"name": "lars", "trust": 0.01}),
    ):
        net = make_net(rules, optimizer=settings)
        before = net.values()
        net.step()
        for name, after in net.values().items():
            assert not np.array_equal(after, before[name]), name
            if after.ndim > 1:  # vectors that are not decayed have no trust ratio in Paddle
                expected = formula(before[name], net.gradients[name])
                np.testing.assert_allclose(after, expected, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_layer_wise_optimisers_refuse_what_they_cannot_do(make_net, name):
    decays = _rules({"match": "head", "weight_decay": 0.1}, {"match": "*", "weight_decay": 0.2})
    for strategy in (decays, {"name": "l2sp"}):
        with pytest.raises(UsageError, match=f"The optimiser {name} takes one weight_decay .*no l2sp"):
            make_net(strategy, optimizer={"name": name})


def test_gradients_are_limited_by_value_by_norm_and_together(make_net):
    for clip, expected in (
        ({}, [[3, -4], [0, 12]]),
        ({"value": 3.5}, [[3, -3.5], [0, 3.5]]),
        ({"norm": 10}, [[3, -4], [0, 10]]),
        ({"global_norm": 6.5}, [[1.5, -2], [0, 6]]),
        ({"global_norm": 20}, [[3, -4], [0, 12]]),
    ):
        gradients = [paddle.to_tensor([3.0, -4.0]), paddle.to_tensor([0.0, 12.0])]
        clip_gradients(gradients, ClipSettings(**clip))
        assert [gradient.numpy().round(5).tolist() for gradient in gradients] == expected
    # The common norm is that of all groups together.
    rules = _rules({"match": "head", "lr_mult": 0.5}, {"match": "*"})
    net = make_net(rules, optimizer={"name": "sgd"}, clip={"global_norm": 1.0})
    norm = np.sqrt(sum((gradient**2).sum() for gradient in net.gradients.values()))
    assert norm > 1
    before = net.values()
    net.step()
    for name, after in net.values().items():
        step = RATE * (0.5 if name[0] == "1" else 1) * net.gradients[name] / norm
        np.testing.assert_allclose(after, before[name] - step, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("rule", [{"frozen_epochs": 1}, {"frozen_steps": 2}])
def test_what_is_frozen_for_a_while_does_not_move_before_its_time(make_net, rule):
    net = make_net(_rules({"match": "stem", **rule}, {"match": "*"}))
    start = net.values()
    changes = []
    for step in range(3):
        changes.append(net.optimizer.begin(step))
        assert net.named[0].tensor.stop_gradient == (step < 2)
        net.step()
        moved = {name for name, w in net.values().items() if not np.array_equal(w, start[name])}
        assert moved == ({"1.weight", "1.bias"} if step < 2 else set(start))
    assert changes == [True, False, True]
    # Its first step is Adam's first.
    expected = start["0.weight"] - RATE * np.sign(net.gradients["0.weight"])
    np.testing.assert_allclose(net.values()["0.weight"], expected, atol=2e-5)


def test_a_loss_scale_leaves_the_step_as_it_is_and_an_overflow_leaves_it_out(make_net):
    net = make_net("default_finetune")
    start = net.values()
    net.step()
    plain = net.values()
    net = make_net("default_finetune")
    net.optimizer.precision = Precision("float16", 2.0**15, is_dynamic=True)
    net.step(factor=float("inf"))
    assert all(np.array_equal(w, start[name]) for name, w in net.values().items())
    assert net.optimizer.precision.scale == 2**14
    net.step(factor=2.0**14)
    assert net.optimizer.precision.scale == 2**14
    for name, w in net.values().items():
        np.testing.assert_allclose(w, plain[name], atol=2e-5, err_msg=name)


def test_on_a_cpu_mixed_precision_is_off_with_a_word_where_it_was_asked_for(told):
    for amp, messages in (("auto", 0), ("off", 0), ("fp16", 1)):
        assert precision_of(amp, "dynamic").dtype == "float32"
        assert len(told.records) == messages
    assert "amp: fp16 is off" in told.text
