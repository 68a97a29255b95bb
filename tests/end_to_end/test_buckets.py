"""Runs in buckets through kills, a bad network and the command line; keys end up in no file."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.bucket_writer import content_of
from support.callbacks import AtStep, request_stop
from support.object_service import CANARY, FaultyProxy, objects_in, random_faults, use_endpoint
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, weight_bytes

import hubtune
from hubtune.runs import publisher
from hubtune.runs.bucket_run import fetch_run, folder_for
from hubtune.storage.checked_folder import integrity_error
from hubtune.storage.object_store import MissingObjectError

PROJECT = Path(hubtune.__file__).parents[1]
RECIPE = """\
data: {{base: {base}}}
module: {{name: smallnet, weights: none}}
train: {{epochs: 1, batch_size: 8}}
"""
WRITER = PROJECT / "tests" / "support" / "bucket_writer.py"


class Reader:
    """Fetches a run again and again, as other machines do, and checks what it gets."""

    def __init__(self, address, folder):
        self.address, self.folder, self.steps, self.errors = address, folder, [0], []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._read)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _read(self):
        number = 0
        while not self.ended.wait(0.05):
            number += 1
            try:
                self.read(self.folder / str(number))
            except hubtune.HubtuneError as error:
                if "There is no run" not in str(error):
                    self.errors.append(str(error))
            except (AssertionError, MissingObjectError) as error:
                self.errors.append(repr(error))

    def read(self, place):
        fetch_run(self.address, place)
        found = [*(place / "checkpoints").glob("step-*")]
        assert len(found) <= 1
        for folder in found:
            step = int(folder.name[5:])
            assert integrity_error(folder) is None, folder
            content = content_of(step)
            assert all((folder / name).read_bytes() == content[name] for name in content), folder
            assert step >= self.steps[-1], (step, self.steps[-1])
            self.steps.append(step)


def _kill_writers(address, folder, kills, proxy, seed=0):
    """Start writers one after another, and kill each: at a random time, or in the middle of an upload."""
    source = random.Random(seed)
    for number in range(kills):
        writer = subprocess.Popen(
            [sys.executable, str(WRITER), address, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        assert writer.stdout.readline(), "the writer ended by itself"
        if number % 2:
            time.sleep(source.uniform(0, 0.5))
            writer.kill()
        else:
            proxy.kill_in_put(source.randint(1, 12), writer.pid)
        assert writer.wait(60) == -signal.SIGKILL
        writer.stdout.close()


class KillingProxy(FaultyProxy):
    """Fails a share of all requests, and kills a writer when so many of its uploads have begun."""

    def __init__(self, endpoint, share):
        super().__init__(endpoint, self._fault)
        self._random, self._left, self._pid = random_faults(share, seed=3), 0, None

    def kill_in_put(self, count, pid):
        self._left, self._pid = count, pid

    def _fault(self, method, path, number):
        if self._pid is not None and method == "PUT" and "lock" not in path:
            self._left -= 1
            if self._left <= 0:
                os.kill(self._pid, signal.SIGKILL)
                self._pid = None
                return "cut"
        return self._random(method, path, number)


@pytest.mark.parametrize(
    "kills", [6, pytest.param(int(os.environ.get("HUBTUNE_TEST_KILLS", "30")), marks=pytest.mark.slow)]
)
def test_killed_writers_and_a_bad_network_leave_no_half_checkpoint_and_steps_never_go_back(
    bucket, moto_endpoint, tmp_path, monkeypatch, kills
):
    address = bucket.at("runs/x")
    with KillingProxy(moto_endpoint, 0.05) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        with Reader(address, tmp_path / "reader") as reader:
            _kill_writers(address, tmp_path / "writer", kills, proxy)
        reader.read(tmp_path / "last")
        assert reader.errors == [] and proxy.faults > kills
    # On a busy machine, each of few writers may be killed before it has written a whole checkpoint.
    assert kills < 30 or (len(reader.steps) > 3 and reader.steps[-1] >= kills // 4)


@pytest.fixture(scope="module")
def split_folder(tmp_path_factory):
    return draw_split(tmp_path_factory.mktemp("data"), dict.fromkeys("abc", 16))


@pytest.mark.slow
def test_a_run_that_was_stopped_continues_on_another_machine_with_the_same_weights(
    bucket, tmp_path, split_folder, monkeypatch
):
    """The other machine has the lists, and nothing of the run."""
    undisturbed = train(smallnet(), split_folder, tmp_path / "whole")
    address = bucket.at("runs/x")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with pytest.raises(hubtune.errors.StoppedError):
        train(smallnet(), split_folder, address, callback=AtStep(3, request_stop))
    monkeypatch.chdir(tmp_path / "two")
    resumed = train(smallnet(), split_folder, address, resume=True)
    assert resumed.path == folder_for(address)
    assert weight_bytes(resumed) == weight_bytes(undisturbed)
    fetched = hubtune.load_model(address)
    assert (fetched.folder / "model.safetensors").read_bytes() == weight_bytes(undisturbed)


def test_keys_are_in_no_file_of_run_cache_and_bucket(bucket, tmp_path, split_folder, monkeypatch, run_here):
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format(base=split_folder) + f"run: {bucket.at('runs/x')}\n", encoding="utf-8")
    done = run_here("finetune", str(recipe))
    assert done.returncode == 0 and bucket.at("runs/x") in done.stdout, done.stderr
    image = next(split_folder.rglob("*.png"), None) or next(split_folder.rglob("*.jpg"))
    predicted = run_here("predict", str(image), "--model", bucket.at("runs/x"))
    assert predicted.returncode == 0, predicted.stderr
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    failed = run_here("predict", str(image), "--model", bucket.at("runs/x"))
    assert failed.returncode == 5 and "Traceback" not in failed.stderr
    texts = [text.encode() for run in (done, predicted, failed) for text in (run.stdout, run.stderr)]
    files = [path for top in (tmp_path, Path(os.environ["HUBTUNE_HOME"])) for path in top.rglob("*")]
    contents = [path.read_bytes() for path in files if path.is_file()]
    objects = objects_in(bucket.client, bucket.name)
    assert len(contents) > 20 and len(objects) > 5
    assert not [text for text in (*texts, *contents, *objects.values()) if CANARY.encode() in text]


@pytest.mark.slow
def test_keys_that_expire_end_no_training_and_the_rest_is_copied_by_resuming(
    bucket, moto_endpoint, tmp_path, split_folder, monkeypatch, run_here
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publisher, "_POLL_SECONDS", 0.05)
    (tmp_path / "r.yaml").write_text(RECIPE.format(base=split_folder), encoding="utf-8")
    command = ("finetune", "r.yaml", "-o", f"run={bucket.at('runs/x')}")
    with FaultyProxy(moto_endpoint, lambda *_: None) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        proxy.fault = lambda method, path, number: "expired" if number > 12 else None
        failed = run_here(*command)
        assert failed.returncode == 5 and "Traceback" not in failed.stderr, failed.stderr
        assert "The run is complete in runs" in failed.stderr and "have expired: renew AWS_" in failed.stderr
        proxy.fault = lambda *_: None
        done = run_here(*command, "--resume")
        assert done.returncode == 0, done.stderr
    names = {key.rpartition("/")[2] for key in objects_in(bucket.client, bucket.name)}
    assert {"result.json", "recipe.yaml", "best_model.json"} <= names and "lock.json" not in names
