"""The part of a network that does not change: its output for an image is computed once, and cached."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.hardware import cpu
from hubtune.hardware.device import on_gpu
from hubtune.inference.engine import SAMPLE_SIZES, start_engine
from hubtune.inference.engine_interface import Engine, engine_versions, expected_engine
from hubtune.inference.extract import BackboneOutput, run_images, sample_inputs
from hubtune.inference.feature_cache import FeatureCache, Space
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.program import Subnetwork

# Raised when the same image, view and weights come to mean other values.
_VERSION = 2
_FLOAT16_MAX = float(np.finfo(np.float16).max)
# Images of a measurement: the first let the engine settle, the others are timed.
WARM_UP, TIMED = 8, 32


Compute = Callable[[Sequence[Path]], Iterator[BackboneOutput]]
"""Images → the output of each, in order."""

Share = Callable[[Sequence[Preprocessing], Sequence[Path], int, Compute], Iterator[BackboneOutput]]
"""Views, images, size of a batch, and what computes a part of the images → the output of each, in order."""


class Timing(NamedTuple):
    """Seconds that a frozen backbone takes for an image in one view, decoding included."""

    seconds: float
    idle: float  # share of the time in which the engine waited for images to be decoded

    def seconds_for(self, pixels: float) -> float:
        """Return the seconds for an image in views that have ``pixels`` times the pixels of this one."""
        return self.seconds * (self.idle + (1 - self.idle) * pixels)


class FrozenBackbone:
    """A network without gradients, with its engine and the cache of its outputs.

    Attributes:
        engine: name of the engine that computes what is not in the cache; ``None`` before it is chosen.
        timing: of the latest extraction that had to compute something; ``None`` if there was none.
        seconds: time of all extractions that had to compute something.
        idle_seconds: how much of it the engine waited for images to be decoded.
        share: yields outputs of which other processes compute a part; ``None``: there are no others.
    """

    def __init__(
        self,
        part: Subnetwork,
        tensors: Mapping[str, paddle.Tensor],
        *,
        module: str,
        layer: str,
        wanted: str,
        cache: FeatureCache,
        code: bytes | None = None,
        half: bool = False,
    ) -> None:
        """Take the network, from images to one row an image; nothing is computed yet.

        Its output depends on all of the tensors, and on ``code``, the user's ``module.py`` that defines it;
        ``None`` for an architecture of hubtune. Module and layer name it for people who look at the cache.
        The engine is the ``wanted`` one, or ``auto``. ``half`` stores and returns outputs in half precision.
        """
        self._part, self._cache, self._half = part, cache, half
        self._facts = {
            "version": _VERSION,
            "module": module,
            "layer": layer,
            "weights": _hash_tensors(tensors),
            "code": code and hashlib.sha256(code).hexdigest(),
        }
        self.share: Share | None = None
        self._wanted = wanted
        # The engine's check takes seconds: its result is stored for these packages and weights.
        choice = {"wanted": wanted, "tried": expected_engine(wanted), "programs": engine_versions()}
        self._choice = {**self._facts, **choice}
        self.engine: str | None = (cache.note(self._choice) or {}).get("engine")
        self.timing: Timing | None = None
        self.seconds = self.idle_seconds = 0.0
        self._engine_seconds = 0.0
        self._started: Engine | None = None
        self._computed = 0
        self._lock = threading.Lock()

    @property
    def facts(self) -> dict[str, object]:
        """What the outputs depend on, besides image and view."""
        return {**self._facts, "engine": self.engine, "half": self._half}

    @property
    def network_facts(self) -> dict[str, object]:
        """What identifies the network, whatever engine runs it."""
        return {**self._facts}

    @property
    def name(self) -> str:
        """The engine's name, or the one asked for before an engine is chosen."""
        return self.engine or self._wanted

    def choose_engine(self, views: Sequence[Preprocessing], paths: Sequence[Path]) -> None:
        """Choose the engine by a check on the first images, unless an earlier run did: see `start_engine`."""
        if self.engine is None:
            self.start(views, paths)

    def start(self, views: Sequence[Preprocessing], paths: Sequence[Path]) -> None:
        """Start the engine now, and not only when the first image is missing from the cache."""
        if self._started is None:
            count = SAMPLE_SIZES.get(expected_engine(self._wanted), 1)
            self._start(sample_inputs(views[:1], paths, count))

    def space(self, view: Preprocessing) -> Space:
        return self._cache.space({**self.facts, "view": view.model_dump()})

    def extract(
        self,
        views: Sequence[Preprocessing],
        paths: Sequence[Path],
        *,
        batch_size: int,
        workers: int,
    ) -> Iterator[BackboneOutput]:
        """Yield the output of each image, in order; from the cache where it is there.

        Arguments and errors are those of :func:`~hubtune.inference.extract.run_images`.
        """
        return self._extract(views, paths, batch_size, workers, self.share)

    def _extract(
        self,
        views: Sequence[Preprocessing],
        paths: Sequence[Path],
        batch_size: int,
        workers: int,
        share: Share | None,
    ) -> Iterator[BackboneOutput]:
        self.choose_engine(views, paths)
        with ExitStack() as stack:
            spaces = [stack.enter_context(self.space(view)) for view in views]
            computed, engine_seconds = self._computed, self._engine_seconds
            start, consumer_seconds = time.monotonic(), 0.0

            def compute(some: Sequence[Path]) -> Iterator[BackboneOutput]:
                return run_images(self, views, some, batch_size=batch_size, workers=workers, spaces=spaces)

            if share is None:
                outputs = compute(paths)
            else:
                outputs = _store(share(views, paths, batch_size, compute), spaces)
            for output in outputs:
                handed_over = time.monotonic()
                yield output
                consumer_seconds += time.monotonic() - handed_over
            seconds = time.monotonic() - start
        if share is None and (count := self._computed - computed):  # else it may have waited for others
            # Neither the engine nor the consumer was at work: decoding was waited for.
            idle = max(0.0, seconds - consumer_seconds - (self._engine_seconds - engine_seconds))
            self.timing = Timing((time.monotonic() - start) / count, idle / seconds)
            self.seconds += seconds
            self.idle_seconds += idle

    def measure(
        self, view: Preprocessing, paths: Sequence[Path], *, workers: int, check: Callable[[], None]
    ) -> Timing | None:
        """Measure how long an image takes in a view, on the first 40 images; ``check`` may raise to stop.

        Later processes get the timing from :func:`recall_timing`. It is ``None`` if the outputs of the first
        images are in the cache already.
        """
        for some in (paths[:WARM_UP], paths[WARM_UP : WARM_UP + TIMED]):
            self.timing = None
            # In small batches, so that decoding and computing overlap.
            for _ in self._extract([view], some, WARM_UP, workers, share=None):
                check()
            # With the first images in the cache, the time would include the start of the engine.
            if self.timing is None:
                break
        if self.timing is not None:
            cpu.save_measurement(_timing_key(str(self._facts["module"]), self._wanted, view), self.timing)
        return self.timing

    def recall_timing(self, view: Preprocessing) -> Timing | None:
        """Return what :meth:`measure` has found earlier."""
        return recall_timing(str(self._facts["module"]), self._wanted, view)

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to compute: :meth:`hubtune.inference.engine.Engine.begin`."""
        with self._lock:  # an engine is used by one thread at a time
            start = time.monotonic()
            if self._started is None:
                self._start(arrays)
            assert self._started is not None
            self._computed += len(arrays)
            if self._started.name == "paddle" and not on_gpu():
                # One at a time: Paddle's last digits depend on the batch, and that on what is in the cache.
                alone = [self._started.begin([array]) for array in arrays]
                pending: PendingRows = lambda: [row for wait_for in alone for row in wait_for()]  # noqa: E731
            else:
                pending = self._started.begin(arrays)
            self._engine_seconds += time.monotonic() - start

        def wait() -> list[np.ndarray]:
            with self._lock:
                start = time.monotonic()
                rows = pending()
                self._engine_seconds += time.monotonic() - start
            return _to_half(rows) if self._half else rows

        return wait

    def _start(self, sample: Sequence[np.ndarray]) -> None:
        # A fallback is taken again: outputs that are stored under an engine's name must come from it.
        wanted = self._wanted if self.engine in (None, expected_engine(self._wanted)) else self.engine
        self._started = start_engine(self._part, sample, wanted=wanted)
        if self.engine is None:
            self.engine = self._started.name
            if sample:  # without one, nothing was checked
                self._cache.put_note(self._choice, {"engine": self.engine})


class CachedOutputs:
    """Random access to the outputs of images, which may be too large to be held in memory."""

    def __init__(
        self, backbone: FrozenBackbone, views: Sequence[Preprocessing], paths: Sequence[Path], **loading: int
    ) -> None:
        self._backbone, self._views, self._paths, self._loading = backbone, views, paths, loading
        # Digests and reasons. Not errors: each would keep its traceback alive if raised in every epoch.
        self._found: list[tuple[bytes | None, str | None]] = []

    def compute(self) -> Iterator[BackboneOutput]:
        """Compute what is missing in the cache; to be exhausted before :meth:`row` is called."""
        for output in self._backbone.extract(self._views, self._paths, **self._loading):
            self._found.append((output.digest, None if output.error is None else output.error.reason))
            yield output
        self._spaces = [self._backbone.space(view) for view in self._views]

    def row(self, index: int, view: int) -> np.ndarray:
        """Return the output of an image in a view, by their indices; may be called from any thread.

        Raises:
            ImageError: the image cannot be read.
        """
        digest, reason = self._found[index]
        if reason is not None:
            raise ImageError(self._paths[index], reason)
        row = None if digest is None else self._spaces[view].get(digest)
        if row is None:  # removed from the cache, or damaged
            output = next(self._backbone.extract([self._views[view]], [self._paths[index]], **self._loading))
            if output.error is not None:
                raise output.error
            assert output.rows is not None
            [row] = output.rows
        return row


def _store(outputs: Iterator[BackboneOutput], spaces: Sequence[Space]) -> Iterator[BackboneOutput]:
    """Store outputs that other processes have computed."""
    for output in outputs:
        if output.digest is not None:
            for space, row in zip(spaces, output.rows or (), strict=False):
                if space.get(output.digest) is None:
                    space.put(output.digest, row)
        yield output


def recall_timing(module: str, wanted: str, view: Preprocessing) -> Timing | None:
    """Return a module's latest timing on this machine, of other images; ``None`` if it was never measured."""
    match cpu.load_measurement(_timing_key(module, wanted, view)):
        case [float(seconds), float(idle)] if seconds > 0 and 0 <= idle <= 1:
            return Timing(seconds, idle)
    return None


def _timing_key(module: str, wanted: str, view: Preprocessing) -> str:
    device = f"{paddle.device.get_device()}, {cpu.cores()} cores"
    return f"looking at pictures with {module}, {view.description}, engine {wanted}, {device}"


def _to_half(rows: list[np.ndarray]) -> list[np.ndarray]:
    if not all(np.abs(row).max(initial=0) <= _FLOAT16_MAX for row in rows):
        raise ModelError(
            "The network's activations before its last stage do not fit half precision: take strategy "
            "frozen, or default_finetune"
        )
    return [row.astype(np.float16) for row in rows]


def _hash_tensors(tensors: Mapping[str, paddle.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name].numpy())
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.data)
    return digest.hexdigest()
