"""The run folder: its place, its lock, and the files that every run writes into it."""

import csv
import io
import json
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hubtune.data.label_names import labels_text
from hubtune.data.list_files import LABEL_LIST, encode
from hubtune.errors import HubtuneError, LockedError, MachineError, ModelError, UsageError
from hubtune.hub.file_names import BEST_MODEL as BEST_MODEL
from hubtune.log import FORMATTER, logger
from hubtune.runs.history import History
from hubtune.storage.address import check_path
from hubtune.storage.atomic import csv_content, write_atomically, write_csv
from hubtune.storage.checked_folder import find_checked
from hubtune.storage.lock import exclusive_lock
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_json, read_regular
from hubtune.text import unescape_cell

RECIPE_FILE = "recipe.yaml"
MANIFEST_FILE = "manifest.json"
RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
LISTS = "lists"
CURVES = "visualization"  # PaddleHub 1.x's name
RANK_LOGS = "logs"
MEAN_STD_FILE = "mean_std.json"
NAN_REPORT = "nan_report.json"
LATEST = Path("runs") / "latest"

_LOCK, _OWNER, _LOG = ".lock", ".owner.json", "train.log"
_PADDLEHUB_META = "ckpt.meta"
_PADDLEHUB_ENTRIES = re.compile(r"ckpt\.meta|best_model|step_\d+|visualization|vdllog")
_RANGE_TEST, _SKIPPED = "learning_rate.json", "skipped.csv"
_RECORDS = (_SKIPPED, "changed.csv", ".pictures.npy", MEAN_STD_FILE, _RANGE_TEST, NAN_REPORT)


def is_run(folder: Path) -> bool:
    return (folder / RECIPE_FILE).is_file()


def free_folder(folder: Path) -> Path:
    """Return the folder itself, or ``folder-2``, ``folder-3``, … if earlier runs (or PaddleHub's) use it.

    Raises:
        UsageError: if something that is not a run is there.
        LockedError: if another process uses one of them: starting the same command twice is a mistake.
    """
    number, candidate = 1, folder
    while candidate.exists() and not _is_empty(candidate):
        if is_run(candidate):
            check_unlocked(candidate)
        elif _is_paddlehub_run(candidate):
            logger.info("%s is a run of PaddleHub 1.x, and stays as it is", candidate)
        else:
            raise UsageError(
                f"{candidate} is there already and is not a run: name another folder, -o run=runs/NAME, in "
                "Python checkpoint_dir="
            )
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _is_paddlehub_run(folder: Path) -> bool:
    """Whether a run of PaddleHub 1.x is in a folder, finished or not."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return _PADDLEHUB_META in names or all(map(_PADDLEHUB_ENTRIES.fullmatch, names or [""]))


def latest_in_series(folder: Path) -> Path:
    """Return the last run of ``folder``, ``folder-2``, ``folder-3``, …; ``folder`` if there is none."""
    number, latest = 2, folder
    while is_run(candidate := folder.with_name(f"{folder.name}-{number}")):
        number, latest = number + 1, candidate
    return latest


def check_place(folder: Path, base: Path, images: Iterable[Path], cache: Path) -> None:
    """Refuse a run folder inside the images or the cache.

    Raises:
        UsageError: if it is there, or an address; ``base`` itself, the folder of the lists, may hold runs.
    """
    check_path(folder, "the run folder")
    place, start = folder.resolve(), base.resolve()
    if place.is_relative_to(cache.resolve()):
        raise UsageError(f"The run folder {folder} is inside hubtune's cache: name another, -o run=runs/NAME")
    taken = {Path(holder).resolve() for holder in {os.path.dirname(path) for path in images}}  # noqa: PTH120
    # Besides the class folders themselves, the folder they all lie in, unless the lists lie there, too.
    parents = {holder.parent for holder in taken}
    with suppress(ValueError):  # no folders, or several drives
        parents.add(Path(os.path.commonpath(taken)))
    taken |= {parent for parent in parents if not start.is_relative_to(parent)}
    taken.discard(start)
    if holders := [holder for holder in taken if place.is_relative_to(holder)]:
        outermost = min(holders, key=lambda holder: len(holder.parts))
        beside = outermost.parent
        with suppress(ValueError):  # it is on another drive
            beside = Path(os.path.relpath(beside))
        free = beside / "runs" / folder.name
        raise UsageError(
            f"The run folder {folder} is inside the pictures ({outermost}), where nothing is ever written: "
            f"name another, -o run={free}"
        )


class RunFolder:
    """A run folder in use; made by :func:`open_run`."""

    def __init__(self, path: Path, address: str | None = None) -> None:
        self.path = path
        self.address = address  # of its copy in a bucket
        self._identity = _identity(path)
        self.history = History(path / "metrics.jsonl")
        self.best_model = path / BEST_MODEL
        self.checkpoints = path / "checkpoints"
        self.candidates = path / "candidates"

    def check_place(self) -> None:
        """Raise ``MachineError`` if the folder is gone, before half a run is made in its place."""
        if _identity(self.path) != self._identity:
            raise MachineError(
                f"{self.path} was moved or removed while it was in use: move it back, and continue with: "
                f"hubtune finetune {self.path} --resume"
            )

    def write_description(self, recipe: str, manifest: Mapping[str, Any]) -> None:
        """Write ``recipe.yaml`` and ``manifest.json`` of a run that begins."""
        self.history.file.unlink(missing_ok=True)
        # Files of a run that was killed before it had saved anything.
        curve = Path(_RANGE_TEST).with_suffix(".png")
        for name in (*_RECORDS, curve):
            (self.path / name).unlink(missing_ok=True)
        self.remove_candidates()
        write_atomically(self.path / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")
        write_atomically(self.path / RECIPE_FILE, recipe)

    def extend(self, recipe: str) -> None:
        """Take a recipe of more epochs for a run that is resumed, so that it is no longer finished."""
        write_atomically(self.path / RECIPE_FILE, recipe)
        (self.path / RESULT_FILE).unlink(missing_ok=True)

    def write_labels(self, labels: Sequence[str]) -> None:
        """Write class names that were given in code, so that the run does not need that code."""
        (self.path / LISTS).mkdir(exist_ok=True)
        write_atomically(self.path / LISTS / LABEL_LIST, encode(labels_text(labels)))

    def record_threads(self, count: int) -> None:
        """Record in ``manifest.json`` the number of threads that Paddle uses from now on."""
        self._record(machine={**self.read_manifest()["machine"], "paddle_threads": count})

    def record_parts(self, sizes: Sequence[Sequence[int]]) -> None:
        """Record in ``manifest.json`` how many images of a batch are computed at once, from which step on."""
        self._record(micro_batch=[[*pair] for pair in sizes])

    @contextmanager
    def measure_time(self) -> Iterator[None]:
        """Add the seconds that the block takes to ``seconds`` in ``manifest.json``, also if it raises.

        The time of a process that is killed is lost.
        """
        before, start = self.read_manifest().get("seconds", 0.0), time.monotonic()
        try:
            yield
        finally:
            with suppress(OSError, HubtuneError):  # neither may hide an error of the block
                self._record(seconds=round(before + time.monotonic() - start, 1))

    def _record(self, **entries: Any) -> None:
        manifest = {**self.read_manifest(), **entries}
        write_atomically(self.path / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")

    def read_manifest(self) -> dict[str, Any]:
        """Read ``manifest.json``; raises ``ModelError`` if it is missing or damaged."""
        return _read_json(self.path / MANIFEST_FILE)

    def write_skipped(self, skipped: Sequence[tuple[str, str, str]]) -> None:
        write_csv(self.path / _SKIPPED, ("list", "path", "reason"), skipped)

    def append_skipped(self, entry: tuple[str, str, str]) -> None:
        """Add a row to the ``skipped.csv`` that :meth:`write_skipped` has written; it is on the disk then."""
        with (self.path / _SKIPPED).open("ab") as file:
            file.write(csv_content(entry, ()))
            file.flush()
            os.fsync(file.fileno())

    def read_skipped(self) -> list[tuple[str, str, str]]:
        """Read ``skipped.csv``, without a last line that was cut; empty if it does not exist."""
        file = self.path / _SKIPPED
        if not file.exists():
            return []
        text = file.read_bytes().decode("utf-8", errors="surrogateescape")
        # A process that was killed, or a full disk, may have cut the last line.
        lines = io.StringIO(text[: text.rfind("\r\n") + 2] if "\r\n" in text else "", newline="")
        rows = [tuple(map(unescape_cell, row)) for row in csv.reader(lines)]
        return [(row[0], row[1], row[2]) for row in rows if len(row) == 3][1:]

    def write_result(self, result: Mapping[str, Any]) -> None:
        self.check_place()
        write_atomically(self.path / RESULT_FILE, json.dumps(result, indent=1) + "\n")

    def read_result(self) -> dict[str, Any] | None:
        """Read ``result.json``; ``None`` if the run is not finished."""
        file = self.path / RESULT_FILE
        if not file.exists():
            return None
        result = _read_json(file)
        if not {"best_step", "validate", "test"} <= set(result):
            raise ModelError(f"{file} is damaged: remove it, and resume the run")
        return result

    def write_range_test(self, found: Mapping[str, Any], image: bytes) -> None:
        write_atomically((self.path / _RANGE_TEST).with_suffix(".png"), image)
        write_atomically(self.path / _RANGE_TEST, json.dumps(found, indent=1) + "\n")

    def read_range_test(self) -> dict[str, Any] | None:
        """Read ``learning_rate.json``; ``None`` if there was no range test."""
        file = self.path / _RANGE_TEST
        return _read_json(file) if file.exists() else None

    def remove_candidates(self) -> None:
        shutil.rmtree(self.candidates, ignore_errors=True)

    def write_nan_report(self, report: Mapping[str, Any]) -> Path:
        file = self.path / NAN_REPORT
        write_atomically(file, json.dumps(report, indent=1) + "\n")
        return file


@contextmanager
def open_run(folder: Path, address: str | None = None) -> Iterator[RunFolder]:
    """Create and lock a run folder; the log is written into it while the block runs.

    ``address`` is that of its copy in a bucket, if it has one.

    Raises:
        LockedError: if another process uses it.
        MachineError: if it cannot be written.
    """
    with _locked(folder):
        try:
            if (folder / _OWNER).exists():  # the lock of a process that ended is free
                logger.info("%s was left by %s, which has ended: taken over", folder, _owner(folder))
            started = datetime.now(UTC).isoformat(timespec="seconds")
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
            write_atomically(folder / _OWNER, json.dumps(owner) + "\n")
            handler = logging.FileHandler(folder / _LOG, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise _unwritable(folder, error) from error
        handler.setFormatter(FORMATTER)
        # By default, each line that a full disk does not take would print a traceback.
        handler.handleError = lambda record: None  # type: ignore[method-assign]
        logger.addHandler(handler)
        try:
            yield RunFolder(folder, address)
        finally:
            logger.removeHandler(handler)
            with suppress(OSError):  # lines that a full disk has not taken
                handler.close()
            (folder / _OWNER).unlink(missing_ok=True)


def point_latest_at(folder: Path) -> None:
    """Write ``runs/latest`` below the current folder, or beside the run if that is in a ``runs`` above it.

    Raises:
        MachineError: if it cannot be written.
    """
    inside, target = LATEST.parent.resolve(), folder.resolve()
    # Who works inside a folder of images has the runs above it, and nothing is written into the folder.
    if target.parent.name == inside.name and Path.cwd().is_relative_to(target.parent.parent):
        inside = target.parent
    text = target.relative_to(inside).as_posix() if target.is_relative_to(inside) else str(target)
    latest = inside / LATEST.name
    try:
        inside.mkdir(exist_ok=True)
        write_atomically(latest, (text + "\n").encode("utf-8", errors="surrogateescape"))
    except OSError as error:
        raise MachineError(f"{latest} cannot be written ({error.strerror}): check the permissions") from error


def newest_run() -> Path:
    """Return the run that ``runs/latest`` names, below the current folder or the next one above that has it.

    Raises:
        ModelError: if there is none.
    """
    places = [Path(*[".."] * above, LATEST) for above in range(len(Path.cwd().parents) + 1)]
    latest = next((place for place in places if place.is_file()), LATEST)
    try:
        name = read_regular(latest).decode("utf-8", errors="surrogateescape").strip()
    except OSError as error:
        raise ModelError(
            "There is no run here yet: start one with hubtune finetune, or name one's folder"
        ) from error
    folder = latest.parent / name
    if not is_run(folder):
        raise ModelError(f"{latest} names {folder}, which is not there any more: name a run's folder")
    return folder


def check_unlocked(folder: Path) -> None:
    """Raise ``LockedError`` if another process uses a run, before any time is spent."""
    with _locked(folder):
        pass


def _is_empty(folder: Path) -> bool:
    if is_run(folder):
        return not (find_checked(folder / BEST_MODEL).exists() or (folder / "checkpoints").exists())
    # Lists may be made for a run before it begins.
    beginnings = {_LOCK, _OWNER, _LOG, LISTS, RANK_LOGS, MANIFEST_FILE}
    return folder.is_dir() and all(
        entry.name in beginnings or (entry.name[0] == "." and entry.suffix == ".tmp")
        for entry in folder.iterdir()
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(folder / _LOCK, wait=False))
        except LockedError as error:
            advice = "wait for it, or name another folder, -o run=runs/NAME"
            raise LockedError(f"{folder} is in use by {_owner(folder)}: {advice}") from error
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield


def _identity(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = folder.stat()
        return status.st_dev, status.st_ino
    return None


def _unwritable(folder: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{folder} cannot be written ({error.strerror}): name another folder, -o run=runs/NAME"
    )


def _owner(folder: Path) -> str:
    try:
        owner = read_json(folder / _OWNER)
        return f"process {owner['pid']} on {owner['host']} since {owner['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _read_json(file: Path) -> dict[str, Any]:
    try:
        document = read_json(file, MOST_LIST_BYTES)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({error}): start a new run") from error
    if not isinstance(document, dict):
        raise ModelError(f"{file} is damaged: start a new run")
    return document
