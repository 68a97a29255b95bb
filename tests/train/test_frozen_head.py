"""The `frozen` strategy: the model replays what the run measured, and a run can be repeated and stopped."""

import csv
import json
import math

import numpy as np
import paddle
import pytest
from PIL import Image
from support.callbacks import AtAdvance, press_ctrl_c
from support.images import draw_marked_tree
from support.split_folder import draw_faint_split, draw_split, write_lists
from support.tiny_task import train_frozen, weight_arrays, weight_bytes

import hubtune
from hubtune.errors import StoppedError
from hubtune.inference import engine as engines
from hubtune.train import frozen_head


@pytest.fixture
def data(tmp_path):
    return draw_faint_split(tmp_path / "data")


@pytest.fixture(scope="module")
def module():
    return hubtune.Module("digitnet")


@pytest.fixture
def run(module, tmp_path):
    """Trains ``frozen`` in a folder of its own."""

    def make(data, *, name="run", settings=None, **options):
        return train_frozen(module, data, tmp_path / name, settings=settings, **options)

    return make


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("openvino", {}),
        ("paddle", {"settings": {"views": 1}}),
        ("openvino", {"settings": {"views": 2}, "fit": "whole"}),
    ],
    ids=["auto", "one", "two"],
)
def test_the_model_on_disk_measures_from_pixels_what_the_run_reported(run, data, options, engine):
    trained = run(data, engine=engine, **options)
    result = json.loads((trained.path / "result.json").read_text())
    model = hubtune.load_model(trained.path, engine="paddle")
    for name in ("validate", "test"):
        metrics = model.evaluate(hubtune.ListDataset(data), name)
        assert 0 < metrics.accuracy <= 1
        assert metrics.accuracy == result[name]["accuracy"]
        assert metrics.loss == pytest.approx(result[name]["loss"], abs=1e-5)
        assert metrics.loss > 0.01  # a loss of nothing would agree with any other


def test_the_model_on_disk_replays_every_view(run, data):
    trained = run(data, settings={"views": 2}, fit="whole")
    model = hubtune.load_model(trained.path, engine="paddle")
    assert [view.mirror for view in model.card.views] == [False, True]
    assert {view.fit for view in model.card.views} == {"whole"}
    path = hubtune.ListDataset(data).examples("test")[0].path
    [row] = model.predict([path])
    with paddle.no_grad():
        logits = [
            model.classifier(paddle.to_tensor(view(Image.open(path).convert("RGB"))[None]))[0].numpy()
            for view in model.card.views
        ]
    powers = np.exp(np.mean(logits, axis=0, dtype=np.float64))
    assert list(row.scores.values()) == pytest.approx(sorted(powers / powers.sum(), reverse=True), abs=1e-6)
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_cold_and_warm_runs_give_the_same_model_to_the_bit(run, data, tmp_path, monkeypatch):
    first = run(data, name="cold")
    # Nothing is computed the second time, not even the engine is started.
    with monkeypatch.context() as patch:
        patch.setattr("hubtune.inference.frozen_backbone.start_engine", None)
        warm = run(data, name="warm")
    assert weight_bytes(warm) == weight_bytes(first)
    assert (warm.test, warm.views) == (first.test, first.views)
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    assert weight_bytes(run(data, name="cold-again")) == weight_bytes(first)
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    assert weight_bytes(run(data, name="no-cache")) == weight_bytes(first)


def test_the_head_is_solved_and_the_backbone_left_as_it_is(module, run, data):
    trained = run(data)
    assert trained.best_step == 0
    assert not (trained.path / "checkpoints").exists()
    model = hubtune.load_model(trained.best_model)
    assert model.card.strategy == "frozen"
    before = module.network.state_dict()
    for name, values in weight_arrays(trained.best_model).items():
        if name.startswith("backbone."):
            assert np.array_equal(values, before[name.removeprefix("backbone.")].numpy()), name


def test_two_classes_of_which_one_has_a_single_image_are_enough(run, tmp_path):
    trained = run(draw_split(tmp_path / "data", {"a": 12, "b": 1}))
    assert trained.validate.count == 4
    assert trained.validate.accuracy == 1.0


def test_other_settings_and_other_images_give_another_head(run, data):
    one = run(data, settings={"views": 1})
    two = run(data, settings={"views": 2})
    assert weight_bytes(one) != weight_bytes(two)
    victim = hubtune.ListDataset(data).examples("train")[0].path
    Image.open(victim).rotate(90).save(victim)
    assert weight_bytes(run(data, settings={"views": 1})) != weight_bytes(one)


@pytest.mark.parametrize(
    ("seeds", "each"), [(range(2), 40), pytest.param(range(12), 80, marks=pytest.mark.slow)]
)
def test_labels_without_meaning_are_reported_as_chance(run, tmp_path, seeds, each):
    right = total = 0
    for seed in seeds:
        pics = tmp_path / f"{seed}" / "pics"
        draw_marked_tree(pics, {"a": each, "b": each}, lambda *_: None, seed=seed)
        trained = run(write_lists(pics, validate=2, test=each // 2), name=f"run-{seed}")
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
    data = write_lists(pics, validate=2, test=20)
    lines = (data / "train_list.txt").read_text().splitlines(keepends=True)
    (data / "train_list.txt").write_text("".join(sorted(lines, key=lambda line: "rare" in line)))

    def recall(balance):
        trained = run(data, settings={"views": 1}, balance=balance, name=balance)
        test = [e.path for e in hubtune.ListDataset(data).examples("test") if "rare" in str(e.path)]
        return np.mean([row.label == "rare" for row in hubtune.load_model(trained.path).predict(test)])

    assert recall("weights") > recall("none")


@pytest.mark.parametrize(("waited", "expected"), [(0.9, True), (0.1, False)])
def test_an_engine_that_waits_for_images_is_reported(run, data, monkeypatch, told, waited, expected):
    for name, seconds in (("seconds", 10.0), ("idle_seconds", 10.0 * waited)):
        fixed = property(lambda self, seconds=seconds: seconds, lambda *_: None)
        monkeypatch.setattr(frozen_head.FrozenBackbone, name, fixed, raising=False)
    run(data, settings={"views": 1}, engine="paddle")
    assert any(message.startswith("waited for pictures ") for message in told.messages) == expected


def test_unreadable_training_images_are_named_in_cold_and_warm_runs(run, data):
    victim = hubtune.ListDataset(data).examples("train")[3].path
    victim.write_bytes(victim.read_bytes()[:-300])  # its header is whole
    expected = [{"list": "train", "path": str(victim), "reason": "damaged picture (the file ends too early)"}]
    for name in ("cold", "warm"):
        trained = run(data, name=name, max_bad="10%")
        assert list(csv.DictReader((trained.path / "skipped.csv").open())) == expected, name


def test_a_stopped_run_continues_with_what_was_computed(run, data, tmp_path):
    with pytest.raises(StoppedError) as stopped:
        run(data, callback=AtAdvance(10, press_ctrl_c), batch_size=4)
    assert stopped.value.exit_code == 130
    assert not (tmp_path / "run" / "result.json").exists()
    resumed = run(data, resume=True, batch_size=4)
    assert resumed.path == tmp_path / "run"
    assert weight_bytes(resumed) == weight_bytes(run(data, name="at-once", batch_size=4))


def test_features_that_were_computed_before_a_stop_are_not_computed_again(run, tmp_path, monkeypatch):
    computed, begin = [], engines._Paddle.begin
    monkeypatch.setattr(
        engines._Paddle, "begin", lambda self, arrays: (computed.append(len(arrays)), begin(self, arrays))[1]
    )
    pics = draw_marked_tree(tmp_path / "data" / "pics", {"a": 50, "b": 50}, lambda *_: None)
    options = {"batch_size": 4, "engine": "paddle", "settings": {"views": 1}}
    with pytest.raises(StoppedError):
        run(write_lists(pics), callback=AtAdvance(50, press_ctrl_c), **options)
    assert 50 <= sum(computed) <= 60  # of 84 training images
    run(pics.parent, resume=True, **options)
    assert 100 <= sum(computed) <= 104  # but for a batch that was being computed


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"views": 3}, "views"),
        ({"views": 0}, "views"),
        ({"budget": -1}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"folds": 1}, "folds"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_settings_without_meaning_are_refused(settings, name):
    with pytest.raises(ValueError, match=name):
        hubtune.FrozenStrategy(**settings)


def test_an_engine_that_is_not_available_is_refused_before_anything_is_computed(run, data):
    with pytest.raises(hubtune.MachineError, match="Mixed precision needs a GPU"):
        run(data, engine="paddle-amp")
    with pytest.raises(hubtune.UsageError, match=r"engine: Input should be 'auto', .*, not 'tensorrt'$"):
        hubtune.RunConfig(engine="tensorrt")
