"""The pace of training: how long a step takes on this machine, and with how many threads it is fastest."""

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

_STEP_SECONDS = 0.5  # of a measured step, about
_MOST_IMAGES = 8  # in a measured step
_ROUNDS = 2
_SHORT_RUN_SECONDS = 20.0
_LARGEST_SHARE = 0.05  # of a run's time that measuring may take
_WORSE = 1.1  # more threads than these, which are slower by so much, are not tried
_FASTER = 0.95  # of the time with fewer threads, for more to be worth their share of the machine

_UNDISTURBED = 0.9  # of a step's time that the main thread must have had a core for

_chosen: int | None = None


@dataclass(frozen=True)
class StepPace:
    """How long the network takes.

    Attributes:
        seconds_per_image: forward and backward, in training.
        forward_seconds_per_image: the forward part of it.
        threads: the number of threads that this holds for; on a CPU, the fastest.
    """

    seconds_per_image: float
    forward_seconds_per_image: float
    threads: int

    @classmethod
    def known(cls, what: str) -> "StepPace | None":
        """What was remembered under a name on this machine; ``None`` for nothing."""
        match cpu.recall(what):
            case [float(step), float(forward), int(count)] if step > 0 and forward > 0 and count > 0:
                return cls(step, forward, count)
        return None

    def remember(self, what: str) -> None:
        """Keep it for this machine under a name, which tells all that it depends on but the processor."""
        cpu.remember(what, [self.seconds_per_image, self.forward_seconds_per_image, self.threads])


def threads() -> int:
    """How many threads Paddle computes with on a CPU."""
    if _chosen is not None:
        return _chosen
    # As MKL reads them; Paddle's own flag has no effect on it.
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if (value := os.environ.get(name, "")).isdecimal() and int(value):
            return int(value)
    return 1


def use_threads(count: int) -> None:
    """Make Paddle compute with so many threads on a CPU from here on."""
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
    """Measure training steps of a network, as its parameters are frozen now, on random pictures.

    Without an update: the network, its gradients, Paddle's random state and number of threads are afterwards
    what they were before, bit for bit. On a CPU, numbers of threads are tried, unless the user has set one:
    1, 2, 4, … up to the cores, as long as that helps. Each is tried twice, in turn, and the quicker time
    counts, for other programs may disturb. The outcome is kept in ``machine.json``, where the next call
    finds it, unless they did: then it holds for this once. A run so short that trying would take more than a
    twentieth of its time, or that takes less than 20 seconds, is measured with the present number of threads
    only, and nothing is kept.

    Args:
        classifier: the network, without gradients.
        name: the module's name; what was measured is kept under it.
        shape: height and width of the pictures.
        batch_size: pictures in a step of the run; fewer may be measured.
        images: how many pictures the run trains on, all epochs together.
        keep_statistics: as in :meth:`Classifier.start_training`.

    Returns:
        The pace with the fastest number of threads; :func:`use_threads` sets it.
    """
    on_cpu = paddle.device.get_device() == "cpu"
    fixed = not on_cpu or cpu.prepare().own_threads is not None
    what = _what(classifier, name, shape, keep_statistics, threads() if fixed else None)
    known = StepPace.known(what)
    if known is not None:
        return known
    with _untouched(classifier):
        classifier.start_training(keep_statistics=keep_statistics)
        least = min(2, batch_size)  # a BatchNorm after pooling has no variance over a single picture
        _time_step(classifier, shape, least)  # the first step allocates memory, and is slower
        pace, _ = _time_step(classifier, shape, least)
        count = round(_STEP_SECONDS / pace.seconds_per_image)
        count = max(least, min(count, batch_size, _MOST_IMAGES))
        run = images * pace.seconds_per_image
        # With more threads a step takes less, but two of them are tried in vain.
        cost = 2 * _ROUNDS * count * pace.seconds_per_image
        if run < _SHORT_RUN_SECONDS or cost > _LARGEST_SHARE * run:
            return pace
        tried = [threads()] if fixed else list(_candidates(cpu.cores()))
        paces, undisturbed = _try(classifier, shape, count, tried)
    best = paces[0]
    for pace in paces[1:]:
        if pace.seconds_per_image < _FASTER * best.seconds_per_image:
            best = pace
    shown = ", ".join(f"{pace.threads}: {1 / pace.seconds_per_image:.2f}" for pace in paces)
    logger.debug("training steps of %s, pictures/s by number of threads: %s", name, shown)
    if undisturbed or not on_cpu:
        best.remember(what)
    else:
        logger.debug("other programs use the machine: the number of threads will be measured again")
    return best


def from_last_stage(pace: StepPace) -> StepPace:
    """The pace of the last stage and the head alone, where only they are trained.

    Args:
        pace: of the whole network, measured with everything before them frozen.
    """
    # What is trained goes back in about twice the time that it goes forward in.
    back = pace.seconds_per_image - pace.forward_seconds_per_image
    return StepPace(1.5 * back, 0.5 * back, pace.threads)


def rough_pace(
    classifier: Classifier, name: str, shape: tuple[int, int], *, affordable: bool
) -> StepPace | None:
    """About the pace of training a network, to give an idea of it: training itself asks :func:`measure_step`.

    Taken is what that function has kept, or else what this one has: three steps of one picture each, the best
    of those after the first, however busy the machine is. They are made once for a machine, and kept.

    Args:
        classifier: as in :func:`measure_step`; BatchNorm keeps its statistics.
        name: the same.
        shape: the same.
        affordable: whether it may be measured where nothing is known.

    Returns:
        The pace; ``None`` where it is not known and not to be measured.
    """
    fixed = paddle.device.get_device() != "cpu" or cpu.prepare().own_threads is not None
    what = _what(classifier, name, shape, True, threads() if fixed else None)
    roughly = f"about {what}"
    known = StepPace.known(what) or StepPace.known(roughly)
    if known is not None or not affordable:
        return known
    with _untouched(classifier):
        classifier.start_training(keep_statistics=True)
        _time_step(classifier, shape, 1)  # the first step allocates memory, and is slower
        paces = []
        for count in sorted({threads(), threads() if fixed else cpu.cores()}):
            paddle.base.core.set_num_threads(count)
            paces.append(_time_step(classifier, shape, 1, count)[0])
    best = min(paces, key=lambda pace: pace.seconds_per_image)
    best.remember(roughly)
    return best


def estimate_seconds(pace: StepPace, *, images: int, epochs: float, evaluated: int = 0) -> float:
    """Seconds that training takes at a pace.

    Args:
        pace: the network's.
        images: training pictures.
        epochs: how often each is trained on.
        evaluated: pictures measured by the same network, all evaluations together.
    """
    return images * epochs * pace.seconds_per_image + evaluated * pace.forward_seconds_per_image


def _what(
    classifier: Classifier, name: str, shape: tuple[int, int], keep_statistics: bool, fixed: int | None
) -> str:
    """Everything that a pace depends on but the processor."""
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
    if fixed is not None:
        facts.append(f"{fixed} threads")
    if classifier.channels != 3:
        facts.append(f"{classifier.channels} channels")
    return ", ".join(facts)


def _candidates(cores: int) -> Iterator[int]:
    count = 1
    while count < cores:
        yield count
        count *= 2
    yield cores


def _try(
    classifier: Classifier, shape: tuple[int, int], count: int, tried: Iterable[int]
) -> tuple[list[StepPace], bool]:
    """The pace with each number of threads, in order, up to the first that is clearly worse than fewer.

    Also whether no other program took part of the processor away.
    """
    best: dict[int, tuple[StepPace, float]] = {}
    for _ in range(_ROUNDS):
        for number in list(best) or tried:
            paddle.base.core.set_num_threads(number)
            timed = _time_step(classifier, shape, count, number)
            best[number] = min(timed, best.get(number, timed), key=lambda timed: timed[0].seconds_per_image)
            fastest = min(pace.seconds_per_image for pace, _ in best.values())
            if timed[0].seconds_per_image > _WORSE * fastest and number == max(best):
                break
    return [pace for pace, _ in best.values()], all(share > _UNDISTURBED for _, share in best.values())


def _time_step(
    classifier: Classifier, shape: tuple[int, int], count: int, number: int | None = None
) -> tuple[StepPace, float]:
    """The pace of a step, and the share of its time that the main thread had a core for."""
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
    return StepPace(seconds / count, forward / count, number or threads()), on_core / seconds


@contextmanager
def _untouched(classifier: Classifier) -> Iterator[None]:
    """Bring back what a step changes besides weights: BatchNorm's statistics, modes, randomness, threads."""
    modes = [(layer, layer.training) for layer in classifier.sublayers(include_self=True)]
    buffers = list(classifier.buffers())
    statistics = [tensor for tensor in classifier.parameters() if tensor.stop_gradient]
    before = [(tensor, tensor.clone()) for tensor in (*statistics, *buffers)]
    random = paddle.get_rng_state()
    count = threads()
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
