"""A frozen trunk: what it makes of a picture never changes, so it is computed once and kept."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import paddle

from hubtune.data.image import PictureError
from hubtune.data.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.features.cache import FeatureCache
from hubtune.features.engine import SAMPLE, Engine, Rows, expected_engine, start_engine
from hubtune.features.program import Part
from hubtune.features.space import Space
from hubtune.scores import Output, run_pictures, sample_of

# Raised when the same picture, view and weights come to mean other values.
_VERSION = 2
_HALF_MOST = float(np.finfo(np.float16).max)


class Trunk:
    """The part of a network that stays as it is, with its engine and the cache of its outputs.

    Attributes:
        engine: name of the engine that computes what is not in the cache; ``None`` before it is decided.
        seconds_per_picture: how long a picture took in one view, decoding included; ``None`` where nothing
            had to be computed so far.
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
        self.seconds_per_picture: float | None = None
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
    ) -> Iterator[Output]:
        """Give what the trunk makes of pictures, from the cache where it is there; as ``run_pictures``."""
        self.decide(views, paths)
        with ExitStack() as stack:
            spaces = [stack.enter_context(self.space(view)) for view in views]
            before, start = self._computed, time.monotonic()
            yield from run_pictures(self, views, paths, batch_size=batch_size, workers=workers, spaces=spaces)
        if computed := self._computed - before:
            self.seconds_per_picture = (time.monotonic() - start) / computed

    def space(self, view: Preprocessing) -> Space:
        """Where the outputs of a view are kept."""
        return self._cache.space({**self.facts, "view": view.model_dump()})

    @property
    def name(self) -> str:
        """The engine's name."""
        return self.engine or self._wanted

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        """Begin to compute, as an :class:`~hubtune.features.engine.Engine` does."""
        with self._lock:  # an engine is used by one thread at a time
            if self._started is None:
                self._start(arrays)
            assert self._started is not None
            self._computed += len(arrays)
            rows = self._started.begin(arrays)

        def finished() -> list[np.ndarray]:
            with self._lock:
                found = rows()
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
        self, trunk: Trunk, views: Sequence[Preprocessing], paths: Sequence[Path], sizes: Mapping[str, int]
    ) -> None:
        self._trunk, self._views, self._paths, self._sizes = trunk, views, paths, sizes
        self._sums: list[bytes | None] = []
        # Not the errors themselves: raised in every epoch, each would keep what it has met alive.
        self._errors: dict[int, str] = {}

    def compute(self) -> Iterator[Output]:
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
            raise PictureError(self._paths[index], self._errors[index])
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
