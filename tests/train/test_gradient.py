"""Training by gradients: settings have their effect, and results do not depend on how the work is divided."""

import json

import numpy as np
import paddle
import pytest
from support.backbones import HEAVY
from support.callbacks import AtAdvance, press_ctrl_c
from support.network_walks import walk
from support.split_folder import draw_split
from support.tiny_task import train, weight_arrays, weight_bytes

from hubtune.errors import MachineError, StoppedError
from hubtune.hub.module import Module
from hubtune.models.catalog import BACKBONES
from hubtune.models.classifier import Classifier
from hubtune.recipe.schema import RunConfig
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter

DEFAULTS = {"learning_rate": 1e-3, "batch_norm": "keep"}
FREEZING = {"name": "rules", "list": [{"match": "head"}, {"match": "*", "frozen": True}]}


@pytest.fixture
def last(run):
    """Trains, and returns the weights after the last step."""

    def make(name, **options):
        [newest] = (run(name, **options).path / "checkpoints").iterdir()
        return weight_arrays(newest)

    return make


def difference(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


@pytest.mark.slow
def test_micro_batches_change_nothing_and_class_weights_what_is_learned(last):
    whole = last("whole")
    assert 0 < difference(whole, last("parts", micro_batch=3)) < 1e-5  # another order of sums, no more
    # 12, 8 and 4 images are left: `auto` acts on more than twice as many.
    for name, options in (
        ("size", {"batch_size": 3}),
        ("weights", {"balance": "weights"}),
        ("auto", {"balance": "auto"}),
    ):
        assert difference(whole, last(name, **options)) > 1e-4, name


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"ema": 0.8}, marks=pytest.mark.slow),
        {"strategy": "ulmfit", "epochs": 3},
        pytest.param({"strategy": "l2sp"}, marks=pytest.mark.slow),
        pytest.param({"strategy": "adam_weight_decay", "optimizer": "adamw"}, marks=pytest.mark.slow),
        pytest.param({"optimizer": "adagrad"}, marks=pytest.mark.slow),
        pytest.param({"optimizer": "adamax"}, marks=pytest.mark.slow),
        pytest.param({"optimizer": "rmsprop"}, marks=pytest.mark.slow),
        {"balance": "sampler", "loss": {"label_smoothing": 0.1}, "dropout": 0.3},
        {"average_best": 2, "eval_interval": 2},
    ],
    ids=lambda options: "-".join([*options, *filter(None, [options.get("optimizer")])]),
)
def test_a_stopped_run_ends_as_an_undisturbed_one(run, options):
    options = {"epochs": 3, **options}
    whole = run("whole", **options)
    with pytest.raises(StoppedError):
        run("stopped", callback=AtAdvance(5, press_ctrl_c, training=True), **options)
    resumed = run("stopped", resume=True, **options)
    assert weight_bytes(whole) == weight_bytes(resumed)
    first, second = (json.loads((each.path / "result.json").read_text()) for each in (whole, resumed))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("momentum", marks=pytest.mark.slow)])
def test_a_run_that_stops_where_layers_are_unfrozen_ends_as_an_undisturbed_one(run, optimizer):
    options = {"strategy": "ulmfit", "epochs": 3, "optimizer": optimizer}
    whole = run("whole", **options)
    for step in (1, 2, 3, 4):
        name = f"stopped-{step}"
        with pytest.raises(StoppedError):
            run(name, callback=AtAdvance(step, press_ctrl_c, training=True), **options)
        assert weight_bytes(run(name, resume=True, **options)) == weight_bytes(whole)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"ema": 0.8}, {"shards": 2}], ids=lambda options: "-".join(options))
def test_auxiliary_outputs_are_trained_resumed_and_left_out_of_the_model(tmp_path, options):
    data, module = (
        draw_split(tmp_path / "data", {"a": 8, "b": 8}, validate=2, test=2),
        Module("googlenet_imagenet", weights=None),
    )
    options = {"strategy": "scratch", "epochs": 3, "batch_size": 4, "learning_rate": 1e-4, **options}
    auxiliary = {**options, "loss": {"auxiliary": 0.3}}
    whole = train(module, data, tmp_path / "whole", **auxiliary)
    with pytest.raises(StoppedError):
        train(
            module,
            data,
            tmp_path / "stopped",
            callback=AtAdvance(5, press_ctrl_c, training=True),
            **auxiliary,
        )
    resumed = train(module, data, tmp_path / "stopped", resume=True, **auxiliary)
    assert weight_bytes(whole) == weight_bytes(resumed)
    assert not any("auxiliary" in name for name in weight_arrays(whole.best_model))
    newest = max((whole.path / "checkpoints").iterdir())
    assert [name for name in weight_arrays(newest) if "auxiliary" in name]
    plain = train(module, data, tmp_path / "plain", **options)
    assert difference(weight_arrays(plain.best_model), weight_arrays(whole.best_model)) > 1e-6


_SMALL = ["smallnet", "mobilenet_v1_x0_25_imagenet", "mobilenet_v3_small_x0_35_imagenet"]
_OTHERS = sorted(set(BACKBONES) - {*_SMALL, *HEAVY})


def test_a_batch_that_memory_cannot_hold_is_refused_before_the_first_step(run, tmp_path, monkeypatch):
    monkeypatch.setattr("hubtune.inference.memory.free_bytes", lambda **_: 10**6)
    for options, count in (({}, 8), ({"micro_batch": 2}, 2)):
        with pytest.raises(
            MachineError, match=f"does not hold a batch of {count} pictures of 32 × 32 pixels"
        ):
            run(f"run{count}", **options)
        assert not (tmp_path / f"run{count}" / "checkpoints").exists()


@pytest.mark.parametrize("name", walk([*_SMALL, *_OTHERS], _SMALL))
def test_frozen_parameters_stay_to_the_bit_in_every_backbone(name):
    record = BACKBONES[name]
    paddle.seed(0)
    classifier = Classifier(record, 2)
    named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
    optimizer = Optimizer(plan_training(RunConfig(strategy=FREEZING, optimizer="adamw"), named, 0.1), 1)
    optimizer.begin(0)
    classifier.start_training(keep_statistics=False)
    before = {key: tensor.numpy().copy() for key, tensor in classifier.state().items()}
    size = record.input_size if record.size_multiple is None else max(32, 4 * record.size_multiple)
    if name.startswith("swin"):
        size = 128
    classifier(paddle.rand([2, 3, size, size])).sum().backward()
    for parameter in named:
        assert (parameter.tensor.grad is None) == (parameter.stage != "head"), parameter.name
    optimizer.apply(0.1)
    for key, tensor in classifier.state().items():
        assert np.array_equal(tensor.numpy(), before[key]) != key.startswith("head."), key
