"""The lock of a run in a bucket: an object that is created only if it is missing, and renewed while in use.

A lock that was not renewed for :data:`EXPIRES_SECONDS` is taken over. The service itself says how old it is,
so the clocks of machines do not matter.
"""

import json
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hubtune.errors import LockedError, MachineError
from hubtune.log import logger
from hubtune.runs.bucket_layout import LOCK
from hubtune.storage.bucket_folder import unused_name
from hubtune.storage.object_store import Conditions, MissingObjectError, ObjectStore, StoredObject

RENEW_SECONDS = 15.0
EXPIRES_SECONDS = 60.0
_POLL_SECONDS = 2.0


class BucketLock:
    """The lock of a run that this process holds; made by :func:`bucket_lock`."""

    def __init__(self, store: ObjectStore, owner: dict[str, Any], etag: str, *, atomic: bool) -> None:
        self._store, self._owner, self._etag, self._atomic = store, owner, etag, atomic
        self._ended = threading.Event()
        self._renewed = time.monotonic()
        self.lost = False
        self._thread = threading.Thread(target=self._renew_until_ended, name="bucket-lock", daemon=True)
        self._thread.start()

    @property
    def is_exclusive(self) -> bool:
        """Whether nobody else can have taken the lock over by now."""
        return not self.lost and time.monotonic() - self._renewed < EXPIRES_SECONDS

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(RENEW_SECONDS) and not self.lost:
            try:
                self._renew()
            except MachineError as error:
                logger.debug("the lock in the bucket was not renewed: %s", error)

    def _renew(self) -> None:
        if not self._atomic and not self._is_own():
            self.lost = True
            return
        content = _text({**self._owner, "renewed": _now()})
        etag = (
            self._store.replace(LOCK, content, self._etag) if self._atomic else self._store.put(LOCK, content)
        )
        if etag is None:
            self.lost = True
        else:
            self._etag, self._renewed = etag, time.monotonic()

    def _is_own(self) -> bool:
        try:
            return bool(_read(self._store.read(LOCK)).get("token") == self._owner["token"])
        except MissingObjectError:
            return False

    def release(self) -> None:
        """Remove the lock, unless another process has taken it over."""
        self._ended.set()
        self._thread.join()
        try:
            if not self.lost and self._is_own():
                self._store.delete(LOCK)
        except MachineError as error:
            logger.warning("the lock of %s stays, and expires: %s", self._store.address, error)


@contextmanager
def bucket_lock(
    store: ObjectStore, folder: Path, wait: Callable[[float], None] = time.sleep
) -> Iterator[BucketLock | None]:
    """Hold the lock of a run while the block runs; ``None`` where the service cannot lock, which is logged.

    Args:
        folder: the run's folder on this machine, which this process has locked: another process that had it
            has ended.
        wait: waits for seconds while an older lock may expire; may raise to stop.

    Raises:
        LockedError: another process renews the lock.
        MachineError: the bucket cannot be used.
    """
    conditions = store.probe_conditions(unused_name("lock-probe"))
    if not conditions.create:
        logger.warning(
            "%s cannot be locked, as the service has no conditional requests: make sure that no other "
            "process trains into it",
            store.address,
        )
        yield None
        return
    owner = {
        "token": secrets.token_hex(16),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "folder": str(folder.resolve()),
        "boot": _boot(),
        "started": _now(),
    }
    etag = store.create(LOCK, _text(owner)) or _take_over(store, conditions, owner, wait)
    lock = BucketLock(store, owner, etag, atomic=conditions.replace)
    try:
        yield lock
    finally:
        lock.release()


def _take_over(
    store: ObjectStore, conditions: Conditions, owner: dict[str, Any], wait: Callable[[float], None]
) -> str:
    found, seen, is_reported = None, "", False
    while True:
        try:
            found = store.read(LOCK)
        except MissingObjectError:
            if etag := store.create(LOCK, _text(owner)):
                return etag
            continue
        other = _read(found)
        if seen and found.etag != seen:
            raise _in_use(store, other)
        seen = found.etag
        # Of a process on this machine that had the folder, which is locked by this process now.
        same = all(other.get(key) == owner[key] for key in ("host", "boot", "folder"))
        left = 0.0 if same or found.age is None else EXPIRES_SECONDS - found.age
        if left <= 0:
            return _replace(store, conditions, owner, found)
        if not is_reported:
            logger.info("%s was in use by %s: waiting up to %.0f s", store.address, _describe(other), left)
            is_reported = True
        wait(min(_POLL_SECONDS, left))


def _replace(store: ObjectStore, conditions: Conditions, owner: dict[str, Any], found: StoredObject) -> str:
    if conditions.replace:
        etag = store.replace(LOCK, _text(owner), found.etag)
    else:
        # Not atomic: of two that do this at once, the first notices at its next renewal.
        store.delete(LOCK)
        etag = store.create(LOCK, _text(owner))
    if etag is None:
        raise _in_use(store, _read(store.read(LOCK)))
    logger.info("%s was left by %s, which has ended: taken over", store.address, _describe(_read(found)))
    return etag


def _in_use(store: ObjectStore, owner: dict[str, Any]) -> LockedError:
    return LockedError(
        f"{store.address} is in use by {_describe(owner)}: wait for it, or name another, "
        f"-o run={store.address}-NAME"
    )


def _describe(owner: dict[str, Any]) -> str:
    if not {"pid", "host", "started"} <= owner.keys():
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['started']}"


def _read(found: StoredObject) -> dict[str, Any]:
    try:
        owner = json.loads(found.content)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _text(owner: dict[str, Any]) -> bytes:
    return (json.dumps(owner) + "\n").encode()


def _boot() -> str:
    """Return what differs between machines that were cloned with one host name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
