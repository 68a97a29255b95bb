"""Strategy `last_stage`: starts where `frozen` ends, and trains on activations from the cache."""

import pytest
from support.tiny_task import train_frozen

import hubtune
from hubtune.errors import MachineError
from hubtune.inference.openvino_program import RequestRing
from hubtune.train.head_solver import HeadSolver

MODULE, DEFAULTS = "digitnet", {"strategy": "last_stage", "epochs": 3}
FAINT = {"each": 20, "validate": 6, "difference": 8}
NO_ROOM = r"least \d\.\d MB, .* of 48 .*may take 0\.\d MB: .*CACHE_SIZE=1GB, or"


@pytest.mark.slow
def test_it_is_never_worse_than_frozen_and_computes_nothing_twice(
    run, module, data, tmp_path, monkeypatch, count_images, told
):
    frozen = train_frozen(module, data, tmp_path / "frozen")
    monkeypatch.setattr(HeadSolver, "_search_ridge", None)  # the head is solved already
    trained = run("first")
    assert any("computes the activations: about " in message for message in told.messages)
    assert trained.validate.accuracy >= frozen.validate.accuracy
    assert trained.views == frozen.views
    model = hubtune.load_model(trained.path, engine="paddle")
    for name, reported in (("validate", trained.validate), ("test", trained.test)):
        metrics = model.evaluate(hubtune.ListDataset(data), name)
        assert metrics.accuracy == reported.accuracy
        # Activations are kept in half precision.
        assert metrics.loss == pytest.approx(reported.loss, abs=1e-2)
    computed = count_images(RequestRing)
    again = run("again")
    # The model is that of frozen, whose features are cached: what is left is the engine of the activations,
    # which computes an image to be checked.
    assert sum(computed) <= len(again.views)


def test_activations_without_room_in_the_cache_are_refused_before_they_are_computed(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(HeadSolver, "solve", None)
    (tmp_path / "file").touch()
    for size, home, message in (
        ("0", tmp_path / "new", NO_ROOM),
        ("50kB", tmp_path / "new", NO_ROOM),
        ("1GB", tmp_path / "file" / "home", "the cache cannot be written .*: set HUBTUNE_HOME"),
    ):
        monkeypatch.setenv("HUBTUNE_CACHE_SIZE", size)
        monkeypatch.setenv("HUBTUNE_HOME", str(home))
        with pytest.raises(MachineError, match=message):
            run()
        assert not (tmp_path / "run" / "best_model").exists()
