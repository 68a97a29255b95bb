"""A run is copied as it goes: nothing half, nothing lost, and training neither waits nor fails."""

import json
import logging
import shutil
import threading
import time

import pytest
from support.bucket_runs import write_run
from support.object_service import CANARY, FaultyProxy, use_endpoint

from hubtune.errors import LockedError, MachineError
from hubtune.runs import publisher as module
from hubtune.runs.bucket_layout import LOCK, POINTER, checkpoints_in, models_in
from hubtune.runs.bucket_lock import bucket_lock
from hubtune.runs.publisher import Publisher, publishing
from hubtune.storage import object_store
from hubtune.storage.checked_folder import write_checked
from hubtune.storage.object_store import ObjectStore


@pytest.fixture
def store(bucket):
    return ObjectStore(bucket.at("x"))


@pytest.fixture
def quick(monkeypatch):
    for name in ("_POLL_SECONDS", "_FILES_SECONDS", "_RETRY_SECONDS"):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(object_store, "_ATTEMPTS", 1)


def record_puts(monkeypatch, names):
    put = ObjectStore.put

    def recording(self, name, body):
        names.append(name)
        return put(self, name, body)

    monkeypatch.setattr(ObjectStore, "put", recording)


def test_two_checkpoints_one_model_and_the_files_are_kept(store, tmp_path):
    with bucket_lock(store, tmp_path) as lock:
        publisher = Publisher(store, tmp_path, lock)
        for step in (1, 2, 3, 4):
            write_run(tmp_path, step, finished=step == 4)
            publisher.publish(last=step == 4)
        names = store.list()
    steps = [(each.step, each.complete) for each in checkpoints_in(names)]
    assert steps == [(4, True), (3, True)]
    assert [json.loads(store.get(POINTER))["folder"]] == [*models_in(names)]
    files = {name for name in names if "/" not in name}
    assert files == {"recipe.yaml", "manifest.json", "metrics.jsonl", "result.json", POINTER, LOCK}
    assert store.get("metrics.jsonl").count(b"\n") == 4 and store.get("lists/train_list.txt") == b"a 0\n"


def test_a_checkpoint_comes_after_what_it_refers_to_and_the_result_last(store, tmp_path, monkeypatch):
    order = []
    record_puts(monkeypatch, order)
    Publisher(store, write_run(tmp_path / "run", finished=True), None).publish(last=True)
    kinds = [name.partition("-0")[0] for name in order]
    at = {kind: kinds.index(kind) for kind in kinds}
    assert at["metrics.jsonl"] < at["recipe.yaml"] < at["best_model"] < at[POINTER] < at["checkpoints/step"]
    assert order[-1] == "result.json" and order[-2].endswith("/manifest.json")


def test_nothing_is_copied_twice_also_by_the_next_process(store, tmp_path, monkeypatch):
    run = write_run(tmp_path / "run")
    first = Publisher(store, run, None)
    first.publish(last=True)
    puts = []
    record_puts(monkeypatch, puts)
    first.publish(last=True)
    assert puts == []
    following = Publisher(store, run, None)
    following.recall()
    following.publish(last=True)
    assert not [name for name in puts if name.startswith("checkpoints/")]


def test_remains_of_killed_writers_and_later_steps_of_a_given_up_course_are_removed(store, tmp_path):
    store.put("checkpoints/step-00000002-00000000/state.json", b"half")
    for part in ("state.json", "manifest.json"):
        store.put(f"checkpoints/step-00000009-00000000/{part}", b"later")
    with bucket_lock(store, tmp_path) as lock:
        Publisher(store, write_run(tmp_path / "run", 3), lock).publish()
    assert [each.step for each in checkpoints_in(store.list())] == [3]


def test_candidates_for_the_average_come_and_go(store, tmp_path):
    run = write_run(tmp_path / "run")
    write_checked(run / "candidates" / "step-1", {"m": b"1"})
    publisher = Publisher(store, run, None)
    publisher.publish()
    assert store.get("candidates/step-1/m") == b"1"
    shutil.rmtree(run / "candidates")
    write_run(run, 2)
    publisher.publish()
    assert not store.list("candidates/")


def test_a_run_is_copied_in_the_background_and_the_rest_at_the_end(bucket, tmp_path, quick):
    run = write_run(tmp_path / "run")
    with publishing(bucket.at("x"), run):
        deadline = time.monotonic() + 20
        while not checkpoints_in(ObjectStore(bucket.at("x")).list()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        write_run(run, 2, finished=True)
    names = ObjectStore(bucket.at("x")).list()
    assert checkpoints_in(names)[0].step == 2 and "result.json" in names and LOCK not in names
    with publishing(None, run):
        pass


@pytest.mark.slow
def test_an_outage_delays_nothing_and_is_reported_at_the_end_with_the_folder(
    bucket, moto_endpoint, tmp_path, quick, monkeypatch, caplog
):
    run, is_out = write_run(tmp_path / "run"), threading.Event()
    with FaultyProxy(moto_endpoint, lambda *_: "reset" if is_out.is_set() else None) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        with (
            pytest.raises(MachineError, match=r"is complete in .*run, but not in s3://.*run --resume"),
            publishing(bucket.at("x"), run),
        ):
            is_out.set()
            write_run(run, 2, finished=True)
            deadline = time.monotonic() + 30
            while "training continues, and tries again" not in caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        is_out.clear()
        with publishing(bucket.at("x"), run):
            pass
        assert "result.json" in ObjectStore(bucket.at("x")).list()


def test_an_error_of_training_is_not_replaced(bucket, tmp_path, quick, monkeypatch, caplog):
    run = write_run(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), publishing(bucket.at("x"), run):
        monkeypatch.setattr(Publisher, "publish", _raise)
        raise ZeroDivisionError
    assert "does not have all of" in caplog.text and CANARY not in caplog.text


def _raise(self, *, last=False):
    raise MachineError("the network is gone")


def test_a_run_that_was_taken_over_is_left_alone(bucket, tmp_path, quick, caplog):
    caplog.set_level(logging.WARNING, "hubtune")
    run = write_run(tmp_path / "run")
    store = ObjectStore(bucket.at("x"))
    with bucket_lock(store, run) as lock:
        lock.lost = True
        with pytest.raises(LockedError, match="was taken over by another process"):
            Publisher(store, run, lock).publish(last=True)
        assert set(store.list()) == {LOCK}
        lock.lost = False
