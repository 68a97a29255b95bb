"""The `frozen` strategy: the model replays what the run measured, and a run can be repeated and stopped."""

import csv
import math

import numpy as np
import paddle
import pytest
from PIL import Image
from support.callbacks import AtAdvance, press_ctrl_c
from support.images import draw_marked_tree
from support.split_folder import write_lists
from support.tiny_task import weight_arrays, weight_bytes

import hubtune
from hubtune.errors import StoppedError
from hubtune.inference import engine as engines
from hubtune.train import head_solver

MODULE, FAINT, DEFAULTS = "digitnet", {}, {"strategy": "frozen"}


def _mark(pixels, name):
    pixels[:, : pixels.shape[1] // 2] = (230, 30, 30) if name == "a" else (30, 30, 230)


@pytest.mark.parametrize(
    ("views", "options"),
    [(None, {"engine": "openvino"}), (1, {"engine": "paddle"}), (2, {"engine": "openvino", "fit": "whole"})],
)
def test_the_model_on_disk_measures_from_pixels_what_the_run_reported(run, module, data, views, options):
    trained = run(settings={"views": views} if views else None, **options)
    assert trained.best_step == 0
    assert not (trained.path / "checkpoints").exists()
    model = hubtune.load_model(trained.path, engine="paddle")
    assert model.card.strategy == "frozen"
    for name, reported in (("validate", trained.validate), ("test", trained.test)):
        metrics = model.evaluate(hubtune.ListDataset(data), name)
        assert 0 < metrics.accuracy <= 1
        assert metrics.accuracy == reported.accuracy
        assert metrics.loss == pytest.approx(reported.loss, abs=1e-5)
        assert metrics.loss > 0.01  # a loss of nothing would agree with any other
    # The scores are those of the mean of the logits of all views.
    path = hubtune.ListDataset(data).examples("test")[0].path
    [row] = model.predict([path])
    image = Image.open(path).convert("RGB")
    with paddle.no_grad():
        inputs = [paddle.to_tensor(view(image)[None]) for view in model.card.views]
        logits = [model.classifier(each)[0].numpy() for each in inputs]
    powers = np.exp(np.mean(logits, axis=0, dtype=np.float64))
    assert list(row.scores.values()) == pytest.approx(sorted(powers / powers.sum(), reverse=True), abs=1e-6)
    if views == 2:
        assert [(view.mirror, view.fit) for view in model.card.views] == [(False, "whole"), (True, "whole")]
        assert np.abs(logits[0] - logits[1]).max() > 1e-4
    # Nothing but the head is trained.
    before = module.network.state_dict()
    for name, values in weight_arrays(trained.best_model).items():
        if name.startswith("backbone."):
            assert np.array_equal(values, before[name.removeprefix("backbone.")].numpy()), name


@pytest.mark.slow
def test_cold_and_warm_runs_give_the_same_model_to_the_bit_and_name_the_same_images(
    run, data, tmp_path, monkeypatch
):
    victim = hubtune.ListDataset(data).examples("train")[3].path
    victim.write_bytes(victim.read_bytes()[:-300])
    bad = [{"list": "train", "path": str(victim), "reason": "damaged picture (the file ends too early)"}]
    first = run("cold", max_bad="10%")
    # Nothing is computed the second time, not even the engine is started.
    with monkeypatch.context() as patch:
        patch.setattr("hubtune.inference.frozen_backbone.start_engine", None)
        warm = run("warm", max_bad="10%")
    assert (warm.test, warm.views) == (first.test, first.views)
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    again = run("cold-again", max_bad="10%")
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    for trained in (first, warm, again, run("no-cache", max_bad="10%")):
        assert weight_bytes(trained) == weight_bytes(first)
        assert list(csv.DictReader((trained.path / "skipped.csv").open())) == bad, trained.path
    fine = hubtune.ListDataset(data).examples("train")[0].path
    Image.open(fine).rotate(90).save(fine)
    assert weight_bytes(run("rotated", max_bad="10%")) != weight_bytes(first)


@pytest.mark.parametrize(
    ("seeds", "each"), [(range(2), 40), pytest.param(range(12), 80, marks=pytest.mark.slow)]
)
def test_labels_without_meaning_are_reported_as_chance(run, tmp_path, seeds, each):
    right = total = 0
    for seed in seeds:
        pics = tmp_path / f"{seed}" / "pics"
        draw_marked_tree(pics, {"a": each, "b": each}, lambda *_: None, seed=seed)
        trained = run(f"run-{seed}", lists=write_lists(pics, validate=2, test=each // 2))
        right += round(trained.test.accuracy * trained.test.count)
        total += trained.test.count
    assert total == len(seeds) * each
    # By chance, 1 in 10,000 fails.
    assert abs(right - total / 2) <= 3.9 * math.sqrt(total / 4)


@pytest.mark.parametrize("images", [pytest.param(1_000, marks=pytest.mark.slow), 60])
def test_ctrl_c_leaves_the_model_of_the_images_so_far_and_a_resumed_run_uses_all(
    run, tmp_path, monkeypatch, images
):
    monkeypatch.setattr(head_solver, "_MOST_EXACT", images)
    monkeypatch.setattr(head_solver, "_SPANNING", 30)
    lists = write_lists(draw_marked_tree(tmp_path / "two" / "pics", {"a": 50, "b": 50}, _mark))
    with pytest.raises(
        StoppedError, match=r"^Stopped after \d\d of 84 training pictures; the head of"
    ) as stop:
        run(callback=AtAdvance(50, press_ctrl_c), lists=lists, batch_size=4)
    assert stop.value.exit_code == 130
    del stop
    few = hubtune.load_model(tmp_path / "run")
    paths = [example.path for example in hubtune.ListDataset(lists).examples("test")]
    assert [row.label for row in few.predict(paths)] == [path.parent.name for path in paths]
    partial = weight_arrays(tmp_path / "run" / "best_model")
    resumed = run(resume=True, lists=lists, batch_size=4)
    whole = run("whole", lists=lists, batch_size=4)
    assert weight_bytes(resumed) == weight_bytes(whole)
    assert any(
        not np.array_equal(values, partial[name]) for name, values in weight_arrays(whole.best_model).items()
    )


def test_ctrl_c_before_there_is_a_second_class_leaves_no_model(run, tmp_path):
    with pytest.raises(StoppedError, match="Stopped before the head was solved"):
        run(callback=AtAdvance(1, press_ctrl_c))
    assert not (tmp_path / "run" / "best_model").exists()


def test_a_stopped_run_continues_without_computing_anything_twice(run, tmp_path, monkeypatch, count_images):
    computed = count_images(engines._Paddle)
    lists = write_lists(draw_marked_tree(tmp_path / "two" / "pics", {"a": 50, "b": 50}, lambda *_: None))
    options = {"lists": lists, "batch_size": 4, "engine": "paddle", "settings": {"views": 1}}
    with pytest.raises(StoppedError) as stopped:
        run(callback=AtAdvance(50, press_ctrl_c), **options)
    assert stopped.value.exit_code == 130
    del stopped  # its frames would hold the last features back, which are written when they end
    assert not (tmp_path / "run" / "result.json").exists()
    assert 50 <= sum(computed) <= 60  # of 84 training images
    resumed = run(resume=True, **options)
    assert resumed.path == tmp_path / "run"
    assert 100 <= sum(computed) <= 104  # but for a batch that was being computed
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    assert weight_bytes(resumed) == weight_bytes(run("at-once", **options))


def test_settings_without_meaning_and_an_engine_that_is_not_available_are_refused(run):
    for name, value in (("views", 3), ("budget", -1), ("budget", math.nan), ("folds", 1), ("epochs", 3)):
        with pytest.raises(ValueError, match=name):
            hubtune.FrozenStrategy(**{name: value})
    with pytest.raises(hubtune.MachineError, match="Mixed precision needs a GPU"):
        run(engine="paddle-amp")
    with pytest.raises(hubtune.UsageError, match=r"engine: Input should be 'auto', .*, not 'tensorrt'$"):
        hubtune.RunConfig(engine="tensorrt")
