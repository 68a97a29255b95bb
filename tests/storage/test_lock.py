"""A lock is held by one process at a time, and only while its block runs."""

import subprocess
import sys
import threading

import filelock
import pytest

from hubtune.errors import LockedError
from hubtune.storage.lock import exclusive_lock

HOLD = """
import sys
from pathlib import Path
from hubtune.storage.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "sub" / "w.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_another_process_waits_and_is_told_so(holder, tmp_path, told):
    file = tmp_path / "sub" / "w.lock"
    in_use = pytest.raises(LockedError, match=r"^w is in use by another process$")
    with in_use, exclusive_lock(file, wait=False):
        pass
    threading.Timer(0.1, holder.stdin.close).start()
    with exclusive_lock(file):
        assert "Another process is using w; waiting for it." in told.text
    assert file.exists()  # another process may have it open


def test_a_killed_process_leaves_no_lock_behind(holder, tmp_path):
    holder.kill()
    holder.wait()
    with exclusive_lock(tmp_path / "sub" / "w.lock", wait=False):
        pass


def test_a_file_system_without_locks_is_an_os_error(tmp_path, monkeypatch):
    def unsupported(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", unsupported)
    with pytest.raises(OSError, match="support flock"), exclusive_lock(tmp_path / "w.lock"):
        pass
    assert not list(tmp_path.iterdir())
