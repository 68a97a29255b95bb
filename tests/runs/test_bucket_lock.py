"""One process holds a run's lock; others are refused, wait for an expired one, or notice that it is lost."""

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hubtune.errors import LockedError
from hubtune.runs import bucket_lock as module
from hubtune.runs.bucket_layout import LOCK
from hubtune.runs.bucket_lock import bucket_lock
from hubtune.storage.object_store import Conditions, ObjectStore

RACER = """
import sys, time
from pathlib import Path
from hubtune.errors import LockedError
from hubtune.runs import bucket_lock as module
from hubtune.storage.object_store import ObjectStore
module.RENEW_SECONDS, module._POLL_SECONDS = 0.2, 0.1
address, folder, start = sys.argv[1:]
time.sleep(max(0.0, float(start) - time.time()))
try:
    with module.bucket_lock(ObjectStore(address), Path(folder)):
        print("won", flush=True)
        time.sleep(4)
except LockedError:
    print("refused", flush=True)
"""


@pytest.fixture
def store(bucket, monkeypatch):
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.2)
    return ObjectStore(bucket.at("run"))


def test_a_second_process_is_refused_while_the_lock_is_renewed(store, tmp_path):
    with bucket_lock(store, tmp_path / "a") as lock:
        assert lock.is_exclusive
        with (
            pytest.raises(LockedError, match=r"in use by process \d+ on .*, or name another, -o run=") as e,
            bucket_lock(store, tmp_path / "b"),
        ):
            pass
        assert e.value.exit_code == 7 and not lock.lost
    assert store.list() == {}
    with bucket_lock(store, tmp_path / "b"):
        assert LOCK in store.list()


def _leave_lock(store, folder):
    """Leave a lock as a process that was killed does."""
    with bucket_lock(store, folder):
        content = store.get(LOCK)
    held = module.BucketLock(store, json.loads(content), store.put(LOCK, content), atomic=True)
    held._ended.set()
    held._thread.join()
    return held


def test_a_lock_that_was_left_is_taken_over_at_once_in_its_folder_and_elsewhere_when_it_expires(
    store, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "hubtune")
    waits = []
    held = _leave_lock(store, tmp_path / "a")
    with bucket_lock(store, tmp_path / "a", waits.append):
        assert not waits and not held.lost
    monkeypatch.setattr(module, "EXPIRES_SECONDS", 2.0)
    left = _leave_lock(store, tmp_path / "a")
    with bucket_lock(store, tmp_path / "b", lambda seconds: (waits.append(seconds), time.sleep(seconds))):
        assert waits and all(seconds <= 2 for seconds in waits)
        # Its owner was only slow, and notices.
        left._renew()
        assert left.lost and not left.is_exclusive
        left.release()
        assert LOCK in store.list()
    assert "was left by process" in caplog.text and "waiting up to" in caplog.text


def test_without_atomic_replacing_a_lost_lock_is_noticed_at_the_next_renewal(store, tmp_path, monkeypatch):
    monkeypatch.setattr(ObjectStore, "probe_conditions", lambda *_: Conditions(True, False))
    left = _leave_lock(store, tmp_path / "a")
    left._atomic = False
    with bucket_lock(store, tmp_path / "a") as lock:
        lock._renew()
        left._renew()
        assert left.lost and not lock.lost


def test_where_nothing_can_be_locked_it_is_said(store, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ObjectStore, "probe_conditions", lambda *_: Conditions(False, False))
    with bucket_lock(store, tmp_path) as lock:
        assert lock is None
    assert "cannot be locked" in caplog.text and store.list() == {}


@pytest.mark.slow
def test_of_several_processes_that_race_one_wins(store, tmp_path):
    script = tmp_path / "racer.py"
    script.write_text(RACER, encoding="utf-8")
    start = str(time.time() + 4)
    racers = [
        subprocess.Popen(
            [sys.executable, str(script), str(store.address), str(tmp_path / str(number)), start],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(module.__file__).parents[2],
        )
        for number in range(4)
    ]
    answers = sorted(racer.communicate(timeout=60)[0].strip() for racer in racers)
    assert answers == ["refused", "refused", "refused", "won"]
