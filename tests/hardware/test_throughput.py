"""A step is measured without a trace, the fastest number of threads found, and both are kept."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from hubtune.hardware import cpu, throughput
from hubtune.hardware.throughput import StepPace, estimate_seconds, measure_step, thread_count
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
    """Seconds a picture by threads, and the numbers of threads that were measured."""
    measured = SimpleNamespace(seconds={1: 1.0, 2: 0.6, 4: 0.5}, threads=[], now=1, share=1.0)
    monkeypatch.setattr(paddle.base.core, "set_num_threads", lambda count: setattr(measured, "now", count))

    def time_step(classifier, shape, count, number=None):
        measured.threads.append(measured.now)
        seconds = measured.seconds[measured.now]
        return StepPace(seconds, seconds / 4, number or thread_count()), measured.share

    monkeypatch.setattr(throughput, "_time_step", time_step)
    return measured


@pytest.fixture
def classifier():
    return Classifier(find("smallnet").backbone, 3)


def _measure(classifier, name="smallnet", images=10_000):
    return measure_step(classifier, name, (32, 32), 8, images=images)


@pytest.mark.parametrize(
    ("seconds", "fastest"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.59}, 2),  # not worth two more
        ({1: 1.0, 2: 1.05, 4: 0.5}, 4),
        ({1: 1.0, 2: 3.0}, 1),  # and 4 are not even tried
    ],
)
def test_the_fastest_number_of_threads_is_found(timed, classifier, seconds, fastest):
    timed.seconds = seconds
    assert _measure(classifier) == StepPace(seconds[fastest], seconds[fastest] / 4, fastest)
    assert timed.now == 1  # nothing is set yet


def test_an_undisturbed_measurement_is_kept(timed, classifier):
    for share, measured in ((0.5, True), (1.0, True), (1.0, False)):  # at first, other programs disturb
        timed.share = share
        timed.threads.clear()
        assert (_measure(classifier).threads, bool(timed.threads)) == (4, measured)


def test_the_users_number_of_threads_stays(timed, classifier, monkeypatch):
    for name, value in (("OMP_NUM_THREADS", "3"), ("MKL_NUM_THREADS", "2")):
        monkeypatch.setenv(name, value)
        assert thread_count() == int(value)
    timed.seconds, timed.now = {2: 1.0}, 2
    monkeypatch.setattr(cpu, "prepare", lambda: cpu.Preparation(None, "", "MKL_NUM_THREADS=2"))
    assert _measure(classifier).threads == 2


def test_measuring_leaves_no_trace(classifier, monkeypatch):
    for name in ("_SHORT_RUN_SECONDS", "_UNDISTURBED"):
        monkeypatch.setattr(throughput, name, 0.0)
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
    measured = _measure(classifier, images=10**9)
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
    assert estimate_seconds(StepPace(0.5, 0.1, 1), images=100, epochs=3, evaluated=50) == pytest.approx(155)
