"""Training by gradients: settings have their effect, and results do not depend on how the work is divided."""

import numpy as np
import paddle
import pytest
from support.callbacks import AtAdvance, press_ctrl_c
from support.tiny_task import weight_arrays, weight_bytes

from hubtune.errors import StoppedError
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


def test_gradients_of_parts_add_up_to_those_of_the_batch(last):
    whole = last("whole")
    assert 0 < difference(whole, last("parts", micro_batch=3)) < 1e-5  # another order of sums, no more
    assert difference(whole, last("other", batch_size=3)) > 1e-3


def test_class_weights_change_what_is_learned(last):
    plain = last("plain")
    assert difference(plain, last("weights", balance="weights")) > 1e-4
    # 12, 8 and 4 images are left: more than twice as many.
    assert difference(plain, last("auto", balance="auto")) > 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.8},
        {"strategy": "ulmfit", "epochs": 3},
        {"strategy": "l2sp"},
        {"strategy": "adam_weight_decay", "optimizer": "adamw"},
        {"balance": "sampler", "loss": {"label_smoothing": 0.1}, "dropout": 0.3},
        {"average_best": 2, "eval_interval": 2},
    ],
    ids=lambda options: "-".join(options),
)
def test_a_stopped_run_ends_as_an_undisturbed_one(run, options):
    options = {"epochs": 3, **options}
    whole = run("whole", **options)
    with pytest.raises(StoppedError):
        run("stopped", callback=AtAdvance(5, press_ctrl_c, training=True), **options)
    resumed = run("stopped", resume=True, **options)
    assert weight_bytes(whole) == weight_bytes(resumed)
    assert (whole.path / "result.json").read_text() == (resumed.path / "result.json").read_text()


def test_frozen_parameters_stay_to_the_bit_beside_an_average(run):
    average = weight_arrays(run("average", ema=0.999, epochs=6, strategy=FREEZING).best_model)
    plain = weight_arrays(run("plain", strategy=FREEZING).best_model)
    same = {name: np.array_equal(values, plain[name]) for name, values in average.items()}
    assert all(same[name] for name in same if not name.startswith("head."))
    assert not all(same.values())


_SMALL = ["smallnet", "mobilenet_v1_x0_25_imagenet", "mobilenet_v3_small_x0_35_imagenet"]
_OTHERS = sorted(set(BACKBONES) - set(_SMALL))


@pytest.mark.parametrize("name", [*_SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in _OTHERS)])
def test_frozen_parameters_stay_to_the_bit_in_every_backbone(name):
    """Train the head, with BatchNorm free: no other parameter has a gradient, nothing else moves."""
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
