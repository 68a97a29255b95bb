"""Measure this machine with one network: each part of the work, beside Paddle and the machine's limits.

    python benchmarks/machine.py
    python benchmarks/machine.py --data pics/ --module resnet50_imagenet --json

All parts take turns within a round, so that other load on the machine falls on all of them. Ratios are
computed within a round; medians over the rounds are reported. Run it on a quiet machine: other programs slow
down everything. What each row means: docs/speed.md.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hubtune.hardware import cpu

if __name__ == "__main__":
    cpu.prepare()  # sets MKL's path, which has no effect once Paddle is imported

import paddle
from paddle import nn
from paddle.nn import functional

from hubtune.cli.inputs import expand_images
from hubtune.cli.options import parse_weights
from hubtune.cli.progress import counting_bar
from hubtune.data.images.preprocessing import preprocess_views
from hubtune.data.loader import load_batches
from hubtune.errors import DataError, HubtuneError, MachineError
from hubtune.hardware.device import select_device
from hubtune.hardware.throughput import set_threads, thread_count, training_threads
from hubtune.hub.module import Module
from hubtune.inference.engine import start_engine
from hubtune.inference.engine_interface import Engine
from hubtune.inference.extract import run_images
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.program import Subnetwork
from hubtune.log import show_on_stderr
from hubtune.models.classifier import Classifier
from hubtune.recipe.choices import ENGINES
from hubtune.recipe.optimization import LossSettings
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import DefaultFinetuneStrategy
from hubtune.text import escaped
from hubtune.train.batches import Shard, TrainBatch
from hubtune.train.loss import Loss, one_hot
from hubtune.train.optimizer import Optimizer
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.step import TrainStep

ROUNDS = 5
"""Number of rounds, if there is time."""

RATIOS = {
    "pipeline": "of the slower of decoding and the engine",
    "engine": "× Paddle",
    "cached": "× the pipeline",
    "step": "× the bare loop",
    "engine_arithmetic": "of the matrix product, in the engine's convolutions and fully connected layers",
    "step_arithmetic": "of the matrix product, in those of a training step",
}
"""Name of each ratio → its meaning."""

_MODULE = "paddle.vision:mobilenet_v2"
_ROWS = {
    "decode": ("decoding, to input", ""),
    "engine": ("engine, to features", "× Paddle"),
    "paddle": ("  by Paddle itself", ""),
    "pipeline": ("both together", "of the slower"),
    "cached": ("features from the cache", "× both"),
    "step": ("training all parameters", "× bare loop"),
    "bare_step": ("  a bare Paddle loop", ""),
    "product": ("matrix product (Paddle)", ""),
}
_BATCH = 16
_CPU_STEP, _GPU_STEP = 8, 32  # images in a training step
_CLASSES = 10
_MOST_IMAGES = 64
_DRAWN, _DRAWN_SIZE = 16, (1600, 1200)
_MATRIX = 2048
_RATE = 1e-5
_NEVER = 10**9  # steps
# Threads of Paddle's OpenMP spin this long after a product (KMP_BLOCKTIME) and slow down what follows.
_SPINNING_SECONDS = 0.25


@dataclass(frozen=True)
class Speed:
    """The speed of one part.

    Attributes:
        unit: of ``rounds``, such as ``pictures/s``.
        rounds: the speed in each round.
    """

    unit: str
    rounds: list[float]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Benchmark:
    """The measurements on this machine.

    Attributes:
        speeds: ``decode`` (JPEG to the network's input), ``engine`` (inputs to features), ``pipeline`` (JPEG
            to features), ``cached`` (JPEG to features from the cache), ``paddle`` (inputs to logits by Paddle
            itself), ``product`` (Paddle's product of two matrices, float32), ``step`` (hubtune's
            training steps on inputs) and ``bare_step`` (the same work in a bare Paddle loop).
        gflop: arithmetic of one image's forward pass, convolutions and fully connected layers only.
        start_seconds: time until the engine was ready, including its comparison with Paddle.
        facts: the conditions: engine, device, threads and so on.
    """

    speeds: dict[str, Speed]
    gflop: float
    start_seconds: float
    facts: dict[str, Any]

    @property
    def limit(self) -> str:
        """The slower part of the pipeline: ``decode`` or ``engine``."""
        return min(("decode", "engine"), key=lambda name: self.speeds[name].median)

    def ratios(self) -> dict[str, list[float]]:
        """Each of :data:`RATIOS`, round by round."""
        of = {name: np.array(speed.rounds) for name, speed in self.speeds.items()}
        ratios = {
            "pipeline": of["pipeline"] / np.minimum(of["decode"], of["engine"]),
            "engine": of["engine"] / of["paddle"],
            "cached": of["cached"] / of["pipeline"],
            "step": of["step"] / of["bare_step"],
            "engine_arithmetic": self.gflop * of["engine"] / of["product"],
            # The backward pass takes two products for each of the forward pass.
            "step_arithmetic": 3 * self.gflop * of["step"] / of["product"],
        }
        return {name: ratios[name].tolist() for name in RATIOS}

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        return {
            "schema_version": 1,
            **self.facts,
            "gflop_a_picture": self.gflop,
            "engine_start_seconds": self.start_seconds,
            "speeds": {
                name: {"median": speed.median, **asdict(speed)} for name, speed in self.speeds.items()
            },
            "ratios": {
                name: {"median": statistics.median(rounds), "rounds": rounds, "meaning": RATIOS[name]}
                for name, rounds in self.ratios().items()
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

    On a CPU, Paddle uses the number of threads with which training is fastest.

    Args:
        module: the network; speed does not depend on its weights.
        images: the files to read, of which an even sample is taken; ``None`` for drawn photos.
        engine: see :func:`hubtune.inference.engine.start_engine`.
        seconds: approximate duration. Each part runs at least twice, once to warm up and once in a round.
        advance: called with the number of finished measurements and the total.

    Raises:
        DataError: if none of the images can be read.
        MachineError: if the engine is not available or the temporary folder cannot be written.
    """
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        if paddle.device.get_device() == "cpu":
            stack.callback(set_threads, thread_count())
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubtune-bench-")))
            drawn = _draw(folder) if images is None else []
        except OSError as error:
            raise MachineError(
                f"Temporary files cannot be written ({error.strerror or error}): set TMPDIR to a folder "
                "with free space"
            ) from error
        paths = drawn if images is None else _readable(images, module)
        pixels = _pixels(paths, module)
        inputs = [module.preprocessing.normalise(array) for array in pixels]
        started = time.perf_counter()
        part = Subnetwork(module.network, module.features, module.preprocessing)
        running = start_engine(part, pixels, wanted=engine)
        start_seconds = time.perf_counter() - started
        batch = _GPU_STEP if paddle.device.get_device().startswith("gpu") else _CPU_STEP
        training = _Training(module, [*islice(cycle(inputs), batch)])
        workers = RunConfig().workers
        reading = _Reading(module, running, paths, workers, FeatureCache(folder / "features", _NEVER))
        load = _load()
        parts = {**reading.parts(), **_computing(part, running, pixels), **training.parts()}
        speeds = time_in_turns(parts, end, advance)
        facts = {
            "module": module.name,
            "device": paddle.device.get_device(),
            "processor": cpu.processor().identity,
            "cores": cpu.cores(),
            "paddle_threads": thread_count(),
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
class Timed:
    """A part of the work to be timed.

    Attributes:
        unit: of ``amount``.
        amount: work done in one call of ``run(1)``.
        run: does the work the given number of times, and returns when it is done, on a GPU too.
    """

    unit: str
    amount: float
    run: Callable[[int], None]


def time_in_turns(
    parts: Mapping[str, Timed], end: float, advance: Callable[[int, int], None]
) -> dict[str, Speed]:
    """Time all parts in turn, in at least one round, until about ``end`` (``time.monotonic``)."""
    done, total = 0, (1 + ROUNDS) * len(parts)
    once, middle = {}, (time.monotonic() + end) / 2
    for name, part in parts.items():
        once[name] = _seconds(part, 1)  # memory is allocated, kernels are chosen
        if time.monotonic() < middle:  # else the first figure is near enough
            once[name] = _seconds(part, 1)
        advance(done := done + 1, total)
    share = (end - time.monotonic()) / ROUNDS / len(parts)
    times = {name: max(1, round(share / seconds)) for name, seconds in once.items()}
    speeds = {name: Speed(f"{part.unit}/s", []) for name, part in parts.items()}
    for _ in range(ROUNDS):
        start = time.monotonic()
        time.sleep(_SPINNING_SECONDS)
        for name, part in parts.items():
            speeds[name].rounds.append(times[name] * part.amount / _seconds(part, times[name]))
            advance(done := done + 1, total)
        now = time.monotonic()
        if now + (now - start) / 2 > end:  # another round would end further from it
            break
    return speeds


def _seconds(part: Timed, times: int) -> float:
    start = time.perf_counter()
    part.run(times)
    return time.perf_counter() - start


class _Reading:
    """From files to inputs and features, as in prediction and `frozen`."""

    def __init__(
        self, module: Module, engine: Engine, paths: Sequence[Path], workers: int, cache: FeatureCache
    ) -> None:
        self._view, self._engine, self._cache = module.preprocessing, engine, cache
        self._paths, self._workers = paths, workers

    def parts(self) -> dict[str, Timed]:
        self._cached(-(-len(self._paths) // _BATCH))  # fills the cache
        return {
            "decode": Timed("pictures", _BATCH, self._decode),
            "pipeline": Timed("pictures", _BATCH, self._run),
            "cached": Timed("pictures", _BATCH, self._cached),
        }

    def _decode(self, times: int) -> None:
        paths = self._sample(times)
        batches = [range(start, start + _BATCH) for start in range(0, len(paths), _BATCH)]
        for _ in load_batches(
            paths, batches, lambda index: preprocess_views(paths[index], [self._view]), workers=self._workers
        ):
            pass

    def _run(self, times: int, spaces: Sequence[Any] = ()) -> None:
        sizes = {"batch_size": _BATCH, "workers": self._workers}
        for _ in run_images(self._engine, [self._view], self._sample(times), **sizes, spaces=spaces):
            pass

    def _cached(self, times: int) -> None:
        with self._cache.space({"what": "benchmark"}) as space:
            self._run(times, [space])

    def _sample(self, times: int) -> list[Path]:
        return [*islice(cycle(self._paths), times * _BATCH)]


def _computing(part: Subnetwork, engine: Engine, pixels: Sequence[np.ndarray]) -> dict[str, Timed]:
    """The network on images in memory, by the engine and by Paddle itself; and a product of matrices."""
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
        "engine": Timed("pictures", _BATCH, run_engine),
        "paddle": Timed("pictures", _BATCH, run_paddle),
        "product": Timed("GFLOP", 2e-9 * _MATRIX**3, multiply),
    }


class _Training:
    """Steps that train all parameters, by hubtune and by a bare loop."""

    def __init__(self, module: Module, arrays: list[np.ndarray]) -> None:
        count = len(arrays)
        self._labels = np.arange(count, dtype=np.int64) % _CLASSES
        self._images = arrays
        shard = Shard(number=0, arrays=arrays, targets=one_hot(self._labels, _CLASSES))
        self._batch = TrainBatch([shard], [Path()] * count, size=count, waited=0.0)
        classifier = Classifier(module.backbone, _CLASSES)
        if paddle.device.get_device() == "cpu":
            set_threads(training_threads())
        config = RunConfig(strategy=DefaultFinetuneStrategy())
        named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        plan = plan_training(config, named, _RATE)
        optimizer = Optimizer(plan, _NEVER)
        self._step = TrainStep(classifier, classifier, optimizer, Loss(LossSettings()), keep_statistics=False)
        self._network = module.backbone.build(num_classes=_CLASSES)
        self._network.train()
        parameters = self._network.parameters()
        self._bare_optimizer = paddle.optimizer.Adam(
            _RATE, parameters=parameters, weight_decay=plan.matched[0][1].weight_decay
        )

    def parts(self) -> dict[str, Timed]:
        return {
            "step": Timed("pictures", self._batch.size, self._run_steps),
            "bare_step": Timed("pictures", self._batch.size, self._run_bare),
        }

    def _run_steps(self, times: int) -> None:
        for number in range(times):
            self._step.run(self._batch, number, _RATE)
        float(next(iter(self._step.classifier.parameters())).sum())  # waits for a GPU

    def _run_bare(self, times: int) -> None:
        for _ in range(times):
            images, labels = paddle.to_tensor(np.stack(self._images)), paddle.to_tensor(self._labels)
            functional.cross_entropy(self._network(images), labels).backward()
            self._bare_optimizer.step()
            self._bare_optimizer.clear_grad()
        float(next(iter(self._network.parameters())).sum())  # waits for a GPU


def _draw(folder: Path) -> list[Path]:
    """Write photos: soft shapes with some noise, about as many bytes per pixel as a camera's."""
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
    """The readable images of an even sample of the list."""
    sample = [*images[:: max(1, len(images) // _MOST_IMAGES)]][:_MOST_IMAGES]

    def prepare(index: int) -> None:
        preprocess_views(sample[index], [module.preprocessing])

    [batch] = load_batches(sample, [range(len(sample))], prepare, workers=RunConfig().workers)
    if not batch.indices:
        raise DataError(f"None of the pictures can be read, the first: {batch.bad[0]}. Name others by --data")
    return [sample[index] for index in batch.indices]


def _pixels(paths: Sequence[Path], module: Module) -> list[np.ndarray]:
    """A batch of images as the network gets them, all of one shape."""
    arrays = [array for path in paths[:_BATCH] for array in preprocess_views(path, [module.preprocessing])]
    return [array for array in arrays if array.shape == arrays[0].shape]


def count_gflop(network: nn.Layer, array: np.ndarray) -> float:
    """Count the arithmetic of the convolutions and fully connected layers, in 10⁹ products and sums.

    Args:
        network: the network.
        array: the input of one image, float32 ``[3, h, w]``.
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
    """The load average of the last minute; ``None`` where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def print_benchmark(benchmark: Benchmark) -> None:
    """Print the conditions, the table, and what it means."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    facts = benchmark.facts
    photos = f"{facts['pictures']} {'drawn ' if facts['drawn'] else ''}pictures"
    size = "×".join(map(str, facts["input"][1:]))
    print(
        f"{escaped(facts['module'])} at {size}, {photos}\n"
        f"{facts['device']}, {facts['cores']} cores; engine {facts['engine']}, ready in "
        f"{benchmark.start_seconds:.1f} s; threads of Paddle: {facts['paddle_threads']}"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rounds = len(benchmark.speeds["decode"].rounds)
    table.add_column("")
    table.add_column("speed", justify="right")
    if rounds > 1:
        table.add_column(f"in {rounds} rounds", justify="right")
    table.add_column("beside")
    ratios = {name: statistics.median(rounds) for name, rounds in benchmark.ratios().items()}
    for name, (description, other) in _ROWS.items():
        speed = benchmark.speeds[name]
        beside = f"{ratios[name]:.2f} {other}" if other else ""
        span = [f"{_figure(min(speed.rounds))}–{_figure(max(speed.rounds))}"] if rounds > 1 else []
        table.add_row(description, f"{_figure(speed.median)} {speed.unit}", *span, beside)
    Console().print(table)
    print("\n".join(_meaning(benchmark, ratios)))
    if (load := facts["load"][0]) is not None and load > facts["cores"] / 2:
        print(
            f"Other programs were computing (load average {load:.1f}): on a quiet machine all is faster.",
            file=sys.stderr,
        )


def _meaning(benchmark: Benchmark, ratios: dict[str, float]) -> list[str]:
    speeds = {name: speed.median for name, speed in benchmark.speeds.items()}
    if benchmark.limit == "decode":
        limit = "Decoding is the limit: a faster engine would gain little, smaller image files would."
    else:
        limit = "The engine is the limit: decoding is faster, so a smaller network would gain most."
    noisy = (
        "Both together cannot be faster than the slower of them: a ratio above 1 is noise from other "
        "programs. A longer measurement (--seconds) has less of it."
    )
    return [
        *([noisy] if ratios["pipeline"] > 1 else []),
        limit,
        f"A thousand pictures take {_time(1000 / speeds['pipeline'])} with a frozen network, "
        f"{_time(1000 / speeds['cached'])} from the cache, and {_time(1000 / speeds['step'])} in each epoch "
        "of training all parameters.",
        f"The network's arithmetic ({_figure(benchmark.gflop)} GFLOP per picture) runs at "
        f"{ratios['engine_arithmetic']:.2f} of the speed of Paddle's matrix product in the engine, and at "
        f"{ratios['step_arithmetic']:.2f} in training.",
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{_figure(seconds)} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--module", default=_MODULE, metavar="NAME", help="the network; default: %(default)s")
    parser.add_argument(
        "--weights", default="none", metavar="FILE", help="its weights, or official; default: random values"
    )
    parser.add_argument("--data", metavar="FOLDER|LIST", help="images to read; default: 16 drawn photos")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, gpu or gpu:0")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="what runs the network")
    parser.add_argument(
        "--seconds",
        type=_duration,
        default=40.0,
        metavar="N",
        help="approximate duration, 1 to 3600; default: 40",
    )
    parser.add_argument("--trust-code", action="store_true", help="run the code of a user's own architecture")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args(arguments)
    show_on_stderr()
    try:
        images = None if given.data is None else [Path(image) for image in expand_images((given.data,))]
        if images is not None and images == [Path(given.data)] and not images[0].exists():
            raise DataError(f"There is no {given.data}: give a folder of images, a list of them or a pattern")
        select_device(given.device)
        module = Module(given.module, parse_weights(given.weights), trust_code=given.trust_code)
        with counting_bar("measuring") as advance:
            benchmark = run_benchmark(
                module, images, engine=given.engine, seconds=given.seconds, advance=advance
            )
    except HubtuneError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    if given.json:
        print(json.dumps(benchmark.as_dict()))
    else:
        print_benchmark(benchmark)
    return 0


def _duration(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 3600 seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
