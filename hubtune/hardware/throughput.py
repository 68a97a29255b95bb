"""Measures how long a training step takes on this machine, and with how many threads it is fastest."""

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import paddle
from paddle.nn import functional

from hubtune.hardware import cpu
from hubtune.log import logger
from hubtune.models.classifier import Classifier

_STEP_SECONDS = 0.5  # target duration of a measured step
_MOST_IMAGES = 8  # in a measured step
_ROUNDS = 2
_SHORT_RUN_SECONDS = 20.0
_LARGEST_SHARE = 0.05  # share of a run's time that measuring may take
_WORSE = 1.1  # relative time from which more threads are not tried
_FASTER = 0.95  # share of the time with fewer threads below which more threads are worth their cores
_UNDISTURBED = 0.9  # share of a step's time for which the main thread must have had a core

_chosen: int | None = None


@dataclass(frozen=True)
class StepPace:
    """Time per image of a network in training.

    Attributes:
        seconds_per_image: forward and backward pass.
        forward_seconds_per_image: the forward pass alone.
        threads: the number of threads that was measured; on a CPU, the fastest.
    """

    seconds_per_image: float
    forward_seconds_per_image: float
    threads: int

    @classmethod
    def load(cls, key: str) -> "StepPace | None":
        """Return the pace saved under a key on this machine; ``None`` if there is none."""
        match cpu.load_measurement(key):
            case [float(step), float(forward), int(count)] if step > 0 and forward > 0 and count > 0:
                return cls(step, forward, count)
        return None

    def save(self, key: str) -> None:
        """Save the pace for this machine; the key names all that it depends on, except the processor."""
        cpu.save_measurement(key, [self.seconds_per_image, self.forward_seconds_per_image, self.threads])


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


def measure_step(
    classifier: Classifier,
    name: str,
    shape: tuple[int, int],
    batch_size: int,
    *,
    images: int,
    keep_statistics: bool = False,
) -> StepPace:
    """Measure training steps of a network on random images, with the parameters that are frozen now.

    No update is made: the network, its gradients, Paddle's random state and number of threads are unchanged
    afterwards, bit for bit. On a CPU, the numbers of threads 1, 2, 4, … up to the cores are tried as long as
    that helps, unless the user has set one. Each is tried twice, in turn, and the shorter time counts, since
    other programs may interfere. The result is saved in ``machine.json`` for the next call, unless they did:
    then it is used only this time. If the run takes less than 20 seconds, or measuring would take more than a
    twentieth of its time, only the present number of threads is measured, and nothing is saved.

    ``shape`` is height and width of the images; ``images`` is how many the run trains on, in all epochs.
    """
    key = _pace_key(classifier, name, shape, keep_statistics)
    if (saved := StepPace.load(key)) is not None:
        return saved
    with _preserved(classifier):
        classifier.start_training(keep_statistics=keep_statistics)
        least = min(2, batch_size)  # BatchNorm after pooling has no variance over a single image
        _time_step(classifier, shape, least)  # the first step allocates memory, and is slower
        pace, _ = _time_step(classifier, shape, least)
        count = round(_STEP_SECONDS / pace.seconds_per_image)
        count = max(least, min(count, batch_size, _MOST_IMAGES))
        run = images * pace.seconds_per_image
        # More threads shorten a step, but the last two candidates are tried in vain.
        cost = 2 * _ROUNDS * count * pace.seconds_per_image
        if run < _SHORT_RUN_SECONDS or cost > _LARGEST_SHARE * run:
            return pace
        tried = [thread_count()] if _has_fixed_threads() else _candidates(cpu.cores())
        paces, undisturbed = _try_threads(classifier, shape, count, tried)
    best = paces[0]
    for pace in paces[1:]:
        if pace.seconds_per_image < _FASTER * best.seconds_per_image:
            best = pace
    shown = ", ".join(f"{pace.threads}: {1 / pace.seconds_per_image:.2f}" for pace in paces)
    logger.debug("training steps of %s, pictures/s by number of threads: %s", name, shown)
    if undisturbed or paddle.device.get_device() != "cpu":
        best.save(key)
    else:
        logger.debug("other programs use the machine: the number of threads will be measured again")
    return best


def from_last_stage(pace: StepPace) -> StepPace:
    """Return the pace of the last stage and head alone, from the whole network's with the rest frozen."""
    # The backward pass of trained layers takes about twice the time of their forward pass.
    back = pace.seconds_per_image - pace.forward_seconds_per_image
    return StepPace(1.5 * back, 0.5 * back, pace.threads)


def estimate_pace(
    classifier: Classifier, name: str, shape: tuple[int, int], *, affordable: bool
) -> StepPace | None:
    """Estimate the pace of training a network; training itself uses :func:`measure_step`.

    The estimate is what that function has saved, or what this one has: the best of three steps of one image
    each after the first, however busy the machine is. They are run once per machine, and saved. BatchNorm
    keeps its statistics. Unless it is ``affordable``, nothing is measured, and ``None`` means not saved.
    """
    key = _pace_key(classifier, name, shape, True)
    rough_key = f"about {key}"
    saved = StepPace.load(key) or StepPace.load(rough_key)
    if saved is not None or not affordable:
        return saved
    with _preserved(classifier):
        classifier.start_training(keep_statistics=True)
        _time_step(classifier, shape, 1)  # the first step allocates memory, and is slower
        paces = []
        for count in sorted({thread_count(), thread_count() if _has_fixed_threads() else cpu.cores()}):
            paddle.base.core.set_num_threads(count)
            paces.append(_time_step(classifier, shape, 1, count)[0])
    best = min(paces, key=lambda pace: pace.seconds_per_image)
    best.save(rough_key)
    return best


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
        f"{paddle.device.get_device()}, {cpu.cores()} cores",
    ]
    if _has_fixed_threads():
        facts.append(f"{thread_count()} threads")
    if classifier.channels != 3:
        facts.append(f"{classifier.channels} channels")
    return ", ".join(facts)


def _candidates(cores: int) -> list[int]:
    """1, 2, 4, … up to the cores."""
    return [*(2**exponent for exponent in range((cores - 1).bit_length())), cores]


def _try_threads(
    classifier: Classifier, shape: tuple[int, int], count: int, tried: Iterable[int]
) -> tuple[list[StepPace], bool]:
    """Return the pace with each number of threads, and whether no other program took cores away."""
    best: dict[int, tuple[StepPace, float]] = {}
    for _ in range(_ROUNDS):
        for number in list(best) or tried:
            paddle.base.core.set_num_threads(number)
            timed = _time_step(classifier, shape, count, number)
            best[number] = min(timed, best.get(number, timed), key=lambda timed: timed[0].seconds_per_image)
            fastest = min(pace.seconds_per_image for pace, _ in best.values())
            # The first that is clearly slower than fewer threads: still more would be, too.
            if timed[0].seconds_per_image > _WORSE * fastest and number == max(best):
                break
    return [pace for pace, _ in best.values()], all(share > _UNDISTURBED for _, share in best.values())


def _time_step(
    classifier: Classifier, shape: tuple[int, int], count: int, number: int | None = None
) -> tuple[StepPace, float]:
    """Return the pace of a step, and the share of its time for which the main thread had a core."""
    random = np.random.default_rng(0)
    images = paddle.to_tensor(random.standard_normal((count, classifier.channels, *shape)).astype(np.float32))
    labels = paddle.to_tensor(np.zeros(count, np.int64))
    trained = [tensor for _, _, tensor in classifier.trained_parameters()]
    start, start_on_core = time.perf_counter(), time.thread_time()
    loss = functional.cross_entropy(classifier(images), labels)
    float(loss)  # waits for a GPU
    forward = time.perf_counter() - start
    loss.backward()
    if trained and trained[0].grad is not None:
        float(trained[0].grad.sum())  # the first layer's gradient comes last
    seconds, on_core = time.perf_counter() - start, time.thread_time() - start_on_core
    classifier.clear_gradients(set_to_zero=False)
    return StepPace(seconds / count, forward / count, number or thread_count()), on_core / seconds


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
