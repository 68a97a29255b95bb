"""The number of threads for training, and how long a training step takes on this machine."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import paddle
from paddle.nn import functional

from hubtune.hardware import cpu
from hubtune.models.classifier import Classifier

_STEP_SECONDS = 0.5  # target duration of a measured step
_MOST_IMAGES = 8  # in a measured step
# Threads of small networks mostly wait for one another.
_MOST_THREADS = 8

_chosen: int | None = None


@dataclass(frozen=True)
class StepPace:
    """Time per image of a network in training.

    Attributes:
        seconds_per_image: forward and backward pass.
        forward_seconds_per_image: the forward pass alone.
    """

    seconds_per_image: float
    forward_seconds_per_image: float

    @classmethod
    def load(cls, key: str) -> "StepPace | None":
        """Return the pace saved under a key on this machine; ``None`` if there is none."""
        match cpu.load_measurement(key):
            case [float(step), float(forward)] if step > 0 and forward > 0:
                return cls(step, forward)
        return None

    def save(self, key: str) -> None:
        """Save the pace for this machine; the key names all that it depends on, except the processor."""
        cpu.save_measurement(key, [self.seconds_per_image, self.forward_seconds_per_image])


def thread_count() -> int:
    """Return the number of threads that Paddle computes with on a CPU."""
    if _chosen is not None:
        return _chosen
    # In MKL's order of precedence; Paddle's own flag has no effect on MKL.
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if (value := os.environ.get(name, "")).isdecimal() and int(value):
            return int(value)
    return 1


def set_threads(count: int) -> None:
    """Make Paddle compute with this number of threads on a CPU from now on."""
    global _chosen
    paddle.base.core.set_num_threads(count)
    _chosen = count


def training_threads(*, sharded: bool = False) -> int:
    """Return the number of threads to train with: the user's, or on a CPU one for each core, at most 8.

    It does not depend on the machine's load: sums by another number of threads differ in the last digits. For
    the same reason it is one if a batch is ``sharded``, so that any number of processes gives the same bits.
    """
    if _has_fixed_threads():
        return thread_count()
    return 1 if sharded else min(cpu.cores(), _MOST_THREADS)


def measure_step(
    classifier: Classifier,
    name: str,
    shape: tuple[int, int],
    batch_size: int,
    *,
    keep_statistics: bool = False,
) -> StepPace:
    """Measure a training step of a network on random images, with the parameters that are frozen now.

    It uses :func:`training_threads`. No update is made: the network, its gradients, Paddle's random state and
    number of threads are unchanged afterwards, bit for bit. The faster of two steps counts, since other
    programs may interfere. The pace is saved in ``machine.json`` for the next call. ``shape`` is height and
    width of the images.
    """
    key = _pace_key(classifier, name, shape, keep_statistics)
    if (saved := StepPace.load(key)) is not None:
        return saved
    with _preserved(classifier):
        classifier.start_training(keep_statistics=keep_statistics)
        paddle.base.core.set_num_threads(training_threads())
        least = min(2, batch_size)  # BatchNorm after pooling has no variance over a single image
        _time_step(classifier, shape, least)  # the first step allocates memory, and is slower
        pace = _time_step(classifier, shape, least)
        count = max(least, min(round(_STEP_SECONDS / pace.seconds_per_image), batch_size, _MOST_IMAGES))
        pace = min(pace, _time_step(classifier, shape, count), key=lambda pace: pace.seconds_per_image)
    pace.save(key)
    return pace


def from_last_stage(pace: StepPace) -> StepPace:
    """Return the pace of the last stage and head alone, from the whole network's with the rest frozen."""
    # The backward pass of trained layers takes about twice the time of their forward pass.
    back = pace.seconds_per_image - pace.forward_seconds_per_image
    return StepPace(1.5 * back, 0.5 * back)


def estimate_pace(
    classifier: Classifier, name: str, shape: tuple[int, int], *, affordable: bool
) -> StepPace | None:
    """Return the pace that is saved or, if that is ``affordable``, measure it; ``None``: it is not saved.

    BatchNorm keeps its statistics, so that steps of a single image can be measured.
    """
    if not affordable:
        return StepPace.load(_pace_key(classifier, name, shape, True))
    return measure_step(classifier, name, shape, 1, keep_statistics=True)


def estimate_seconds(pace: StepPace, *, images: int, epochs: float, evaluated: int = 0) -> float:
    """Return the seconds of training on ``images`` images, and of evaluating ``evaluated`` ones in all."""
    return images * epochs * pace.seconds_per_image + evaluated * pace.forward_seconds_per_image


def _has_fixed_threads() -> bool:
    """Whether the number of threads is not hubtune's to choose."""
    return paddle.device.get_device() != "cpu" or cpu.prepare().own_threads is not None


def _pace_key(classifier: Classifier, name: str, shape: tuple[int, int], keep_statistics: bool) -> str:
    """Return everything that a pace depends on, except the processor."""
    trained = sum(math.prod(tensor.shape) for _, _, tensor in classifier.trained_parameters())
    facts = [
        f"training {name}",
        f"{shape[0]}×{shape[1]}",
        f"{trained} values trained",
        "BatchNorm kept" if keep_statistics else "BatchNorm trained",
        f"Paddle {paddle.__version__}",
        f"{cpu.MKL_TYPE}={os.environ.get(cpu.MKL_TYPE, '')}",
        f"{paddle.device.get_device()}, {training_threads()} threads",
    ]
    if classifier.channels != 3:
        facts.append(f"{classifier.channels} channels")
    return ", ".join(facts)


def _time_step(classifier: Classifier, shape: tuple[int, int], count: int) -> StepPace:
    """Return the pace of a step with ``count`` images."""
    random = np.random.default_rng(0)
    images = paddle.to_tensor(random.standard_normal((count, classifier.channels, *shape)).astype(np.float32))
    labels = paddle.to_tensor(np.zeros(count, np.int64))
    trained = [tensor for _, _, tensor in classifier.trained_parameters()]
    start = time.perf_counter()
    loss = functional.cross_entropy(classifier(images), labels)
    float(loss)  # waits for a GPU
    forward = time.perf_counter() - start
    loss.backward()
    if trained and trained[0].grad is not None:
        float(trained[0].grad.sum())  # the first layer's gradient comes last
    seconds = time.perf_counter() - start
    classifier.clear_gradients(set_to_zero=False)
    return StepPace(seconds / count, forward / count)


@contextmanager
def _preserved(classifier: Classifier) -> Iterator[None]:
    """Restore what a step changes besides weights: BatchNorm statistics, modes, random state, threads."""
    modes = [(layer, layer.training) for layer in classifier.sublayers(include_self=True)]
    buffers = list(classifier.buffers())
    statistics = [tensor for tensor in classifier.parameters() if tensor.stop_gradient]
    before = [(tensor, tensor.clone()) for tensor in (*statistics, *buffers)]
    random = paddle.get_rng_state()
    count = thread_count()
    try:
        yield
    finally:
        paddle.base.core.set_num_threads(count)
        paddle.set_rng_state(random)
        for tensor, values in before:
            paddle.assign(values, tensor)
        for layer, training in modes:
            layer.training = training
        classifier.clear_gradients(set_to_zero=False)
