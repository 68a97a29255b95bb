"""Copies a run into a bucket while it is trained: training never waits for the bucket, nor fails by it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from hubtune.errors import HubtuneError, LockedError, MachineError
from hubtune.log import logger
from hubtune.runs.bucket_layout import (
    POINTER,
    checkpoint_name,
    checkpoints_in,
    model_name,
    models_in,
    pointer_text,
)
from hubtune.runs.bucket_lock import BucketLock, bucket_lock
from hubtune.runs.bucket_run import CANDIDATES, FILES, FOLDERS
from hubtune.runs.folder import BEST_MODEL, RECIPE_FILE, RESULT_FILE
from hubtune.storage.bucket_folder import manifest_of, put_checked, remove_checked
from hubtune.storage.checked_folder import MANIFEST, find_checked
from hubtune.storage.object_store import ObjectStore
from hubtune.storage.regular_file import read_json, read_regular

_POLL_SECONDS = 1.0
_FILES_SECONDS = 15.0  # between copies of growing files: each costs a request
_RETRY_SECONDS = 30.0
_WARN_AFTER = 3  # failures in a row
_LAST_TRIES = 3
_KEEP = 2  # checkpoints, as on the disk: the newest one may be damaged


class Publisher:
    """Copies what is new in a run folder into a bucket; the folder itself says what that is.

    A process that was killed therefore leaves nothing behind that the next one would not copy.
    """

    def __init__(self, store: ObjectStore, folder: Path, lock: BucketLock | None) -> None:
        self._store, self._folder, self._lock = store, folder, lock
        self._checkpoint: bytes | None = None  # manifest of the newest one in the bucket
        self._model: bytes | None = None
        self._candidates: dict[str, bytes] = {}
        self._files: dict[str, tuple[int, int]] = {}
        self._files_at = float("-inf")

    def recall(self) -> None:
        """Find out what the bucket has already."""
        newest = next(
            (each for each in checkpoints_in(self._store.list("checkpoints/")) if each.complete), None
        )
        self._checkpoint = None if newest is None else manifest_of(self._store, newest.name)

    def publish(self, *, last: bool = False) -> None:
        """Copy what is new; ``last``: also files that grow, which are copied every few seconds only.

        A checkpoint comes after the best model and the metrics that it refers to.

        Raises:
            LockedError: another process has taken the run over.
            MachineError: the bucket cannot be written.
        """
        checkpoint, step = self._newest_checkpoint()
        is_new = checkpoint is not None and _manifest(checkpoint) not in (None, self._checkpoint)
        has_model = _manifest(find_checked(self._folder / BEST_MODEL)) not in (None, self._model)
        if last or is_new or has_model or time.monotonic() - self._files_at > _FILES_SECONDS:
            self._check_lock()
            self._publish_files(last=last)
        if has_model:
            self._publish_model()
        if checkpoint is not None and is_new:
            self._publish_candidates()
            self._publish_checkpoint(checkpoint, step)
        if last:
            self._publish_file(RESULT_FILE)

    def _newest_checkpoint(self) -> tuple[Path | None, int]:
        folders = [
            path for path in (self._folder / "checkpoints").glob("step-*") if path.name[5:].isdecimal()
        ]
        newest = max(folders, key=lambda path: int(path.name[5:]), default=None)
        return newest, -1 if newest is None else int(newest.name[5:])

    def _check_lock(self) -> None:
        if self._lock is not None and self._lock.lost:
            raise LockedError(f"{self._store.address} was taken over by another process")

    def _publish_files(self, *, last: bool) -> None:
        self._files_at = time.monotonic()
        inside = (path for folder in FOLDERS for path in sorted((self._folder / folder).glob("*")))
        names = (path.relative_to(self._folder).as_posix() for path in inside if path.is_file())
        for name in (*names, *FILES):
            # What says that the run has finished comes after everything else.
            if name != RESULT_FILE:
                self._publish_file(name)
        self._publish_file(RECIPE_FILE)

    def _publish_file(self, name: str) -> None:
        path = self._folder / name
        with contextlib.suppress(OSError):  # it is not there, or not yet
            status = path.stat()
            version = status.st_size, status.st_mtime_ns
            if self._files.get(name) != version:
                content = read_regular(path, max(status.st_size, 1) + 2**20)
                self._store.put(name, content)
                self._files[name] = version

    def _publish_model(self) -> None:
        folder = find_checked(self._folder / BEST_MODEL)
        try:
            step = int(read_json(folder / "model.json").get("step") or 0)
        except (OSError, ValueError, TypeError, AttributeError):
            step = 0
        name = model_name(step)
        self._check_lock()
        if (manifest := put_checked(self._store, folder, name)) is None:
            return  # exchanged meanwhile: the next round copies the newer one
        self._check_lock()
        self._store.put(POINTER, pointer_text(name))
        self._model = manifest
        if self._is_alone():
            objects = self._store.list(f"{BEST_MODEL}-")
            for other in models_in(objects) - {name}:
                remove_checked(self._store, other, objects)

    def _publish_candidates(self) -> None:
        own = {f"{CANDIDATES}/{path.name}": path for path in (self._folder / CANDIDATES).glob("step-*")}
        for name, path in own.items():
            if (manifest := _manifest(path)) is not None and self._candidates.get(name) != manifest:
                put_checked(self._store, path, name)
                self._candidates[name] = manifest
        for name in self._candidates.keys() - own.keys():
            remove_checked(self._store, name, self._store.list(f"{name}/"))
            del self._candidates[name]

    def _publish_checkpoint(self, folder: Path, step: int) -> None:
        name = checkpoint_name(step)
        self._check_lock()
        if (manifest := put_checked(self._store, folder, name)) is None:
            return
        self._checkpoint = manifest
        objects = self._store.list("checkpoints/")
        count = 0
        for each in checkpoints_in(objects):
            # Later steps are those of a course that was given up; incomplete ones are of killed processes.
            if each.complete and each.step <= step and count < _KEEP:
                count += 1
            elif each.name != name and (self._is_alone() or (each.complete and each.step < step)):
                remove_checked(self._store, each.name, objects)

    def _is_alone(self) -> bool:
        return self._lock is not None and self._lock.is_exclusive


def _manifest(folder: Path) -> bytes | None:
    try:
        return read_regular(folder / MANIFEST)
    except OSError:
        return None


@contextlib.contextmanager
def publishing(address: str | None, folder: Path) -> Iterator[None]:
    """Copy a run to its address while the block runs, and wait for the rest at the end; ``None``: do nothing.

    Args:
        folder: the run's folder, locked by this process.

    Raises:
        LockedError: another process uses the run in the bucket, or has taken it over.
        MachineError: the bucket cannot be used at the start, or not all could be copied at the end; the
            folder is complete then. An error of the block is never replaced.
    """
    if address is None:
        yield
        return
    store = ObjectStore(address)
    with bucket_lock(store, folder) as lock:
        publisher = Publisher(store, folder, lock)
        publisher.recall()
        ended = threading.Event()
        thread = threading.Thread(
            target=_publish_until, args=(publisher, ended, store), name="publisher", daemon=True
        )
        thread.start()
        try:
            yield
        except BaseException:
            problem = _finish(publisher, thread, ended)
            if problem is not None:
                logger.warning("%s does not have all of %s: %s", address, folder, problem)
            raise
        problem = _finish(publisher, thread, ended)
        if problem is not None:
            kind = LockedError if isinstance(problem, LockedError) else MachineError
            raise kind(
                f"The run is complete in {folder}, but not in {address} ({problem}): copy the rest by "
                f"hubtune finetune {folder} --resume"
            ) from problem


def _publish_until(publisher: Publisher, ended: threading.Event, store: ObjectStore) -> None:
    failures, pause = 0, _POLL_SECONDS
    while not ended.wait(pause):
        try:
            publisher.publish()
            if failures >= _WARN_AFTER:
                logger.warning("%s is written again", store.address)
            failures, pause = 0, _POLL_SECONDS
        except LockedError as error:
            logger.warning("%s: nothing more is copied into it; training continues", error)
            return
        except HubtuneError as error:  # also that the bucket is gone
            failures, pause = failures + 1, _RETRY_SECONDS
            if failures == _WARN_AFTER:
                logger.warning("%s; training continues, and tries again", error)


def _finish(publisher: Publisher, thread: threading.Thread, ended: threading.Event) -> Exception | None:
    """Wait for the upload that runs, and copy the rest; returns the error if that fails."""
    ended.set()
    thread.join()
    problem: Exception | None = None
    for left in reversed(range(_LAST_TRIES)):
        try:
            publisher.publish(last=True)
            return None
        except LockedError as error:
            return error
        except HubtuneError as error:
            problem = error
            if left:
                time.sleep(_POLL_SECONDS)
    return problem
