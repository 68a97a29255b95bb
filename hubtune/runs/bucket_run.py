"""Runs whose place is a bucket: their folder on this machine, and what is fetched from the bucket into it."""

import hashlib
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hubtune.errors import LockedError, MachineError, ModelError, UsageError
from hubtune.log import logger
from hubtune.runs.bucket_layout import LOCK, POINTER, checkpoints_in, read_pointer
from hubtune.runs.bucket_lock import EXPIRES_SECONDS
from hubtune.runs.folder import (
    BEST_MODEL,
    CURVES,
    LISTS,
    RANK_LOGS,
    RECIPE_FILE,
    RESULT_FILE,
    free_folder,
    is_run,
    latest_in_series,
)
from hubtune.storage.address import BucketAddress, parse_bucket_address
from hubtune.storage.atomic import replacing
from hubtune.storage.bucket_folder import DamagedFolderError, fetch_checked, is_manifest, manifest_of
from hubtune.storage.checked_folder import MANIFEST, find_checked, integrity_error
from hubtune.storage.object_store import MissingObjectError, ObjectStore

FILES = (
    "manifest.json learning_rate.json learning_rate.png metrics.jsonl train.log skipped.csv changed.csv "
    "nan_report.json report.html result.json"
).split()
"""The files of a run that are kept in a bucket, besides its recipe, lists, checkpoints and best model."""

FOLDERS = (f"{LISTS}/", f"{CURVES}/", f"{RANK_LOGS}/")
"""The folders of a run whose files are kept likewise."""

CANDIDATES = "candidates"
_TRIES = 3  # another process may remove what is being read


@dataclass(frozen=True)
class BucketRun:
    """A run in a bucket, and its folder on this machine."""

    address: str
    folder: Path


def folder_for(address: str) -> Path:
    """Return the run folder on this machine for an address: ``runs/NAME-<8 hexadecimal digits>``."""
    parsed = parse_bucket_address(address)
    digest = hashlib.sha256(str(parsed).encode()).hexdigest()[:8]
    return Path("runs") / f"{parsed.name}-{digest}"


def choose_bucket_run(address: str, *, resume: bool) -> BucketRun:
    """Return the run to resume, brought to this machine, or the place of a new one: ``NAME``, ``NAME-2``, ….

    Nothing is written into the bucket.

    Raises:
        LockedError: another process uses the run, on this machine or another one.
        MachineError: the bucket cannot be used.
        UsageError: the address is malformed, or something that is not a run has the folder on this machine.
    """
    number, place = 1, parse_bucket_address(address)
    if not place.folder:
        raise UsageError(f"{place} is a whole bucket: name a folder in it for the run, {place}/runs/NAME")
    latest = None
    candidate = place
    while has_run(candidate):
        latest, number = candidate, number + 1
        candidate = BucketAddress(place.scheme, place.bucket, f"{place.folder}-{number}")
    if not resume:
        if latest is not None:
            _check_unlocked(latest)
        return BucketRun(str(candidate), free_folder(folder_for(str(candidate))))
    run = str(latest or place)
    folder = latest_in_series(folder_for(run))
    if latest is not None:
        fetch_run(run, folder)
    return BucketRun(run, folder)


def has_run(address: str | BucketAddress) -> bool:
    """Whether there is a run at an address; raises MachineError if the bucket cannot be read."""
    return RECIPE_FILE in ObjectStore(address).list(RECIPE_FILE)


def _check_unlocked(place: BucketAddress) -> None:
    with suppress(MissingObjectError):
        age = ObjectStore(place).read(LOCK).age
        if age is not None and age < EXPIRES_SECONDS:
            raise LockedError(
                f"{place} is in use by another process: wait for it, or name another, -o run={place}-NAME"
            )


def fetch_run(address: str, folder: Path) -> None:
    """Bring to this machine what the folder lacks; a folder that is ahead of the bucket stays as it is.

    The recipe comes last, so that a folder is a run only when everything else is there.

    Raises:
        ModelError: there is no run at the address.
        MachineError: the bucket cannot be read, or the disk not written.
    """
    store = ObjectStore(address)
    objects = store.list()
    if RECIPE_FILE not in objects:
        raise ModelError(f"There is no run at {address}: check the names of the bucket and the folder")
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        is_behind = _fetch_checkpoint(store, folder) or not is_run(folder)
        is_behind |= RESULT_FILE in objects and not (folder / RESULT_FILE).exists()
        if not is_behind:
            return
        fetch_model(store, folder / BEST_MODEL)
        _fetch_candidates(store, folder, objects)
        fetch_files(store, folder, objects)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written ({error.strerror or error}): free some space"
        ) from error
    logger.debug("%s was brought to %s", address, folder)


def _fetch_checkpoint(store: ObjectStore, folder: Path) -> bool:
    """Fetch the newest intact checkpoint of the bucket if it is newer than the folder's own."""
    own = [path for path in (folder / "checkpoints").glob("step-*") if path.name[5:].isdecimal()]
    newest = max((int(path.name[5:]) for path in own if integrity_error(path) is None), default=-1)
    for _ in range(_TRIES):
        is_changed = False
        for checkpoint in checkpoints_in(store.list("checkpoints/")):
            if not checkpoint.complete:
                continue
            if checkpoint.step <= newest:
                return False
            target = folder / "checkpoints" / f"step-{checkpoint.step}"
            try:
                shutil.rmtree(target, ignore_errors=True)  # a damaged one
                fetch_checked(store, checkpoint.name, target)
                return True
            except DamagedFolderError as error:
                logger.warning("%s is skipped", error)
            except MissingObjectError:
                is_changed = True  # pruned meanwhile, as there are newer ones
                break
        if not is_changed:
            return False
    raise MachineError(f"The checkpoints of {store.address} change faster than they can be read: try again")


def fetch_model(store: ObjectStore, folder: Path) -> bool:
    """Fetch the best model that the bucket's pointer names; False if it has none.

    Raises:
        ModelError: it is damaged.
        MachineError, OSError: as :func:`fetch_run`.
    """
    for _ in range(_TRIES):
        try:
            name = read_pointer(store.get(POINTER))
        except MissingObjectError:
            return False
        if name is None:
            raise ModelError(f"{store.address}/{POINTER} is damaged")
        own = find_checked(folder) / MANIFEST
        try:
            if (
                own.is_file()
                and own.read_bytes() == manifest_of(store, name)
                and integrity_error(folder) is None
            ):
                return True
            fetch_checked(store, name, folder)
            return True
        except DamagedFolderError as error:
            raise ModelError(f"{error}: the model in the bucket cannot be used") from error
        except MissingObjectError:
            continue  # a better model has taken its place
    raise MachineError(f"The best model of {store.address} changes faster than it can be read: try again")


def _fetch_candidates(store: ObjectStore, folder: Path, objects: Collection[str]) -> None:
    for name in sorted(objects):
        if name.startswith(f"{CANDIDATES}/step-") and is_manifest(name):
            inner = name.rpartition("/")[0]
            with suppress(DamagedFolderError, MissingObjectError):  # those that are left count
                (folder / CANDIDATES).mkdir(exist_ok=True)
                fetch_checked(store, inner, folder / CANDIDATES / inner.rpartition("/")[2])


def fetch_files(store: ObjectStore, folder: Path, objects: Collection[str]) -> None:
    """Fetch a run's lists and other files, the recipe last; errors are those of :func:`fetch_run`."""
    inside = [
        name for name in objects if name.startswith(FOLDERS) and name.count("/") == 1 and name[-1] != "/"
    ]
    for name in (LISTS, *(name.partition("/")[0] for name in inside)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in (*sorted(inside), *(name for name in FILES if name in objects), RECIPE_FILE):
        if Path(name).name not in (".", "..") and "\\" not in name:
            with suppress(MissingObjectError), replacing(folder / name) as file:
                file.write(store.get(name))
    with suppress(OSError):  # not empty
        (folder / LISTS).rmdir()
