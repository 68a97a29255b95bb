"""The engine's thread: what arrives meanwhile runs together, and a failure stays with its image."""

import threading
from concurrent.futures import Future

import numpy as np
import pytest

from hubtune.serve.engine_queue import EngineQueue


class FakeModel:
    """Rows are the arrays themselves; an array of -1 fails in its batch, one of -2 by itself, too."""

    def __init__(self):
        self.gate, self.batches, self.threads = threading.Event(), [], set()

    def begin(self, arrays):
        self.batches.append(len(arrays))
        self.threads.add(threading.get_ident())
        values = [int(array[0]) for array in arrays]
        if (-1 in values and len(values) > 1) or -2 in values:
            raise RuntimeError("of an engine")

        def wait():
            self.gate.wait(60)
            return [array.copy() for array in arrays]

        return wait


@pytest.fixture
def queue():
    queue = EngineQueue()
    yield queue
    queue.stop()
    assert not queue.is_alive


def put(queue, model, value, finish=lambda rows: int(rows[0][0])):
    future = Future()
    queue.run(model, [np.array([value])], finish, future)
    return future


def test_what_arrives_while_the_engine_works_runs_together(queue):
    model = FakeModel()
    first = put(queue, model, 0)
    while not model.batches:
        pass
    others = [put(queue, model, value) for value in range(1, 20)]
    model.gate.set()
    assert [future.result(60) for future in [first, *others]] == [*range(20)]
    assert model.batches[0] == 1 and max(model.batches) == 8
    assert len(model.threads) == 1


def test_a_failure_stays_with_its_image_and_the_thread_goes_on(queue):
    model = FakeModel()
    model.gate.set()
    hold = threading.Event()
    waiting = queue.call(lambda: hold.wait(60))
    futures = [put(queue, model, value) for value in (1, -1, -2, 4)]
    broken = put(queue, model, 5, lambda rows: 1 / 0)
    hold.set()
    assert waiting.result(60) is True
    assert [futures[number].result(60) for number in (0, 1, 3)] == [1, -1, 4]
    with pytest.raises(RuntimeError, match="of an engine"):
        futures[2].result(60)
    with pytest.raises(ZeroDivisionError):
        broken.result(60)
    with pytest.raises(KeyError):
        queue.call(lambda: {}["x"]).result(60)
    assert put(queue, model, 7).result(60) == 7


def test_images_of_several_models_and_calls_keep_apart(queue):
    models, seen = [FakeModel(), FakeModel()], []
    for model in models:
        model.gate.set()
    futures = [put(queue, models[number % 2], number) for number in range(10)]
    called = queue.call(lambda: seen.append([sum(model.batches) for model in models]))
    later = put(queue, models[0], 10)
    called.result(60)
    assert [future.result(60) for future in futures] == [*range(10)]
    assert later.result(60) == 10 and seen == [[5, 5]]


def test_stopping_answers_what_waits():
    queue, model = EngineQueue(), FakeModel()
    model.gate.set()
    futures = [put(queue, model, value) for value in range(30)]
    queue.stop()
    assert [future.result(0) for future in futures] == [*range(30)]
