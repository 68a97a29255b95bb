"""The loop evaluates, keeps and saves when it should."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubtune.errors import StoppedError
from hubtune.evaluation.metrics import Metrics
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.recipe.optimization import LossSettings
from hubtune.recipe.schema import RunConfig
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop
from hubtune.train import evaluator
from hubtune.train.batches import TrainBatch
from hubtune.train.checkpoint import Checkpointer, Checkpoints, TrainState
from hubtune.train.context import RunContext, RunData
from hubtune.train.finite import FiniteCheck
from hubtune.train.loop import fit
from hubtune.train.loss import Loss, one_hot
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import LoopSettings, plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.step import TrainStep

SETTINGS = LoopSettings(
    *(4, 8),  # steps in an epoch and in the run
    eval_interval=3,
    log_interval=10,
    save_interval=None,
    rate=lambda step: 1e-3 * (1 - step / 8),
    base_rate=1e-3,
)


def _batches(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        arrays = list(random.standard_normal((2, 3, 32, 32)).astype(np.float32))
        yield TrainBatch(arrays, one_hot([0, 1], 2), [Path("a.png"), Path("b.png")], 2, 0.0)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains a small network; evaluations have the given accuracies. Returns the state and what was kept."""

    def run(accuracies, *, settings=SETTINGS, batches=None, stop=None):
        classifier = Classifier(find("smallnet").backbone, 2)
        named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        optimizer = Optimizer(plan_training(RunConfig(), named, 1e-3), 4)
        kept, answers, state = [], iter(accuracies), TrainState()
        stop = stop or Stop()

        def evaluate(context, name, score):
            accuracy = next(answers)
            return None if accuracy is None else Metrics(accuracy, 1.0, 10, (0.0, 1.0))

        def keep(context, classifier, views, metrics, step):
            kept.append((step, metrics and metrics.accuracy))

        monkeypatch.setattr(evaluator, "evaluate_list", evaluate)
        monkeypatch.setattr(evaluator, "keep_best_model", keep)
        folder = RunFolder(tmp_path)
        context = RunContext(RunConfig(), None, RunData([], {}, {}), folder, stop, Callback(), None)
        finite = FiniteCheck(folder, settings)
        checkpoints = Checkpoints(folder.checkpoints)
        fit(
            TrainStep(classifier, classifier, optimizer, Loss(LossSettings()), keep_statistics=False),
            batches or _batches(8),
            settings,
            state,
            evaluator=evaluator.Evaluator(context, classifier, [], None, finite),
            checkpointer=Checkpointer(checkpoints, classifier, optimizer, settings, finite),
            stop=stop,
            callback=Callback(),
        )
        return state, kept

    return run


def test_only_a_strictly_better_model_is_kept(train):
    # Evaluations after steps 3, 4 (end of epoch), 6 and 8.
    state, kept = train([0.5, 0.5, 0.7, 0.6])
    assert kept == [(3, 0.5), (6, 0.7)]
    assert (state.best_step, state.best_accuracy, state.step) == (6, 0.7, 8)


def test_without_validation_every_evaluation_keeps_the_model(train):
    state, kept = train([None] * 4)
    assert [step for step, _ in kept] == [3, 4, 6, 8]
    assert state.best_accuracy is None


@pytest.mark.parametrize(("interval", "expected"), [(None, ["step-4", "step-8"]), (3, ["step-6", "step-8"])])
def test_checkpoints_are_saved_at_intervals_or_each_epochs_end_and_two_are_kept(
    train, tmp_path, interval, expected
):
    train([0.5] * 4, settings=replace(SETTINGS, save_interval=interval))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == expected


def test_a_step_without_readable_images_changes_nothing(train):
    state, _ = train([0.5] * 4, batches=[TrainBatch([], np.empty((0, 2)), [], 2, 0.0)] * 8)
    assert (state.step, state.count) == (8, 0)


def test_a_stop_is_obeyed_before_the_next_batch(train, tmp_path):
    stop = Stop()

    def batches():
        for number, batch in enumerate(_batches(8)):
            if number == 5:
                stop.signal = 2
            yield batch

    with pytest.raises(StoppedError, match=r"^Stopped after step 5 of 8; everything is saved$") as caught:
        train([0.5] * 4, batches=batches(), stop=stop)
    assert caught.value.exit_code == 130
    assert (tmp_path / "checkpoints" / "step-5").is_dir()
