"""Measures exports on this machine: how right they are, how fast and how large."""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.listing import ImageEntry
from hubtune.errors import CheckFailedError, HubtuneError
from hubtune.evaluation.answers import collect
from hubtune.evaluation.evaluation import evaluate_answers
from hubtune.evaluation.metrics import Metrics
from hubtune.export.drawn_images import draw_images
from hubtune.export.formats import FORMATS
from hubtune.export.network import SCORES
from hubtune.export.scripts import PREDICT_FILE
from hubtune.inference.engine import start_engine
from hubtune.inference.engine_interface import is_installed
from hubtune.inference.model import Model
from hubtune.inference.openvino_program import openvino_core
from hubtune.inference.predict import ImageScores
from hubtune.inference.program import Subnetwork
from hubtune.runs.lists import find_list
from hubtune.storage.cache_folder import size_on_disk

LEAST_RATIO = 1.3
"""An export in int8 must be this many times as fast as that in float32."""

# Images of a round, and rounds; the first one warms up. Programs take turns after each image, so that what
# else the machine does slows all of them.
_IMAGES, _ROUNDS = 8, 12
_RUN_NUMBERS = itertools.count()

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class BenchRow:
    """The figures of a program that runs a model.

    Attributes:
        program: hubtune with its engine, or the format's title.
        precision: ``float32`` or ``int8``.
        list: ``validate`` or ``test``, of the run; ``None`` if it has no such list.
        accuracy: on it, with count and interval; ``None`` without a list.
        milliseconds: for an image, one at a time, from arranged pixels; the median.
        bytes: of the files that hold the network, or of the model folder.
    """

    program: str
    precision: str
    list: str | None
    accuracy: Metrics | None
    milliseconds: float
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {**vars(self), "accuracy": None if self.accuracy is None else self.accuracy.as_dict()}


@dataclass(frozen=True)
class SpeedRatio:
    """How much faster int8 is than float32, in the same program.

    Attributes:
        float32: milliseconds for an image, one at a time, from arranged pixels; the median.
        int8: likewise.
        ratio: median of the ratios of pairs.
        pairs: number of times that both ran the same image, one after the other.
        float32_bytes: size of the network's files in float32.
        int8_bytes: likewise in int8.
    """

    float32: float
    int8: float
    ratio: float
    pairs: int
    float32_bytes: int
    int8_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        return asdict(self)

    def check(self) -> None:
        """Raise ``CheckFailedError`` if int8 is not faster."""
        if not self.ratio >= LEAST_RATIO:
            raise CheckFailedError(
                f"int8 is not worth it on this machine: it is {self.ratio:.2f} times as fast as float32 "
                f"({self.int8:.1f} ms a picture instead of {self.float32:.1f}), where {LEAST_RATIO} times is "
                "the least; nothing was written. Try again on an idle machine, or export without --int8"
            )


def open_export(folder: Path) -> Run:
    """Load an export's network by its own script, in this process; return the script's ``run``."""
    name = f"hubtune_export_{next(_RUN_NUMBERS)}"
    spec = spec_from_file_location(name, folder / PREDICT_FILE)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.path.insert(0, str(folder))
    sys.modules.pop("arrange", None)
    try:
        with _one_core():
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("arrange", None)
    run: Run = module.run
    return run


@contextmanager
def _one_core() -> Iterator[None]:
    """Give scripts hubtune's core of OpenVINO, whose telemetry is off.

    Where a core is dropped, as a script's own would be, the next signal may end the process: see
    :func:`~hubtune.inference.openvino_program.openvino_core`.
    """
    if not is_installed("openvino"):
        yield
        return
    core = openvino_core()
    import openvino

    own, openvino.Core = openvino.Core, lambda: core
    try:
        yield
    finally:
        openvino.Core = own


@dataclass(frozen=True)
class _Measured:
    """A program to measure: what it runs, on images arranged for its views."""

    views: Sequence[Preprocessing]
    run: Callable[[Sequence[np.ndarray]], object]


@dataclass(frozen=True)
class WrittenExport:
    """An export to measure: its folder, the name of its format, and the model that is in it."""

    folder: Path
    form: str
    precision: str
    model: Model

    @property
    def bytes(self) -> int:
        """Size of the files that hold the network."""
        return sum((self.folder / name).stat().st_size for name in FORMATS[self.form].network_files)


def compare_speed(float32: WrittenExport, int8: WrittenExport, images: Sequence[Path]) -> SpeedRatio:
    """Run exports of one model in turn, and compare their times.

    ``images`` are files of which some are run; drawn ones are, if none of them can be read.
    """
    slow, fast = _time_in_turn([_of_export(float32), _of_export(int8)], images)
    return SpeedRatio(
        float32=statistics.median(slow),
        int8=statistics.median(fast),
        ratio=statistics.median(one / other for one, other in zip(slow, fast, strict=True)),
        pairs=len(slow),
        float32_bytes=float32.bytes,
        int8_bytes=int8.bytes,
    )


def measure_exports(model: Model, exports: Sequence[WrittenExport], run: Path | None) -> list[BenchRow]:
    """Measure a model in hubtune, and exports of it, in turn.

    Args:
        model: fine-tuned.
        exports: of it.
        run: whose validation list, or else test list, has the images; ``None``: drawn ones, without accuracy.

    Returns:
        A row of hubtune, and one of each export.
    """
    name, entries = _list_of(run, model)
    images, truth = [entry.path for entry in entries], [entry.label for entry in entries]
    network = model.classifier
    engine = start_engine(Subnetwork(network, network.logits_and_features, model.card.preprocessing), [])
    own = _Measured(model.card.views, lambda arrays: engine.begin(arrays)())
    times = _time_in_turn([own, *map(_of_export, exports)], images)

    def metrics(scores: Iterator[ImageScores]) -> Metrics | None:
        return evaluate_answers(collect(scores, truth), model.labels) if entries else None

    size = 0 if model.folder is None else size_on_disk(model.folder)
    title, time_of = f"hubtune ({engine.name})", map(statistics.median, times)
    rows = [BenchRow(title, "float32", name, metrics(model.score(images)), next(time_of), size)]
    for each, milliseconds in zip(exports, time_of, strict=True):
        title = FORMATS[each.form].title
        found = metrics(_scores(each, images))
        rows.append(BenchRow(title, each.precision, name, found, milliseconds, each.bytes))
    return rows


def _list_of(run: Path | None, model: Model) -> tuple[str | None, Sequence[ImageEntry]]:
    if run is None:
        return None, []
    for name in ("validate", "test"):
        with suppress(HubtuneError):
            dataset, _ = find_list(run, name, model.labels)
            if entries := [entry for entry in dataset.examples(name) if entry.path.is_file()]:
                return name, entries
    return None, []


def _of_export(export: WrittenExport) -> _Measured:
    run = open_export(export.folder)
    return _Measured([_view(export.model)], lambda arrays: run(arrays[0][None]))


def _view(model: Model) -> Preprocessing:
    return model.card.preprocessing.model_copy(update={"mirror": False})


def _scores(export: WrittenExport, images: Sequence[Path]) -> Iterator[ImageScores]:
    """Yield the scores that an export gives to images, one at a time."""
    run, view = open_export(export.folder), _view(export.model)
    for path in images:
        try:
            [pixels] = preprocess_views(path, [view])
        except ImageError as error:
            yield ImageScores(path, None, error)
            continue
        yield ImageScores(path, run(pixels[None])[SCORES][0].astype(np.float64))


def _time_in_turn(programs: Sequence[_Measured], images: Sequence[Path]) -> list[list[float]]:
    """Return the milliseconds of each run of an image, of each program."""
    chosen = [images[number * len(images) // _IMAGES] for number in range(_IMAGES if images else 0)]
    arrays = [_arranged(chosen, program.views) for program in programs]
    if not all(arrays):
        with TemporaryDirectory(prefix="hubtune-") as folder:
            drawn = draw_images(Path(folder))
            arrays = [_arranged(drawn, program.views) for program in programs]
    times: list[list[float]] = [[] for _ in programs]
    for number in range(_ROUNDS):
        for same in zip(*arrays, strict=True):  # an image, arranged for each program
            for program, own, spent in zip(programs, same, times, strict=True):
                start = time.perf_counter()
                program.run(own)
                if number:
                    spent.append(1_000 * (time.perf_counter() - start))
    return times


def _arranged(images: Sequence[Path], views: Sequence[Preprocessing]) -> list[list[np.ndarray]]:
    arranged = []
    for path in dict.fromkeys(images):
        with suppress(ImageError):
            arranged.append(preprocess_views(path, views))
    return arranged
