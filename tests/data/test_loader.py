"""Loading ahead: in order, without loss, and without hanging."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.waiting import HANG_SECONDS, hang_guard, wait_for

from hubtune.data import loader
from hubtune.data.images.decode import ImageError
from hubtune.data.loader import load_batches
from hubtune.errors import MachineError

PATHS = [Path(f"{number}.jpg") for number in range(20)]
BATCHES = [[3, 1, 2], [0], [19, 18], [4, 5, 6, 7]]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    # Those of other tests, whose errors pytest keeps with all that they refer to, are none of ours.
    before = set(threading.enumerate())
    yield
    wait_for(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("hubtune-")])


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order_and_an_unreadable_image_is_named_and_not_replaced(workers):
    def slow_at_first(index):
        time.sleep(0.02 if index % 2 else 0)
        if index in (1, 0):
            raise ImageError(PATHS[index], "empty file (0 bytes)")
        return f"image {index}"

    got = list(load_batches(PATHS, BATCHES, slow_at_first, workers=workers))
    good = [[3, 2], [], [19, 18], [4, 5, 6, 7]]
    assert [batch.indices for batch in got] == good
    assert [batch.arrays for batch in got] == [[f"image {index}" for index in indices] for indices in good]
    bad = [{index: str(error) for index, error in batch.bad.items()} for batch in got]
    assert bad == [{1: "1.jpg: empty file (0 bytes)"}, {0: "0.jpg: empty file (0 bytes)"}, {}, {}]
    batches = iter(BATCHES * 5)
    loading = load_batches(PATHS, batches, int, workers=workers)
    next(loading)
    assert len(list(batches)) == 20 - 3  # only a few are loaded ahead
    loading.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            MemoryError(),
            r"a batch of \d+ pictures was loaded, at .*jpg.*: close other programs, or try a batch",
        ),
        (RuntimeError("broken"), r"jpg could not be loaded \(RuntimeError: broken\), twice"),
    ],
)
def test_other_errors_name_the_image(error, words):
    def prepare(index):
        raise error

    with pytest.raises(MachineError, match=words):
        next(load_batches(PATHS, BATCHES, prepare, workers=2))


def test_an_image_is_tried_once_more(caplog):
    tried = []

    def prepare(index):
        tried.append(index)
        if tried.count(4) == 1 and index == 4:
            raise RuntimeError("only once")
        return index

    with caplog.at_level("WARNING", "hubtune"):
        batches = list(load_batches(PATHS, BATCHES, prepare, workers=1))
    assert [batch.indices for batch in batches] == BATCHES
    assert caplog.messages == ["4.jpg could not be loaded (RuntimeError: only once): trying once more"]


def test_an_image_that_stalls_is_named_and_stopping_early_does_not_wait_for_it(monkeypatch):
    release = threading.Event()

    def prepare(index):
        if index == 18:
            release.wait(HANG_SECONDS)
        return index

    stopped, loading = (load_batches(PATHS, BATCHES, prepare, workers=2) for _ in range(2))
    with hang_guard():
        assert next(stopped).indices == BATCHES[0]
        stopped.close()
    assert [next(loading).indices, next(loading).indices] == BATCHES[:2]
    monkeypatch.setattr(loader, "STALL_SECONDS", 0.2)
    with pytest.raises(MachineError) as caught:
        next(loading)
    expected = "18.jpg did not load within 0 seconds: is its disk or network share reachable?"
    assert str(caught.value) == expected
    release.set()


def test_the_program_ends_although_an_image_still_stalls():
    program = """
import threading
from pathlib import Path
from hubtune.data import loader
from hubtune.errors import MachineError
loader.STALL_SECONDS = 0.1
try:
    next(loader.load_batches([Path("a")], [[0]], lambda index: threading.Event().wait(), workers=1))
except MachineError:
    print("stopped")
"""
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, text=True, timeout=HANG_SECONDS) == "stopped\n"
