"""A lock between processes, held by the operating system: a process that dies leaves no lock behind."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from hubtune.errors import LockedError
from hubtune.log import logger


@contextlib.contextmanager
def exclusive_lock(lock_file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock while a block runs; ``wait`` for another process that holds it.

    The empty lock file is made, with its folder. It must stay afterwards: another process may have it open,
    and would then hold a lock that nobody else sees.

    Raises:
        LockedError: another process holds the lock, and ``wait`` is false.
        OSError: the file cannot be written, or the file system has no locks.
    """
    # Late, so that the commands that only may lock a file do not wait for it.
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        name = lock_file.name.removesuffix(".lock") or lock_file.parent.name
        if not wait:
            raise LockedError(f"{name} is in use by another process") from None
        logger.info("Another process is using %s; waiting for it.", name)
        lock.acquire()
    except NotImplementedError as error:  # filelock's, for a file system without locks
        raise OSError(errno.ENOLCK, str(error)) from error
    try:
        yield
    finally:
        lock.release()
