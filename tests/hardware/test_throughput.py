"""A step is measured without a trace and kept; the number of threads does not depend on any measurement."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from hubtune.hardware import cpu, throughput
from hubtune.hardware.throughput import (
    StepPace,
    estimate_pace,
    estimate_seconds,
    measure_step,
    thread_count,
    training_threads,
)
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier


@pytest.fixture(autouse=True)
def _own_machine(monkeypatch):
    monkeypatch.setattr(cpu, "prepare", lambda: cpu.Preparation(None, "", None))
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    monkeypatch.setattr(throughput, "_chosen", None)
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield
    paddle.base.core.set_num_threads(1)


@pytest.fixture
def timed(monkeypatch):
    """Invents the seconds of each step; notes the threads and images that they were measured with."""
    measured = SimpleNamespace(seconds=[9.0, 3.0, 2.0], steps=[], now=1)
    monkeypatch.setattr(paddle.base.core, "set_num_threads", lambda count: setattr(measured, "now", count))

    def time_step(classifier, shape, count):
        seconds = measured.seconds[len(measured.steps)]
        measured.steps.append((measured.now, count))
        return StepPace(seconds, seconds / 4)

    monkeypatch.setattr(throughput, "_time_step", time_step)
    return measured


@pytest.fixture
def classifier():
    return Classifier(find("smallnet").backbone, 3)


def _measure(classifier, name="smallnet"):
    return measure_step(classifier, name, (32, 32), 8)


def test_the_faster_step_counts_and_is_measured_once_with_the_threads_of_training(timed, classifier):
    for _ in range(2):
        assert _measure(classifier) == StepPace(2.0, 0.5)
    assert timed.steps == [(4, 2)] * 3
    assert timed.now == 1
    assert estimate_pace(classifier, "other", (32, 32), affordable=False) is None


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (3, 3), (64, 8)])
def test_the_number_of_threads_comes_from_the_cores_alone(monkeypatch, cores, threads):
    monkeypatch.setattr(cpu, "cores", lambda: cores)
    assert training_threads() == threads
    assert thread_count() == 1


def test_the_users_number_of_threads_stays(monkeypatch):
    for name, value in (("OMP_NUM_THREADS", "3"), ("MKL_NUM_THREADS", "2")):
        monkeypatch.setenv(name, value)
        assert thread_count() == int(value)
    monkeypatch.setattr(cpu, "prepare", lambda: cpu.Preparation(None, "", "MKL_NUM_THREADS=2"))
    assert training_threads() == 2


def test_measuring_leaves_no_trace(classifier):
    next(iter(classifier.trained_parameters()))[2].stop_gradient = True
    classifier.register_buffer("counter", paddle.zeros([1]), persistable=False)
    # What a user's layer may do: draw random numbers, and count.
    hook = classifier.head.register_forward_pre_hook(
        lambda layer, inputs: (classifier.counter.add_(paddle.rand([1])), None)[1]
    )
    classifier.eval()
    classifier.head.train()
    state = {name: tensor.numpy().copy() for name, tensor in classifier.state_dict().items()}
    paddle.seed(7)
    expected = paddle.rand([3]).numpy()
    paddle.seed(7)
    measured = _measure(classifier)
    assert cpu._file().exists() and measured.seconds_per_image > measured.forward_seconds_per_image > 0
    assert (paddle.rand([3]).numpy() == expected).all()
    for name, tensor in classifier.state_dict().items():
        assert np.array_equal(tensor.numpy(), state[name]), name
    assert classifier.counter.item() == 0 and all(each.grad is None for each in classifier.parameters())
    assert (classifier.training, classifier.head.training, thread_count()) == (False, True, 1)
    hook.remove()
    classifier.head.register_forward_pre_hook(lambda layer, inputs: (_ for _ in ()).throw(ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        _measure(classifier, name="broken")
    assert not classifier.training


def test_the_seconds_of_a_run_count_what_is_trained_and_what_is_evaluated():
    assert estimate_seconds(StepPace(0.5, 0.1), images=100, epochs=3, evaluated=50) == pytest.approx(155)
