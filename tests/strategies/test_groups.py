"""Rules decide what is trained, how fast, and with how much decay."""

import numpy as np
import paddle
import pytest

from hubtune.errors import UsageError
from hubtune.recipe.strategy import DefaultFinetuneStrategy, Rule
from hubtune.strategies.groups import Named, match_rules, optimizer_groups
from hubtune.strategies.schedules import linear_decay


def _network():
    paddle.seed(0)
    net = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.Linear(4, 2))
    stages = {"0": "stem", "1": "head"}
    return net, [Named(stages[name[0]], name, tensor) for name, tensor in net.named_parameters()]


def test_the_first_rule_that_matches_decides():
    _, named = _network()
    rules = [Rule(match="*/*.bias"), Rule(match="head", lr_mult=10), Rule(match="*", weight_decay=0.1)]
    matched = {parameter.name: rule.match for parameter, rule in match_rules(rules, named)}
    assert matched == {"0.weight": "*", "0.bias": "*/*.bias", "1.weight": "head", "1.bias": "*/*.bias"}


def test_a_parameter_without_a_rule_is_an_error():
    _, named = _network()
    with pytest.raises(UsageError) as caught:
        match_rules([Rule(match="head")], named)
    assert str(caught.value) == (
        "No rule of the strategy covers stem/0.weight: end the list with a rule for the rest, {match: '*'}"
    )


def test_a_rule_that_matches_nothing_is_an_error():
    _, named = _network()
    with pytest.raises(
        UsageError, match=r"rule for 'steem' matches no parameter .* Did you mean 'stem'\? Stages: stem, head"
    ):
        match_rules([Rule(match="steem"), Rule(match="*")], named)
    with pytest.raises(UsageError, match="rule for 'head' matches no parameter that an earlier rule has not"):
        match_rules([Rule(match="*"), Rule(match="head")], named)


def test_rates_decay_and_freezing_reach_the_optimizer():
    net, named = _network()
    rules = [Rule(match="stem/0.bias", frozen=True), Rule(match="stem", lr_mult=0.1), Rule(match="*")]
    before = {name: tensor.numpy().copy() for name, tensor in net.named_parameters()}
    optimizer = paddle.optimizer.Adam(
        learning_rate=1.0, parameters=optimizer_groups(match_rules(rules, named))
    )
    optimizer.set_lr(1e-3)
    net(paddle.ones([1, 3])).sum().backward()
    optimizer.step()
    moved = {name: np.abs(tensor.numpy() - before[name]).max() for name, tensor in net.named_parameters()}
    # Adam's first step is the rate itself, wherever the gradient is not tiny.
    assert moved["0.bias"] == 0
    assert moved["0.weight"] == pytest.approx(1e-4, rel=1e-2)
    assert moved["1.weight"] == pytest.approx(1e-3, rel=1e-2)


def test_l2_is_added_to_the_gradient():
    _, named = _network()
    groups = optimizer_groups(match_rules(DefaultFinetuneStrategy(regularization_coeff=0.5).rules(), named))
    optimizer = paddle.optimizer.Momentum(learning_rate=1.0, momentum=0.0, parameters=groups)
    tensor = named[0].tensor
    before = tensor.numpy().copy()
    (tensor * 0.0).sum().backward()
    optimizer.step()
    assert np.allclose(tensor.numpy(), before - 0.5 * before, atol=1e-6)


def test_linear_decay_falls_from_one_to_zero():
    assert [linear_decay(step, 4) for step in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
