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
from hubtune.train import frozen_head

MODULE, FAINT, DEFAULTS = "digitnet", {}, {"strategy": "frozen"}


@pytest.mark.parametrize(
    ("engine", "options"),
    [("openvino", {}), ("paddle", {"settings": {"views": 1}})],
    ids=["auto", "one"],
)
def test_the_model_on_disk_measures_from_pixels_what_the_run_reported(run, data, options, engine):
    trained = run(engine=engine, **options)
    _assert_measures_the_same(trained, data)


def _assert_measures_the_same(trained, data):
    model = hubtune.load_model(trained.path, engine="paddle")
    for name, reported in (("validate", trained.validate), ("test", trained.test)):
        metrics = model.evaluate(hubtune.ListDataset(data), name)
        assert 0 < metrics.accuracy <= 1
        assert metrics.accuracy == reported.accuracy
        assert metrics.loss == pytest.approx(reported.loss, abs=1e-5)
        assert metrics.loss > 0.01  # a loss of nothing would agree with any other
    return model


def test_the_model_on_disk_replays_every_view(run, data):
    trained = run(engine="openvino", settings={"views": 2}, fit="whole")
    model = _assert_measures_the_same(trained, data)
    assert [(view.mirror, view.fit) for view in model.card.views] == [(False, "whole"), (True, "whole")]
    path = hubtune.ListDataset(data).examples("test")[0].path
    [row] = model.predict([path])
    image = Image.open(path).convert("RGB")
    with paddle.no_grad():
        inputs = [paddle.to_tensor(view(image)[None]) for view in model.card.views]
        logits = [model.classifier(each)[0].numpy() for each in inputs]
    powers = np.exp(np.mean(logits, axis=0, dtype=np.float64))
    assert list(row.scores.values()) == pytest.approx(sorted(powers / powers.sum(), reverse=True), abs=1e-6)
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_cold_and_warm_runs_give_the_same_model_to_the_bit(run, tmp_path, monkeypatch):
    first = run("cold")
    # Nothing is computed the second time, not even the engine is started.
    with monkeypatch.context() as patch:
        patch.setattr("hubtune.inference.frozen_backbone.start_engine", None)
        warm = run("warm")
    assert weight_bytes(warm) == weight_bytes(first)
    assert (warm.test, warm.views) == (first.test, first.views)
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    assert weight_bytes(run("cold-again")) == weight_bytes(first)
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    assert weight_bytes(run("no-cache")) == weight_bytes(first)


def test_the_head_is_solved_and_the_backbone_left_as_it_is(module, run):
    trained = run()
    assert trained.best_step == 0
    assert not (trained.path / "checkpoints").exists()
    model = hubtune.load_model(trained.best_model)
    assert model.card.strategy == "frozen"
    before = module.network.state_dict()
    for name, values in weight_arrays(trained.best_model).items():
        if name.startswith("backbone."):
            assert np.array_equal(values, before[name.removeprefix("backbone.")].numpy()), name


def test_other_settings_and_other_images_give_another_head(run, data):
    one, two = (run(settings={"views": views}) for views in (1, 2))
    assert weight_bytes(one) != weight_bytes(two)
    victim = hubtune.ListDataset(data).examples("train")[0].path
    Image.open(victim).rotate(90).save(victim)
    assert weight_bytes(run(settings={"views": 1})) != weight_bytes(one)


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


def test_balance_helps_the_smaller_class(run, tmp_path):
    def tint(pixels, name):
        noise = np.random.default_rng(int(pixels.sum()) % 2**32).normal(0, 12)
        pixels[...] = np.clip(pixels + (8 if name == "rare" else -8) + noise, 0, 255)

    pics = draw_marked_tree(tmp_path / "data" / "pics", {"often": 100, "rare": 30}, tint)
    lists = write_lists(pics, validate=2, test=20)
    test = [each.path for each in hubtune.ListDataset(lists).examples("test") if "rare" in str(each.path)]

    def recall(balance):
        trained = run(balance, lists=lists, settings={"views": 1}, balance=balance)
        return np.mean([row.label == "rare" for row in hubtune.load_model(trained.path).predict(test)])

    assert recall("weights") > recall("none")


@pytest.mark.parametrize(("waited", "expected"), [(0.9, True), (0.1, False)])
def test_an_engine_that_waits_for_images_is_reported(run, monkeypatch, told, waited, expected):
    for name, seconds in (("seconds", 10.0), ("idle_seconds", 10.0 * waited)):
        fixed = property(lambda self, seconds=seconds: seconds, lambda *_: None)
        monkeypatch.setattr(frozen_head.FrozenBackbone, name, fixed, raising=False)
    run(settings={"views": 1}, engine="paddle")
    assert any(message.startswith("waited for pictures ") for message in told.messages) == expected


def test_unreadable_training_images_are_named_in_cold_and_warm_runs(run, data):
    victim = hubtune.ListDataset(data).examples("train")[3].path
    victim.write_bytes(victim.read_bytes()[:-300])  # its header is whole
    expected = [{"list": "train", "path": str(victim), "reason": "damaged picture (the file ends too early)"}]
    for name in ("cold", "warm"):
        trained = run(name, max_bad="10%")
        assert list(csv.DictReader((trained.path / "skipped.csv").open())) == expected, name


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


@pytest.mark.parametrize(
    "settings",
    [{"views": 3}, {"views": 0}, {"budget": -1}, {"budget": math.nan}, {"folds": 1}, {"epochs": 3}],
    ids=str,
)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        hubtune.FrozenStrategy(**settings)


def test_an_engine_that_is_not_available_is_refused_before_anything_is_computed(run):
    with pytest.raises(hubtune.MachineError, match="Mixed precision needs a GPU"):
        run(engine="paddle-amp")
    with pytest.raises(hubtune.UsageError, match=r"engine: Input should be 'auto', .*, not 'tensorrt'$"):
        hubtune.RunConfig(engine="tensorrt")
