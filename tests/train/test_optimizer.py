"""A step of the parameters is what rules, optimiser, limits and loss scale say; checked against formulas."""

import numpy as np
import paddle
import pytest

from hubtune.errors import UsageError
from hubtune.recipe.optimization import ClipSettings
from hubtune.recipe.schema import RunConfig
from hubtune.train.optimizer import Optimizer, Precision, clip_gradients, precision_of
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter

RATE = 0.1


class _Net:
    """Two layers of fixed weights, whose gradients are what a test says."""

    def __init__(self):
        paddle.seed(1)
        self.layers = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.Linear(4, 2))
        stages = {"0": "stem", "1": "head"}
        self.named = [
            NamedParameter(stages[name[0]], name, each) for name, each in self.layers.named_parameters()
        ]
        random = np.random.default_rng(0)
        self.gradients = {each.name: random.standard_normal(each.tensor.shape) for each in self.named}

    def values(self):
        return {each.name: each.tensor.numpy().astype(np.float64) for each in self.named}

    def backward(self, factor=1.0):
        for each in self.named:
            if not each.tensor.stop_gradient:
                wanted = paddle.to_tensor(self.gradients[each.name].astype(np.float32))
                (each.tensor * wanted * factor).sum().backward()

    def update(self, strategy, **config):
        method = plan_training(RunConfig(strategy=strategy, **config), self.named, RATE)
        return Optimizer(method, steps_per_epoch=2)


def _rules(*rules):
    return {"name": "rules", "list": list(rules)}


def _steps(strategy, count=3, rate=lambda step: RATE, **config):
    """Start and end values and the net after some steps."""
    net = _Net()
    update = net.update(strategy, **config)
    before = net.values()
    for step in range(count):
        update.begin(step)
        net.backward()
        update.apply(rate(step))
    return before, net.values(), net


def _adam(w, g, rates, gradient=lambda w, g: g, decay=0.0):
    """Kingma and Ba's Adam with bias correction, epsilon 1e-8."""
    m = v = 0.0
    for t, rate in enumerate(rates, 1):
        w = w * (1 - rate * decay)
        grad = gradient(w, g)
        m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def _assert_close(found, expected):
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-5, err_msg=name)


def test_adam_with_coupled_l2_and_rates_of_their_own():
    rates = [0.1, 0.05, 0.01]
    rules = _rules({"match": "head", "lr_mult": 0.5, "weight_decay": 0.2}, {"match": "*"})
    before, after, net = _steps(rules, rate=lambda step: rates[step])
    expected = {}
    for name, w in before.items():
        head = name.startswith("1")
        own = [rate * (0.5 if head else 1) for rate in rates]
        expected[name] = _adam(w, net.gradients[name], own, lambda w, g, l2=0.2 if head else 0: g + l2 * w)
    _assert_close(after, expected)


def test_decoupled_decay_spares_vectors():
    strategy = {"name": "adam_weight_decay", "weight_decay": 0.3}
    before, after, net = _steps(strategy, clip=ClipSettings())
    expected = {
        name: _adam(w, net.gradients[name], [RATE] * 3, decay=0.3 * (w.ndim > 1))
        for name, w in before.items()
    }
    _assert_close(after, expected)


def test_adamw_takes_the_rules_decay_off_the_weights():
    before, after, net = _steps("default_finetune", optimizer={"name": "adamw"})
    expected = {n: _adam(w, net.gradients[n], [RATE] * 3, decay=1e-3) for n, w in before.items()}
    _assert_close(after, expected)


def test_l2sp_draws_to_the_values_at_the_start():
    before, after, net = _steps({"name": "l2sp", "regularization_coeff": 2.0}, optimizer={"name": "sgd"})
    for name, start in before.items():
        w, pull = start, 0.0 if name.startswith("1") else 2.0
        for _ in range(3):
            w = w - RATE * (net.gradients[name] + pull * (w - start))
        np.testing.assert_allclose(after[name], w, atol=1e-5)


def test_l2_and_l2sp_add_up():
    before, after, net = _steps(
        _rules({"match": "*", "l2sp": 2.0, "weight_decay": 0.5}), optimizer={"name": "sgd"}
    )
    for name, start in before.items():
        w = start
        for _ in range(3):
            w = w - RATE * (net.gradients[name] + 2.0 * (w - start) + 0.5 * w)
        np.testing.assert_allclose(after[name], w, atol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_with_l2(nesterov):
    before, after, net = _steps(
        _rules({"match": "*", "weight_decay": 0.5}),
        optimizer={"name": "momentum", "momentum": 0.8, "nesterov": nesterov},
    )
    for name, w in before.items():
        speed = 0.0
        for _ in range(3):
            gradient = net.gradients[name] + 0.5 * w
            speed = 0.8 * speed + gradient
            w = w - RATE * (gradient + 0.8 * speed if nesterov else speed)
        np.testing.assert_allclose(after[name], w, atol=1e-5)


def test_lamb_fits_its_step_to_each_layers_norm():
    before, after, net = _steps(
        _rules({"match": "*", "dimensions": 1}, {"match": "*", "weight_decay": 0.1}),
        count=1,
        optimizer={"name": "lamb", "epsilon": 1e-6},
    )
    for name, w in before.items():
        g = net.gradients[name]
        step = g / (np.abs(g) + 1e-6) + 0.1 * w * (w.ndim > 1)
        trust = np.linalg.norm(w) / np.linalg.norm(step) if np.linalg.norm(w) else 1.0
        if w.ndim > 1:  # Paddle leaves vectors that are not decayed without trust ratio
            np.testing.assert_allclose(after[name], w - RATE * trust * step, atol=1e-4, err_msg=name)
        assert not np.array_equal(after[name], w)


def test_lars_fits_its_step_to_each_layers_norm():
    before, after, net = _steps(
        _rules({"match": "*", "weight_decay": 0.1}), count=1, optimizer={"name": "lars", "trust": 0.01}
    )
    for name, w in before.items():
        g = net.gradients[name]
        if not np.linalg.norm(w):
            continue
        trust = 0.01 * np.linalg.norm(w) / (np.linalg.norm(g) + 0.1 * np.linalg.norm(w))
        np.testing.assert_allclose(after[name], w - RATE * trust * (g + 0.1 * w), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_layer_wise_optimisers_refuse_what_they_cannot_do(name):
    with pytest.raises(UsageError, match=f"The optimiser {name} takes one weight_decay"):
        _Net().update(
            _rules({"match": "head", "weight_decay": 0.1}, {"match": "*", "weight_decay": 0.2}),
            optimizer={"name": name},
        )
    with pytest.raises(UsageError, match="no l2sp"):
        _Net().update("l2sp" and {"name": "l2sp"}, optimizer={"name": name})


def test_the_common_norm_is_that_of_all_groups_together():
    net = _Net()
    update = net.update(
        _rules({"match": "head", "lr_mult": 0.5}, {"match": "*"}),
        optimizer={"name": "sgd"},
        clip={"global_norm": 1.0},
    )
    before = net.values()
    net.backward()
    update.apply(RATE)
    norm = np.sqrt(sum((gradient**2).sum() for gradient in net.gradients.values()))
    assert norm > 1
    for name, w in net.values().items():
        rate = RATE * (0.5 if name.startswith("1") else 1)
        np.testing.assert_allclose(w, before[name] - rate * net.gradients[name] / norm, atol=1e-6)


def test_gradients_are_limited_by_value_by_norm_and_together():
    def limited(**clip):
        gradients = [paddle.to_tensor([3.0, -4.0]), paddle.to_tensor([0.0, 12.0])]
        clip_gradients(gradients, ClipSettings(**clip))
        return [gradient.numpy().round(5).tolist() for gradient in gradients]

    assert limited() == [[3, -4], [0, 12]]
    assert limited(value=3.5) == [[3, -3.5], [0, 3.5]]
    assert limited(norm=10) == [[3, -4], [0, 10]]
    assert limited(global_norm=6.5) == [[1.5, -2], [0, 6]]
    assert limited(global_norm=20) == [[3, -4], [0, 12]]


def test_what_is_frozen_for_a_while_does_not_move_before_its_time():
    rules = _rules({"match": "stem", "frozen_epochs": 1}, {"match": "*"})
    net = _Net()
    update = net.update(rules)
    start = net.values()
    seen = []
    for step in range(3):
        seen.append(update.begin(step))
        net.backward()
        stem = net.named[0].tensor
        assert (stem.grad is None) == (step < 2)
        update.apply(RATE)
        moved = {name for name, w in net.values().items() if not np.array_equal(w, start[name])}
        assert moved == ({"1.weight", "1.bias"} if step < 2 else set(start))
    assert seen == [True, False, True]
    # Its first step is Adam's first.
    np.testing.assert_allclose(
        net.values()["0.weight"], _adam(start["0.weight"], net.gradients["0.weight"], [RATE]), atol=2e-5
    )


def test_a_loss_scale_leaves_the_step_as_it_is():
    plain, scaled = _Net(), _Net()
    for net, precision in ((plain, Precision()), (scaled, Precision("float16", 128.0))):
        update = net.update("default_finetune")
        update.precision = precision
        net.backward(precision.scale)
        update.apply(RATE)
    assert update.precision.scale == 128
    _assert_close(scaled.values(), plain.values())


def test_a_step_that_overflows_is_left_out_and_the_scale_halved():
    net = _Net()
    update = net.update("adam_weight_decay")
    update.precision = Precision("float16", 2.0**15, is_dynamic=True)
    before = net.values()
    net.backward(float("inf"))
    update.apply(RATE)
    assert all(np.array_equal(w, before[name]) for name, w in net.values().items())
    assert update.precision.scale == 2**14
    net.backward(update.precision.scale)
    update.apply(RATE)
    assert not np.array_equal(net.values()["0.weight"], before["0.weight"])


def test_a_dynamic_scale_doubles_after_a_thousand_good_steps():
    precision = Precision("float16", 2.0**15, is_dynamic=True)
    for _ in range(999):
        precision.adapt(finite=True)
    assert precision.scale == 2**15
    precision.adapt(finite=True)
    assert (precision.scale, precision.good) == (2**16, 0)


@pytest.mark.parametrize(("amp", "said"), [("auto", ""), ("off", ""), ("fp16", "amp: fp16 is off")])
def test_on_a_cpu_mixed_precision_is_off_with_a_word_where_it_was_asked_for(amp, said, told):
    assert precision_of(amp, "dynamic").dtype == "float32"
    assert said in told.text
    assert bool(told.records) == bool(said)
