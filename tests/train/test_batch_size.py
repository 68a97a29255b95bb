"""Batches of `auto` size, and batches that memory does not hold at once."""

import json

import numpy as np
import pytest
from support.callbacks import AtStep, Recorder, request_stop
from support.tiny_task import weight_arrays, weight_bytes

import hubtune
from hubtune.errors import MachineError, StoppedError
from hubtune.models.classifier import Classifier
from hubtune.train.optimizer import Optimizer


@pytest.mark.slow
def test_auto_is_thirty_two_and_smaller_parts_where_memory_is_short(run, monkeypatch, told):
    def weights_of(name, batch_size):
        options = {"batch_norm": "keep", "learning_rate": 1e-3, "batch_size": batch_size}
        return weight_arrays(run(name, **options).best_model)

    expected, auto = weights_of("32", 32), weights_of("auto", "auto")
    assert all(np.array_equal(values, auto[name]) for name, values in expected.items())
    monkeypatch.setattr("hubtune.train.batch_size.free_bytes", lambda **_: 3_000_000)
    told.clear()
    parts = weights_of("parts", "auto")
    assert "batch_size: 32, " in told.text and "32 at once" not in told.text
    for name, values in expected.items():
        np.testing.assert_allclose(values, parts[name], atol=1e-5)


class Device:
    """Memory for few images at once: more raise Paddle's error, after the first passes of so many."""

    text = "ResourceExhaustedError: Out of memory error on GPU 0. Cannot allocate 1.0GB"

    def __init__(self, monkeypatch, images, *, first=0, error=MemoryError, in_backward=False):
        self.passes, self.failed, forward = 0, 0, Classifier.training_logits

        def run(classifier, batch):
            logits = forward(classifier, batch)
            if len(batch) <= images:
                return logits
            self.passes += 1
            if self.passes <= first:
                return logits
            self.failed += 1
            if not in_backward:
                raise error(self.text)
            (logits * 0).sum().backward()  # leaves gradients and statistics behind
            raise error(self.text)

        monkeypatch.setattr(Classifier, "training_logits", run)


EVERYTHING = {"dropout": 0.3, "batch_norm": "update", "ema": 0.9, "augment": {"mixup": 0.2}, "epochs": 3}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, EVERYTHING, {"shards": 2, "epochs": 1}], ids=["", "all", "shards"])
@pytest.mark.parametrize("in_backward", [False, True])
def test_a_run_that_memory_fails_at_first_is_that_of_the_parts_that_fit(
    run, monkeypatch, told, options, in_backward
):
    """However often it failed: here once with 16 at once, or twice, with 16 and 8."""
    first = 8 if "shards" in options else 16
    for images in (first // 2, first // 4):
        with monkeypatch.context() as patch:
            expected = run(f"parts-{images}", **options, batch_size=16, micro_batch=images)
            patch.setattr(hubtune.RunConfig, "images_per_step", 16)
            told.clear()
            device = Device(patch, images, in_backward=in_backward)
            found = run(f"auto-{images}", **options, batch_size="auto")
        assert device.failed == {first // 2: 1, first // 4: 2}[images]
        assert weight_bytes(found) == weight_bytes(expected)
        assert f"Memory ran out in step 1 with {2 * images} pictures at once" in told.text
        assert f"from here on, {images} are computed at once" in told.text
        assert json.loads((found.path / "manifest.json").read_text())["micro_batch"] == [[0, images]]


@pytest.mark.parametrize("error", [MemoryError, OSError, RuntimeError])
def test_a_step_that_memory_fails_later_is_made_again_without_a_trace(run, monkeypatch, told, error):
    monkeypatch.setattr(hubtune.RunConfig, "images_per_step", 8)
    options = {"batch_norm": "keep", "batch_size": "auto", "epochs": 3}
    steps = Recorder()
    whole = run("whole", callback=steps, **options)
    with monkeypatch.context() as patch:
        device = Device(patch, 4, first=4, error=error, in_backward=True)
        again = Recorder()
        parts = run("parts", callback=again, **options)
    assert device.failed == 1 and told.text.count("Memory ran out in step 5 with 8 pictures at once") == 1
    assert json.loads((parts.path / "manifest.json").read_text())["micro_batch"] == [[0, 8], [4, 4]]
    assert [call.positional for call in again.of("stepped")] == [
        call.positional for call in steps.of("stepped")
    ]
    expected, found = weight_arrays(whole.best_model), weight_arrays(parts.best_model)
    for name, values in expected.items():
        np.testing.assert_allclose(values, found[name], atol=1e-5)


@pytest.mark.slow
def test_a_resumed_run_computes_each_step_in_the_parts_that_it_had(run, monkeypatch):
    monkeypatch.setattr(hubtune.RunConfig, "images_per_step", 8)
    options = {
        "batch_norm": "update",
        "batch_size": "auto",
        "epochs": 3,
        "save_ckpt_interval": 2,
        "keep": "all",
    }

    def fail(name, **more):
        with monkeypatch.context() as patch:
            Device(patch, 4, first=3)
            return run(name, **options, **more)

    whole = fail("whole")
    with pytest.raises(StoppedError):
        fail("stopped", callback=AtStep(6, request_stop))
    # From a checkpoint before the step that failed; memory does not run out this time.
    resumed = run("stopped", resume=True, checkpoint=2, **options)
    assert weight_bytes(resumed) == weight_bytes(whole)


def test_it_gives_up_with_one_image_and_where_the_parts_are_given(run, monkeypatch, told):
    monkeypatch.setattr(hubtune.RunConfig, "images_per_step", 8)
    Device(monkeypatch, 0)
    with pytest.raises(MachineError, match="does not hold a batch of 1 pictures of 32 × 32 pixels"):
        run("one", batch_size="auto")
    assert told.text.count("Memory ran out") == 3  # with 8, 4 and 2
    for name, options in (("size", {"batch_size": 8}), ("parts", {"batch_size": "auto", "micro_batch": 8})):
        told.clear()
        with pytest.raises(MachineError, match="does not hold a batch of 8 pictures of 32 × 32 pixels"):
            run(name, **options)
        assert "Memory ran out" not in told.text


def test_other_errors_are_not_tried_again(run, monkeypatch, told):
    Device(monkeypatch, 0, error=ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        run("other", batch_size="auto")
    assert "Memory ran out" not in told.text


def test_the_first_step_leaves_room_for_what_its_update_takes(run, monkeypatch):
    """Otherwise the second one would fail, and the first would be that of other parts."""
    monkeypatch.setattr(Optimizer, "moment_bytes", 10**15)
    steps = Recorder()
    with pytest.raises(MachineError, match="does not hold a batch of 1 pictures"):
        run("room", batch_size="auto", callback=steps)
    assert not steps.of("stepped")
