"""What a run does with the settings of its training: they do what they say, and results do not depend on
how the work is cut up."""

import json

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file
from support.images import draw_tree

import hubtune
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import StoppedError, UsageError
from hubtune.models.catalog import BACKBONES
from hubtune.models.classifier import Classifier
from hubtune.recipe.schema import RunConfig
from hubtune.runs.callbacks import Callback
from hubtune.train.batches import balanced_order, resolve_balance
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pics = draw_tree(tmp_path_factory.mktemp("training") / "pics", {"a": 14, "b": 10, "c": 6})
    split = make_split(scan_classes(pics), SplitRequest(validate=SplitSize(2), test=SplitSize(0)))
    write_split(split, pics.parent, {"seed": 0}, force=True)
    return hubtune.ListDataset(pics.parent)


@pytest.fixture(scope="module")
def module():
    paddle.seed(0)
    return hubtune.Module("smallnet", weights=None)


class _Steps(Callback):
    def __init__(self):
        self.accuracies, self.notices = [], []

    def evaluated(self, name, metrics, *, step, best):
        self.accuracies.append(metrics.accuracy)

    def notice(self, text):
        self.notices.append(text)


def _run(module, data, folder, observer=None, resume=False, **options):
    given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "batch_norm": "keep", **options}
    config = RunConfig(checkpoint_dir=folder, **given)
    task = hubtune.ImageClassifierTask(module, data, config)
    task.finetune_and_eval(observer=observer or _Steps(), resume=resume)
    return load_file(folder / "best_model" / "model.safetensors")


def _last(module, data, folder, **options):
    """The weights after the last step."""
    _run(module, data, folder, **options)
    [newest] = (folder / "checkpoints").iterdir()
    return load_file(newest / "model.safetensors")


def _differ(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def test_gradients_of_parts_add_up_to_those_of_the_batch(module, data, tmp_path):
    whole = _last(module, data, tmp_path / "whole")
    parts = _last(module, data, tmp_path / "parts", micro_batch=3)
    assert 0 < _differ(whole, parts) < 1e-5  # another order of sums, no more
    other = _last(module, data, tmp_path / "other", batch_size=3)
    assert _differ(whole, other) > 1e-3


def test_batch_size_auto_is_thirty_two(module, data, tmp_path):
    auto = _last(module, data, tmp_path / "auto", batch_size="auto")
    assert _differ(auto, _last(module, data, tmp_path / "32", batch_size=32)) == 0


def test_with_little_memory_a_batch_is_cut_up(module, data, tmp_path, monkeypatch, told):
    monkeypatch.setattr("hubtune.train.batch_size.free_bytes", lambda: 3_000_000)
    auto = _last(module, data, tmp_path / "auto", batch_size="auto")
    assert "batch_size: 32, " in told.text and "32 at once" not in told.text
    assert _differ(auto, _last(module, data, tmp_path / "32", batch_size=32)) < 1e-5


def test_the_average_is_what_is_measured_and_kept(module, data, tmp_path):
    kept = _run(module, data, tmp_path / "ema", ema=0.9, early_stopping=None)
    plain = _run(module, data, tmp_path / "plain")
    assert _differ(kept, plain) > 1e-4
    # Training itself goes on with the weights.
    [one], [other] = ((tmp_path / name / "checkpoints").iterdir() for name in ("ema", "plain"))
    assert _differ(load_file(one / "model.safetensors"), load_file(other / "model.safetensors")) == 0


class _Impatient(_Steps):
    def advance(self, *given, **options):
        import os
        import signal

        if options.get("loss") is not None:
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 5:
                os.kill(os.getpid(), signal.SIGINT)


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
def test_a_run_that_was_stopped_ends_as_one_that_was_not(module, data, tmp_path, options):
    options = {"epochs": 3, **options}
    whole = _run(module, data, tmp_path / "whole", **options)
    with pytest.raises(StoppedError):
        _run(module, data, tmp_path / "stopped", observer=_Impatient(), **options)
    resumed = _run(module, data, tmp_path / "stopped", resume=True, **options)
    assert _differ(whole, resumed) == 0
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "stopped")]
    assert results[0] == results[1]


def test_training_ends_early_when_nothing_gets_better(module, data, tmp_path):
    watcher = _Steps()
    options = {"learning_rate": 1e-9, "epochs": 50, "early_stopping": 3}
    _run(module, data, tmp_path / "run", observer=watcher, **options)
    assert len(watcher.accuracies) == 4
    assert "the last 3 evaluations were not better" in watcher.notices[0]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["validate"]["accuracy"] == watcher.accuracies[0]


def test_the_mean_of_the_best_is_kept_only_if_it_is_better(module, data, tmp_path, told):
    watcher = _Steps()
    _run(module, data, tmp_path / "run", observer=watcher, average_best=3, epochs=4)
    assert "mean of the best weights: acc=" in told.text
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["validate"]["accuracy"] >= max(watcher.accuracies)
    assert not (tmp_path / "run" / "candidates").exists()


def test_a_rate_is_tested_once_and_leaves_no_trace(module, data, tmp_path, told):
    _run(module, data, tmp_path / "auto", learning_rate="auto")
    found = json.loads((tmp_path / "auto" / "learning_rate.json").read_text())
    assert 3 <= len(found["rates"]) == len(found["losses"]) <= 9
    assert (tmp_path / "auto" / "learning_rate.png").read_bytes().startswith(b"\x89PNG")
    assert found["rates"][0] == 1e-5 and found["rates"] == sorted(found["rates"])
    assert found["chosen"] == found["rates"][found["losses"].index(min(found["losses"]))]
    assert found["chosen"] > 1e-5
    fixed = _run(module, data, tmp_path / "fixed", learning_rate=found["chosen"])
    assert _differ(fixed, load_file(tmp_path / "auto" / "best_model" / "model.safetensors")) == 0


def test_balance_auto_acts_where_a_class_has_more_than_twice_as_many():
    assert resolve_balance("auto", np.array([0] * 5 + [1] * 2)) == "weights"
    assert resolve_balance("auto", np.array([0] * 4 + [1] * 2)) == "none"
    assert resolve_balance("auto", np.array([0] * 4 + [2] * 4)) == "none"  # one without pictures says nothing
    assert resolve_balance("none", np.array([0] * 9 + [1])) == "none"


def test_a_balanced_order_shows_each_class_equally_often_and_none_twice_too_early():
    labels = np.array([0] * 20 + [1] * 3 + [2] * 8)
    order = balanced_order(labels, np.random.default_rng(0))
    assert len(order) == 31
    counts = np.bincount(labels[order])
    assert counts.max() - counts.min() <= 1
    shown = np.bincount(order, minlength=31)
    for label in range(3):
        own = shown[labels == label]
        assert own.max() - own.min() <= 1


def test_class_weights_change_what_is_learned(module, data, tmp_path):
    plain = _last(module, data, tmp_path / "plain")
    assert _differ(plain, _last(module, data, tmp_path / "weights", balance="weights")) > 1e-4
    # 13, 8 and 5 pictures are left: more than twice as many.
    assert _differ(plain, _last(module, data, tmp_path / "auto", balance="auto")) > 1e-4


def test_rules_that_fit_no_stage_are_refused_before_training(module, data, tmp_path):
    strategy = {"name": "rules", "list": [{"match": "stage9"}, {"match": "*"}]}
    with pytest.raises(UsageError, match="rule for 'stage9' matches no parameter"):
        _run(module, data, tmp_path / "run", strategy=strategy)


_SMALL = ["smallnet", "mobilenet_v1_x0_25_imagenet", "mobilenet_v3_small_x0_35_imagenet"]


def _stays_frozen(name):
    """Train the head, with BatchNorm free: no other parameter has a gradient, nothing else moves."""
    record = BACKBONES[name]
    paddle.seed(0)
    classifier = Classifier(record, 2)
    named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
    rules = [{"match": "head"}, {"match": "*", "frozen": True}]
    config = RunConfig(strategy={"name": "rules", "list": rules}, optimizer="adamw")
    update = Optimizer(plan_training(config, named, 0.1), 1)
    update.begin(0)
    classifier.start_training(keep_statistics=False)
    before = {key: tensor.numpy().copy() for key, tensor in classifier.state().items()}
    size = record.input_size if record.size_multiple is None else max(32, 4 * record.size_multiple)
    if name.startswith("swin"):
        size = 128
    classifier(paddle.rand([2, 3, size, size])).sum().backward()
    for parameter in named:
        assert (parameter.tensor.grad is None) == (parameter.stage != "head"), parameter.name
    update.apply(0.1)
    for key, tensor in classifier.state().items():
        same = np.array_equal(tensor.numpy(), before[key])
        assert same != key.startswith("head."), key


@pytest.mark.parametrize("name", _SMALL)
def test_what_is_frozen_stays_to_the_bit(name):
    _stays_frozen(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BACKBONES) - set(_SMALL)))
def test_what_is_frozen_stays_to_the_bit_in_every_backbone(name):
    _stays_frozen(name)


def test_a_rate_is_tested_with_rules_that_freeze(module, data, tmp_path):
    rules = [{"match": "stem", "frozen": True}, {"match": "*"}]
    _same_but_for(
        lambda name: not name.startswith("backbone.stem."),
        _run(module, data, tmp_path / "auto", learning_rate="auto", strategy=_rules(rules)),
        _run(module, data, tmp_path / "fixed", learning_rate=1e-9, strategy=_rules(rules)),
    )


def _same_but_for(trained, one, other):
    same = {name: np.array_equal(values, other[name]) for name, values in one.items()}
    assert [name for name in same if not trained(name) and not same[name]] == []
    assert any(trained(name) and not same[name] for name in same)


def _rules(rules):
    return {"name": "rules", "list": rules}


class _StopsAt(_Steps):
    """Presses Ctrl-C when a part of the run begins."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def start(self, what, total, done=0):
        import os
        import signal

        if what == self.what:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_while_rates_are_tested_is_a_stop_like_others(module, data, tmp_path):
    with pytest.raises(StoppedError) as stopped:
        _run(module, data, tmp_path / "run", observer=_StopsAt("learning rate"), learning_rate="auto")
    assert stopped.value.exit_code == 130
    assert _differ(
        _run(module, data, tmp_path / "run", resume=True, learning_rate="auto"),
        _run(module, data, tmp_path / "other", learning_rate="auto"),
    ) == 0  # fmt: skip


def test_with_an_average_what_is_frozen_stays_to_the_bit(module, data, tmp_path):
    rules = _rules([{"match": "head"}, {"match": "*", "frozen": True}])
    _same_but_for(
        lambda name: name.startswith("head."),
        _run(module, data, tmp_path / "average", ema=0.999, epochs=6, strategy=rules),
        _run(module, data, tmp_path / "plain", strategy=rules),
    )


def test_hidden_units_go_with_every_strategy(module, data):
    for strategy in (hubtune.CombinedStrategy(clip={"GlobalNorm": 1.0}), _rules([{"match": "*"}])):
        config = RunConfig(strategy=strategy)
        task = hubtune.ImageClassifierTask(module, data, config, hidden_units=[5])
        assert task.config.hidden_units == [5]
        assert task.config.strategy == config.strategy
