"""A lock is held by one process at a time, and only while its block runs."""

import subprocess
import sys
import threading

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


@pytest.mark.parametrize("end", ["killed", "closed"])
def test_another_process_waits_for_the_end_of_the_one_that_holds_the_lock(tmp_path, told, end):
    file = tmp_path / "sub" / "w.lock"
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline().strip() == b"held"
        in_use = pytest.raises(LockedError, match=r"^w is in use by another process$")
        with in_use, exclusive_lock(file, wait=False):
            pass
        threading.Timer(0.1, holder.kill if end == "killed" else holder.stdin.close).start()
        with exclusive_lock(file):
            assert "Another process is using w; waiting for it." in told.text
    assert file.exists()  # another process may have it open
