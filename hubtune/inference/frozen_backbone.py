"""A frozen trunk: what it makes of a picture never changes, so it is computed once and kept."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.hardware import cpu
from hubtune.inference.engine import SAMPLE, Engine, Rows, expected_engine, start_engine
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.predict import BackboneOutput, run_images, sample_of
from hubtune.inference.program import Part
from hubtune.inference.space import Space

# Raised when the same picture, view and weights come to mean other values.
_VERSION = 2
_HALF_MOST = float(np.finfo(np.float16).max)
# To measure the pace, so many pictures are looked at to let the engine settle, and so many to time it.
WARM_UP, TIMED = 8, 32


class Pace(NamedTuple):
    """How long a frozen trunk takes for pictures.

    Attributes:
        seconds: for one, in one view, decoding included.
        waiting: share of the time that the engine was without work, as pictures were being decoded.
    """

    seconds: float
    waiting: float

    def seconds_for(self, pixels: float) -> float:
        """Seconds for a picture in views that have so many times the pixels together; it is decoded once."""
        return self.seconds * (self.waiting + (1 - self.waiting) * pixels)


class FrozenBackbone:
    """The part of a network that stays as it is, with its engine and the cache of its outputs.

    Attributes:
        engine: name of the engine that computes what is not in the cache; ``None`` before it is decided.
        pace: that of the latest outputs of which some had to be computed; ``None`` where there were none.
        seconds: how long outputs took so far, those that came from the cache alone left out.
        waited: how many of these seconds the engine was without work, as pictures were being decoded.
    """

    def __init__(
        self,
        part: Part,
        tensors: Mapping[str, paddle.Tensor],
        *,
        module: str,
        layer: str,
        wanted: str,
        cache: FeatureCache,
        code: bytes | None = None,
        half: bool = False,
    ) -> None:
        """Take the part; nothing is computed yet.

        Args:
            part: it.
            tensors: all that its output depends on.
            module: name of the module, for people who look at the cache.
            layer: what the output is, such as ``features``.
            wanted: the engine, or ``auto``.
            cache: where outputs are kept.
            code: the ``module.py`` that the network was made by, if it is not hubtune's own.
            half: keep, and return, them in half precision.
        """
        self._part = part
        self._cache = cache
        self._half = half
        self._facts = {
            "version": _VERSION,
            "module": module,
            "layer": layer,
            "weights": _sum_of(tensors),
            "code": code and hashlib.sha256(code).hexdigest(),
        }
        self._wanted = wanted
        # Which engine it came to be, with these programs on this machine.
        tried = expected_engine(wanted)
        self._decision = {**self._facts, "wanted": wanted, "tried": tried, "programs": _programs()}
        noted = cache.note(self._decision)
        self.engine: str | None = noted["engine"] if noted else None
        self.pace: Pace | None = None
        self.seconds = self.waited = 0.0
        self._in_engine = 0.0
        self._started: Engine | None = None
        self._computed = 0
        self._lock = threading.Lock()

    @property
    def facts(self) -> dict[str, object]:
        """What its outputs depend on, beside the picture and the view."""
        return {**self._facts, "engine": self.engine, "half": self._half}

    def decide(self, views: Sequence[Preprocessing], paths: Sequence[Path]) -> None:
        """Decide about the engine on the first of some pictures, where that was not done before.

        Raises:
            MachineError: the engine that was asked for is not to be had.
        """
        if self.engine is None:
            self.start(views, paths)

    def known_pace(self, view: Preprocessing) -> Pace | None:
        """What :meth:`measure` has found earlier; see :func:`known_pace`."""
        return known_pace(str(self._facts["module"]), self._wanted, view)

    def start(self, views: Sequence[Preprocessing], paths: Sequence[Path]) -> None:
        """Start the engine now, not when the first picture is found missing in the cache."""
        if self._started is None:
            self._start(sample_of(views[:1], paths, SAMPLE.get(expected_engine(self._wanted), 1)))

    def keep(
        self, views: Sequence[Preprocessing], paths: Sequence[Path], *, batch_size: int, workers: int
    ) -> "KeptOutputs":
        """Compute the outputs of pictures, and give access to each; see :class:`KeptOutputs`."""
        return KeptOutputs(self, views, paths, {"batch_size": batch_size, "workers": workers})

    def outputs(
        self, views: Sequence[Preprocessing], paths: Sequence[Path], *, batch_size: int, workers: int
    ) -> Iterator[BackboneOutput]:
        """Give what the trunk makes of pictures, from the cache where it is there; as ``run_images``."""
        self.decide(views, paths)
        with ExitStack() as stack:
            spaces = [stack.enter_context(self.space(view)) for view in views]
            before, start, in_engine, elsewhere = self._computed, time.monotonic(), self._in_engine, 0.0
            for output in run_images(
                self, views, paths, batch_size=batch_size, workers=workers, spaces=spaces
            ):
                left = time.monotonic()
                yield output
                elsewhere += time.monotonic() - left
            end = time.monotonic()
        if computed := self._computed - before:
            waited = max(0.0, end - start - elsewhere - (self._in_engine - in_engine))
            self.pace = Pace((time.monotonic() - start) / computed, waited / (end - start))
            self.seconds += end - start
            self.waited += waited

    def measure(
        self,
        view: Preprocessing,
        paths: Sequence[Path],
        *,
        workers: int,
        check: Callable[[], None] = lambda: None,
    ) -> Pace | None:
        """Measure on some pictures how long one takes in a view.

        Args:
            view: the view.
            paths: the pictures, of which the first 40 are looked at.
            workers: threads that decode.
            check: called between pictures; may raise to stop.

        Returns:
            The pace, which is kept for :func:`known_pace`; ``None`` where the outputs of the first pictures
            are in the cache already.
        """
        for some in (paths[:WARM_UP], paths[WARM_UP : WARM_UP + TIMED]):
            self.pace = None
            # In small batches, so that decoding and computing overlap.
            for _ in self.outputs([view], some, batch_size=WARM_UP, workers=workers):
                check()
            # Where the warming up was in the cache, the time would be that of making the engine ready.
            if self.pace is None:
                break
        if self.pace is not None:
            cpu.save_measurement(_pace_of(str(self._facts["module"]), self._wanted, view), self.pace)
        return self.pace

    def space(self, view: Preprocessing) -> Space:
        """Where the outputs of a view are kept."""
        return self._cache.space({**self.facts, "view": view.model_dump()})

    @property
    def name(self) -> str:
        """The engine's name."""
        return self.engine or self._wanted

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        """Begin to compute, as an :class:`~hubtune.inference.engine.Engine` does."""
        with self._lock:  # an engine is used by one thread at a time
            start = time.monotonic()
            if self._started is None:
                self._start(arrays)
            assert self._started is not None
            self._computed += len(arrays)
            rows = self._started.begin(arrays)
            self._in_engine += time.monotonic() - start

        def finished() -> list[np.ndarray]:
            with self._lock:
                start = time.monotonic()
                found = rows()
                self._in_engine += time.monotonic() - start
            return self._halved(found) if self._half else found

        return finished

    def _halved(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        if not all(np.abs(row).max(initial=0) <= _HALF_MOST for row in rows):
            raise ModelError(
                "The network's activations before its last stage do not fit half precision: take strategy "
                "frozen, or default_finetune"
            )
        return [row.astype(np.float16) for row in rows]

    def _start(self, sample: Sequence[np.ndarray]) -> None:
        tried = expected_engine(self._wanted)
        # A fallback that was taken before is taken again: what is kept under its name must be its own.
        wanted = self._wanted if self.engine in (None, tried) else self.engine
        self._started = start_engine(self._part, sample, wanted=wanted)
        if self.engine is None:
            self.engine = self._started.name
            if sample:  # without, nothing was checked
                self._cache.keep_note(self._decision, {"engine": self.engine})


class KeptOutputs:
    """Outputs of pictures, too large to be held in memory, each to be had at any time."""

    def __init__(
        self,
        trunk: FrozenBackbone,
        views: Sequence[Preprocessing],
        paths: Sequence[Path],
        sizes: Mapping[str, int],
    ) -> None:
        self._trunk, self._views, self._paths, self._sizes = trunk, views, paths, sizes
        self._sums: list[bytes | None] = []
        # Not the errors themselves: raised in every epoch, each would keep what it has met alive.
        self._errors: dict[int, str] = {}

    def compute(self) -> Iterator[BackboneOutput]:
        """Compute what is not kept yet; all of it has to be asked for before :meth:`row`."""
        for index, output in enumerate(self._trunk.outputs(self._views, self._paths, **self._sizes)):
            self._sums.append(output.sum)
            if output.error is not None:
                self._errors[index] = output.error.reason
            yield output
        self._spaces = [self._trunk.space(view) for view in self._views]

    def row(self, index: int, view: int) -> np.ndarray:
        """The output of a picture in a view; may be called from any thread.

        Raises:
            PictureError: the picture cannot be read.
        """
        if index in self._errors:
            raise ImageError(self._paths[index], self._errors[index])
        digest = self._sums[index]
        row = None if digest is None else self._spaces[view].get(digest)
        if row is None:  # evicted, or damaged
            outputs = self._trunk.outputs([self._views[view]], [self._paths[index]], **self._sizes)
            output = next(iter(outputs))
            if output.rows is None:
                assert output.error is not None
                raise output.error
            [row] = output.rows
        return row


def known_pace(module: str, wanted: str, view: Preprocessing) -> Pace | None:
    """The pace of a frozen trunk on this machine when it was last measured, with whatever pictures.

    Args:
        module: its name.
        wanted: the engine that was asked for.
        view: how it looked at the pictures.

    Returns:
        The pace; ``None`` where it was not measured.
    """
    match cpu.load_measurement(_pace_of(module, wanted, view)):
        case [float(seconds), float(waiting)] if seconds > 0 and 0 <= waiting <= 1:
            return Pace(seconds, waiting)
    return None


def _pace_of(module: str, wanted: str, view: Preprocessing) -> str:
    device = f"{paddle.device.get_device()}, {cpu.cores()} cores"
    return f"looking at pictures with {module}, {view.description}, engine {wanted}, {device}"


def _sum_of(tensors: Mapping[str, paddle.Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name].numpy())
        total.update(f"{name} {values.dtype} {values.shape}\n".encode())
        total.update(values.data)
    return total.hexdigest()


def _programs() -> dict[str, str]:
    found = {}
    for package in ("paddlepaddle", "paddlepaddle-gpu", "openvino"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
