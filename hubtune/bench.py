"""How fast this machine is with a network: each part of the work, beside Paddle itself and the limits.

All parts take turns within a round, so that whatever else the machine does falls on all of them; ratios are
made within a round, and medians over the rounds are reported.
"""

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional
from PIL import Image

from hubtune.data.images.preprocessing import preprocess_views
from hubtune.data.loader import Batch, load_batches
from hubtune.errors import DataError, MachineError
from hubtune.hardware import cpu
from hubtune.hardware.throughput import measure_step, threads, use_threads
from hubtune.hub.module import Module
from hubtune.inference.engine import Engine, start_engine
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.predict import run_images
from hubtune.inference.program import Part
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.optimization import LossSettings
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import DefaultFinetuneStrategy
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop
from hubtune.train.checkpoint import TrainState
from hubtune.train.loop import LoopSettings, fit
from hubtune.train.loss import Loss, one_hot
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter

ROUNDS = 5
"""How often each part is timed, if there is time."""

RATIOS = {
    "pipeline": "of the slower of decoding and the engine",
    "engine": "× Paddle",
    "cached": "× the pipeline",
    "step": "× the bare loop",
    "engine_arithmetic": "of the matrix product, in the engine's convolutions and fully connected layers",
    "step_arithmetic": "of the matrix product, in those of a training step",
}
"""What each ratio of a :class:`Benchmark` is, in words."""

_BATCH = 16
_CPU_STEP, _GPU_STEP = 8, 32  # pictures in a training step
_CLASSES = 10
_MOST_IMAGES = 64
_DRAWN, _DRAWN_SIZE = 16, (1600, 1200)
_MATRIX = 2048
_RATE = 1e-5
_NEVER = 10**9  # steps
# So long the threads of Paddle's OpenMP spin after a product (KMP_BLOCKTIME), and slow down what follows.
_SPINNING = 0.25


@dataclass(frozen=True)
class Speed:
    """How fast a part is.

    Attributes:
        unit: what ``rounds`` counts.
        rounds: how much of it was done a second, in each round.
    """

    unit: str
    rounds: list[float]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Benchmark:
    """What was measured on this machine.

    Attributes:
        speeds: ``decode`` (JPEG to the network's input), ``engine`` (inputs to features), ``pipeline`` (JPEG
            to features), ``cached`` (JPEG to features from the cache), ``paddle`` (inputs to logits by Paddle
            itself), ``product`` (Paddle's product of two matrices, float32), ``step`` (hubtune's training
            loop on inputs) and ``bare_step`` (the same work in a bare Paddle loop).
        gflop: arithmetic of a picture's forward pass, convolutions and fully connected layers only.
        start_seconds: until the engine was ready, its comparison with Paddle included.
        facts: what the figures depend on: engine, device, threads and so on.
    """

    speeds: dict[str, Speed]
    gflop: float
    start_seconds: float
    facts: dict[str, Any]

    @property
    def limit(self) -> str:
        """What the pipeline waits for: ``decode`` or ``engine``."""
        return min(("decode", "engine"), key=lambda name: self.speeds[name].median)

    def ratios(self) -> dict[str, list[float]]:
        """Each of :data:`RATIOS`, round by round."""

        def of(name: str) -> np.ndarray:
            return np.array(self.speeds[name].rounds)

        found = {
            "pipeline": of("pipeline") / np.minimum(of("decode"), of("engine")),
            "engine": of("engine") / of("paddle"),
            "cached": of("cached") / of("pipeline"),
            "step": of("step") / of("bare_step"),
            "engine_arithmetic": self.gflop * of("engine") / of("product"),
            # The backward pass takes two products for each of the forward pass.
            "step_arithmetic": 3 * self.gflop * of("step") / of("product"),
        }
        return {name: found[name].tolist() for name in RATIOS}

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        ratios = self.ratios().items()
        return {
            **self.facts,
            "gflop_a_picture": self.gflop,
            "engine_start_seconds": self.start_seconds,
            "speeds": {
                name: {"median": speed.median, **asdict(speed)} for name, speed in self.speeds.items()
            },
            "ratios": {
                name: {"median": statistics.median(rounds), "rounds": rounds, "meaning": RATIOS[name]}
                for name, rounds in ratios
            },
            "limit": self.limit,
        }


def run_benchmark(
    module: Module,
    images: Sequence[Path] | None = None,
    *,
    engine: str = "auto",
    seconds: float = 40.0,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Benchmark:
    """Time every part of the work with a module on the device that Paddle is set to.

    On a CPU, Paddle has the number of threads that training is fastest with.

    Args:
        module: the network; speed does not depend on its weights.
        images: what to read, of which some are taken throughout the list; ``None`` for drawn photos.
        engine: see :func:`hubtune.inference.engine.start_engine`.
        seconds: about how long all of it takes. Each part is run at least twice, once to warm up and once in
            a round, however long that takes.
        advance: told how many measurements are done, and of how many.

    Raises:
        DataError: none of the pictures can be read.
        MachineError: the engine is not to be had, or nothing can be written to the temporary folder.
    """
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        if paddle.device.get_device() == "cpu":
            stack.callback(use_threads, threads())
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubtune-bench-")))
            drawn = _draw(folder) if images is None else []
        except OSError as error:
            raise MachineError(
                f"Temporary files cannot be written ({error.strerror or error}): set TMPDIR to a folder "
                "with some room"
            ) from error
        paths = drawn if images is None else _readable(images, module)
        pixels = _pixels(paths, module)
        inputs = [module.preprocessing.normalise(array) for array in pixels]
        started = time.perf_counter()
        part = Part(module.network, module.features, module.preprocessing)
        running = start_engine(part, pixels, wanted=engine)
        start_seconds = time.perf_counter() - started
        batch = _GPU_STEP if paddle.device.get_device().startswith("gpu") else _CPU_STEP
        training = _Training(module, [*islice(cycle(inputs), batch)], RunFolder(folder))
        workers = RunConfig().workers
        reading = _Reading(module, running, paths, workers, FeatureCache(folder / "features", _NEVER))
        load = _load()
        speeds = _take_turns(
            {**reading.parts(), **_computing(part, running, pixels), **training.parts()}, end, advance
        )
        facts = {
            "module": module.name,
            "device": paddle.device.get_device(),
            "processor": cpu.processor().identity,
            "cores": cpu.cores(),
            "paddle_threads": threads(),
            "decoding_threads": workers,
            "engine": running.name,
            "input": [*inputs[0].shape],
            "pictures": len(paths),
            "drawn": images is None,
            "batch_size": _BATCH,
            "step_batch_size": batch,
            "load": [load, _load()],
        }
    return Benchmark(speeds, count_gflop(module.network, inputs[0]), start_seconds, facts)


@dataclass(frozen=True)
class _Part:
    """Work to be timed.

    Attributes:
        unit: what ``amount`` counts.
        amount: how much there is to do at once.
        run: does it so many times in a row, and returns when it is done, on a GPU too.
    """

    unit: str
    amount: float
    run: Callable[[int], None]


def _take_turns(
    parts: Mapping[str, _Part], end: float, advance: Callable[[int, int], None]
) -> dict[str, Speed]:
    """Time all parts, one after the other, in rounds until about a time; at least in one."""
    done, total = 0, (1 + ROUNDS) * len(parts)
    once, middle = {}, (time.monotonic() + end) / 2
    for name, part in parts.items():
        once[name] = _seconds(part, 1)  # memory is allocated, kernels are chosen
        if time.monotonic() < middle:  # else this is near enough
            once[name] = _seconds(part, 1)
        advance(done := done + 1, total)
    share = (end - time.monotonic()) / ROUNDS / len(parts)
    times = {name: max(1, round(share / seconds)) for name, seconds in once.items()}
    speeds = {name: Speed(f"{part.unit}/s", []) for name, part in parts.items()}
    for _ in range(ROUNDS):
        start = time.monotonic()
        time.sleep(_SPINNING)
        for name, part in parts.items():
            speeds[name].rounds.append(times[name] * part.amount / _seconds(part, times[name]))
            advance(done := done + 1, total)
        now = time.monotonic()
        if now + (now - start) / 2 > end:  # another one would end further from it
            break
    return speeds


def _seconds(part: _Part, times: int) -> float:
    start = time.perf_counter()
    part.run(times)
    return time.perf_counter() - start


class _Reading:
    """From files to inputs and features, as prediction and `frozen` go."""

    def __init__(
        self, module: Module, engine: Engine, paths: Sequence[Path], workers: int, cache: FeatureCache
    ) -> None:
        self._view, self._engine, self._cache = module.preprocessing, engine, cache
        self._paths, self._workers = paths, workers

    def parts(self) -> dict[str, _Part]:
        self._cached(-(-len(self._paths) // _BATCH))  # fills the cache
        return {
            "decode": _Part("pictures", _BATCH, self._decode),
            "pipeline": _Part("pictures", _BATCH, self._run),
            "cached": _Part("pictures", _BATCH, self._cached),
        }

    def _decode(self, times: int) -> None:
        paths = self._some(times)
        batches = [range(start, start + _BATCH) for start in range(0, len(paths), _BATCH)]
        for _ in load_batches(
            paths, batches, lambda index: preprocess_views(paths[index], [self._view]), workers=self._workers
        ):
            pass

    def _run(self, times: int, spaces: Sequence[Any] = ()) -> None:
        sizes = {"batch_size": _BATCH, "workers": self._workers}
        for _ in run_images(self._engine, [self._view], self._some(times), **sizes, spaces=spaces):
            pass

    def _cached(self, times: int) -> None:
        with self._cache.space({"what": "benchmark"}) as space:
            self._run(times, [space])

    def _some(self, times: int) -> list[Path]:
        return [*islice(cycle(self._paths), times * _BATCH)]


def _computing(part: Part, engine: Engine, pixels: Sequence[np.ndarray]) -> dict[str, _Part]:
    """The network on pictures in memory, by the engine and by Paddle itself; and a product of matrices."""
    batch = [*islice(cycle(pixels), _BATCH)]
    left, right = paddle.rand([_MATRIX, _MATRIX]), paddle.rand([_MATRIX, _MATRIX])

    def run_engine(times: int) -> None:
        for _ in range(times):
            engine.begin(batch)()

    def run_paddle(times: int) -> None:
        part.eval()
        with paddle.no_grad():
            for _ in range(times):
                part(paddle.to_tensor(np.stack(batch))).numpy()

    def multiply(times: int) -> None:
        for _ in range(times):
            product = left @ right
        float(product[0, 0])  # waits for a GPU

    return {
        "engine": _Part("pictures", _BATCH, run_engine),
        "paddle": _Part("pictures", _BATCH, run_paddle),
        "product": _Part("GFLOP", 2e-9 * _MATRIX**3, multiply),
    }


class _Training:
    """Steps of training all parameters, in hubtune's loop and in a bare one."""

    def __init__(self, module: Module, batch: list[np.ndarray], run: RunFolder) -> None:
        self._batch, self._run = batch, run
        self._labels = np.arange(len(batch), dtype=np.int64) % _CLASSES
        self._classifier = Classifier(module.backbone, _CLASSES)
        shape = batch[0].shape[1], batch[0].shape[2]
        pace = measure_step(self._classifier, module.name, shape, len(batch), images=_NEVER)
        if paddle.device.get_device() == "cpu":
            use_threads(pace.threads)
        config = RunConfig(strategy=DefaultFinetuneStrategy())
        named = [NamedParameter(*entry) for entry in self._classifier.trained_parameters()]
        method = plan_training(config, named, _RATE)
        self._update = Optimizer(method, _NEVER)
        self._network = module.backbone.build(num_classes=_CLASSES)
        self._network.train()
        parameters = self._network.parameters()
        self._bare_optimizer = paddle.optimizer.Adam(
            _RATE, parameters=parameters, weight_decay=method.matched[0][1].weight_decay
        )

    def parts(self) -> dict[str, _Part]:
        return {
            "step": _Part("pictures", len(self._batch), self._fit),
            "bare_step": _Part("pictures", len(self._batch), self._run_bare),
        }

    def _fit(self, times: int) -> None:
        # Nothing is evaluated, logged or saved at these steps.
        plan = LoopSettings(
            *(_NEVER, _NEVER, _NEVER, _NEVER, _NEVER),
            keep_statistics=False,
            rate=lambda step: _RATE,
            base_rate=_RATE,
            seed=0,
        )
        batch = Batch([*range(len(self._batch))], self._batch, {})
        targets = one_hot(self._labels, _CLASSES)
        level = logger.level
        logger.setLevel(logging.WARNING)  # how long was waited for pictures means nothing here
        try:
            fit(
                *(self._classifier, self._classifier, self._update, Loss(LossSettings())),
                ((batch, targets) for _ in range(times)),
                *([Path()] * len(self._batch), plan, TrainState()),
                evaluate=lambda: None,
                keep_best=lambda metrics: None,
                run=self._run,
                stop=Stop(),
                observer=Callback(),
            )
        finally:
            logger.setLevel(level)
        float(next(iter(self._classifier.parameters())).sum())  # waits for a GPU

    def _run_bare(self, times: int) -> None:
        for _ in range(times):
            images, labels = paddle.to_tensor(np.stack(self._batch)), paddle.to_tensor(self._labels)
            functional.cross_entropy(self._network(images), labels).backward()
            self._bare_optimizer.step()
            self._bare_optimizer.clear_grad()
        float(next(iter(self._network.parameters())).sum())  # waits for a GPU


def _draw(folder: Path) -> list[Path]:
    """Write photos: soft shapes with some noise, about as many bytes a pixel as a camera's."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(_DRAWN):
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        soft = np.asarray(coarse.resize(_DRAWN_SIZE, Image.Resampling.BICUBIC), np.int16)
        noisy = soft + random.integers(-8, 9, soft.shape, np.int16)
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def _readable(images: Sequence[Path], module: Module) -> list[Path]:
    """Some of the pictures, from throughout the list, that can be read."""
    some = [*images[:: max(1, len(images) // _MOST_IMAGES)]][:_MOST_IMAGES]

    def prepare(index: int) -> None:
        preprocess_views(some[index], [module.preprocessing])

    [batch] = load_batches(some, [range(len(some))], prepare, workers=RunConfig().workers)
    if not batch.indices:
        raise DataError(f"None of the pictures can be read, the first: {batch.bad[0]}. Name others by --data")
    return [some[index] for index in batch.indices]


def _pixels(paths: Sequence[Path], module: Module) -> list[np.ndarray]:
    """A batch of pictures as the network is to see them, all of one shape."""
    arrays = [array for path in paths[:_BATCH] for array in preprocess_views(path, [module.preprocessing])]
    return [array for array in arrays if array.shape == arrays[0].shape]


def count_gflop(network: nn.Layer, array: np.ndarray) -> float:
    """Arithmetic of the convolutions and fully connected layers, in 10⁹ products and sums.

    Args:
        network: the network.
        array: the input of one picture, float32 ``[3, h, w]``.
    """
    counts: list[float] = []

    def count(layer: Any, _: Any, output: paddle.Tensor) -> None:
        channels = output.shape[1 if isinstance(layer, nn.Conv2D) else -1]
        counts.append(2e-9 * layer.weight.size * output.size / channels)

    counted = [layer for layer in network.sublayers() if isinstance(layer, nn.Conv2D | nn.Linear)]
    hooks = [layer.register_forward_post_hook(count) for layer in counted]
    with paddle.no_grad():
        network(paddle.to_tensor(array[None]))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def _load() -> float | None:
    """How many processes have wanted to compute in the last minute; ``None`` where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
