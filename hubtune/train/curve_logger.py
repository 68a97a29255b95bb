"""Curves of a run, in the files that VisualDL and TensorBoard read.

The messages come from the packages, but the files are written here: the writers of both packages pass the
messages to a thread, and wait for it for ever once it has met a full disk.
"""

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from hubtune.errors import MachineError, UsageError, suggest
from hubtune.evaluation.metrics import Metrics
from hubtune.extras import install_command
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import CURVES
from hubtune.storage.atomic import write_atomically

_LISTS, _FIGURES = ("train", "validate", "test"), ("loss", "accuracy", "mean_ap", "learning_rate")
_LENGTH, _SUM = struct.Struct("<Q"), struct.Struct("<I")


class CurveWriter(Callback):
    """Writes a run's figures into ``visualization/`` in its folder, where a viewer shows them as curves.

    The tags are ``train/loss``, ``train/accuracy`` and ``train/learning_rate`` for each step,
    ``validate/loss`` and ``validate/accuracy`` for each evaluation, ``test/loss`` and ``test/accuracy`` for
    the best model. A point is in the file when the method returns.

    The first event of a resumed run shows where its checkpoint is: earlier points are kept, and points that a
    killed process wrote after the checkpoint are dropped, so that none appears twice.
    """

    def __init__(self, name: str, tag_of: Callable[[str, str], str] = "{}/{}".format) -> None:
        """Choose the format and the tags.

        Args:
            name: ``visualdl`` or ``tensorboard``.
            tag_of: list (``train``, …) and figure (``loss``, ``accuracy`` or ``learning_rate``) → tag.

        Raises:
            UsageError: if there is no such format.
            MachineError: if a package is missing.
        """
        if name not in FORMATS:
            raise UsageError(
                f"There is no writer {name!r} of curves: it may be {' or '.join(FORMATS)}."
                f"{suggest(name, FORMATS)}"
            )
        self._format = FORMATS[name]()
        self._tag_of = tag_of
        self._list_of = {tag_of(name, figure): name for name in _LISTS for figure in _FIGURES}
        self._folder = Path()
        self._file: Path | None = None

    def opened(self, run: Path) -> None:
        self._folder, self._file = run / CURVES, None

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        self._write("train", step, {"loss": loss, "accuracy": accuracy, "learning_rate": rate})

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        further = {} if metrics.mean_ap is None else {"mean_ap": metrics.mean_ap}
        self._write(name, step, {"loss": metrics.loss, "accuracy": metrics.accuracy, **further})

    def _write(self, name: str, step: int, figures: Mapping[str, float | None]) -> None:
        points = [
            self._format.point(self._tag_of(name, figure), value, step)
            for figure, value in figures.items()
            if value is not None
        ]
        try:
            if self._file is None:
                self._file = self._begin(name, step)
            with self._file.open("ab") as file:
                file.write(b"".join(points))
        except OSError as error:
            raise MachineError(
                f"{self._folder} cannot be written ({error.strerror}): free some space or check the "
                "permissions, then resume the run"
            ) from error

    def _begin(self, name: str, step: int) -> Path:
        """Create the file, with the points of earlier processes up to the first event of this one."""
        self._folder.mkdir(exist_ok=True)
        old = sorted(self._folder.glob(self._format.file_name.format("*")))
        number = int(time.time())
        points = []
        if old:
            # Both viewers show the newest file by this number, whatever the clock says.
            newest = next(int(part) for part in old[-1].name.split(".") if part.isdecimal())
            number = max(number, newest + 1)
            earlier = self._format.points(old[-1].read_bytes())
            listed = ((point, self._list_of.get(tag, "train"), at) for point, tag, at in earlier)
            points = [point for point, group, at in listed if _stays(group, at, name, step)]
        # A new file, because a running viewer keeps the old one open.
        file = self._folder / self._format.file_name.format(f"{number:010}")
        write_atomically(file, b"".join([self._format.start(), *points]))
        for path in old:
            with suppress(OSError):  # on Windows a viewer may lock it; the new one is shown all the same
                path.unlink()
        return file


def _stays(group: str, at: int, name: str, step: int) -> bool:
    """Whether an earlier point of a list is kept if the first event now is of ``name`` and ``step``."""
    # A step comes before its evaluation; the test comes last.
    if group == "test" or name == "test":
        return group != "test"
    return at < step or (at == step and group == "train" and name == "validate")


# A format writes the beginning of a file and its points, and reads points back, each with its tag and step.
# Its file name has a place for the seconds that viewers sort files by.


class _VisualDL:
    """VisualDL's records: a length, then the message."""

    file_name = "vdlrecords.{}.hubtune.log"

    def __init__(self) -> None:
        self._messages = _part("visualdl.component.base_component", "VisualDL", "visualdl")
        self._record = _part("visualdl.proto.record_pb2", "VisualDL", "visualdl").Record

    def start(self) -> bytes:
        return self._framed(self._messages.meta_data(walltime=round(time.time() * 1000)))

    def point(self, tag: str, value: float, step: int) -> bytes:
        return self._framed(self._messages.scalar(tag, value, step, round(time.time() * 1000)))

    def points(self, content: bytes) -> Iterator[tuple[bytes, str, int]]:
        for framed, message in _records(content, 0):
            for value in self._record.FromString(message).values:
                if value.WhichOneof("one_value") == "value":
                    yield framed, value.tag, value.id

    def _framed(self, record: Any) -> bytes:
        message = record.SerializeToString()
        return _LENGTH.pack(len(message)) + message


class _TensorBoard:
    """TensorBoard's events: a length, then the message, each followed by its CRC-32C."""

    file_name = "events.out.tfevents.{}.hubtune"

    def __init__(self) -> None:
        self._events = _part("tensorboardX.proto.event_pb2", "tensorboardX", "tensorboardX")
        self._summaries = _part("tensorboardX.proto.summary_pb2", "tensorboardX", "tensorboardX")
        self._sum = _part("tensorboardX.record_writer", "tensorboardX", "tensorboardX").masked_crc32c

    def start(self) -> bytes:
        event, log = self._events.Event, self._events.SessionLog
        # Makes a running viewer drop the points of the file before this one.
        again = event(wall_time=time.time(), step=0, session_log=log(status=log.START))
        return self._framed(event(wall_time=time.time(), file_version="brain.Event:2")) + self._framed(again)

    def point(self, tag: str, value: float, step: int) -> bytes:
        values = [self._summaries.Summary.Value(tag=tag, simple_value=value)]
        summary = self._summaries.Summary(value=values)
        return self._framed(self._events.Event(wall_time=time.time(), step=step, summary=summary))

    def points(self, content: bytes) -> Iterator[tuple[bytes, str, int]]:
        for framed, message in _records(content, _SUM.size):
            event = self._events.Event.FromString(message)
            for value in event.summary.value:
                yield framed, value.tag, event.step

    def _framed(self, event: Any) -> bytes:
        message = event.SerializeToString()
        length = _LENGTH.pack(len(message))
        return length + _SUM.pack(self._sum(length)) + message + _SUM.pack(self._sum(message))


FORMATS: dict[str, type[_VisualDL | _TensorBoard]] = {"visualdl": _VisualDL, "tensorboard": _TensorBoard}


def _records(content: bytes, sum_size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each record of a file, as bytes, and its message."""
    start = 0
    while start + _LENGTH.size <= len(content):
        first = start + _LENGTH.size + sum_size
        last = first + _LENGTH.unpack_from(content, start)[0]
        if last + sum_size > len(content):
            return
        yield content[start : last + sum_size], content[first:last]
        start = last + sum_size


def _part(module: str, name: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MachineError(f"{name} cannot be used here ({error}): {install_command(package)}") from error
