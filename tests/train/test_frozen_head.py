"""The `frozen` strategy: views and head are chosen on the training list alone, and stored in the model."""

import csv
import json
import math
import time

import numpy as np
import paddle
import pytest
from PIL import Image

import hubtune
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import StoppedError
from hubtune.inference import engine as engines
from hubtune.models.catalog import BACKBONES
from hubtune.runs.callbacks import Callback
from hubtune.train import head_solver
from hubtune.train.context import RunContext, RunData
from hubtune.train.head_solver import HeadSolver
from hubtune.train.views import area, mirrored, whole_view

LISTS = ("train", "validate", "test")


@pytest.fixture
def data(tmp_path):
    """Three classes that differ so little in brightness that not every picture is named right."""

    def tint(pixels, name):
        pixels += {"a": -6, "b": 0, "c": 6}[name]

    return _split(_draw(tmp_path / "data" / "pics", {"a": 16, "b": 16, "c": 16}, tint))


@pytest.fixture(scope="module")
def module():
    paddle.seed(0)
    return hubtune.Module("digitnet")


def _split(pics, validate=4, test=4):
    split = make_split(scan_classes(pics), SplitRequest(validate=SplitSize(validate), test=SplitSize(test)))
    write_split(split, pics.parent, {"seed": 0}, force=True)
    return pics.parent


def _draw(pics, counts, draw, *, sides=(48, 32), seed=0):
    """Draw ``counts[name]`` pictures in each class: noise, on which ``draw`` marks the class."""
    random = np.random.default_rng(seed)
    for name, count in counts.items():
        (pics / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(60, 196, (sides[1], sides[0], 3))
            draw(pixels, name)
            Image.fromarray(pixels.astype(np.uint8)).save(pics / name / f"{number:03}.png")
    return pics


def _run(module, data, tmp_path, *, name="run", resume=False, observer=None, strategy=None, **options):
    config = hubtune.RunConfig(
        strategy=hubtune.FrozenStrategy(**(strategy or {})),
        checkpoint_dir=tmp_path / name,
        **{"batch_size": 8, **options},
    )
    task = hubtune.ImageClassifierTask(module, hubtune.ListDataset(data), config)
    return task.finetune_and_eval(observer=observer or Callback(), resume=resume)


def _views(run):
    return hubtune.load_model(run.path).card.views


def _weights(run):
    return (run.best_model / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("openvino", {}),
        ("paddle", {"strategy": {"views": 1}}),
        ("openvino", {"strategy": {"views": 2}, "fit": "whole"}),
    ],
    ids=["auto", "one", "two"],
)
def test_the_model_on_disk_says_from_pixels_what_the_run_reported(module, data, tmp_path, options, engine):
    run = _run(module, data, tmp_path, engine=engine, **options)
    result = json.loads((run.path / "result.json").read_text())
    model = hubtune.load_model(run.path, engine="paddle")
    for name in LISTS[1:]:
        found = model.evaluate(hubtune.ListDataset(data), name)
        assert 0 < found.accuracy <= 1
        assert found.accuracy == result[name]["accuracy"]
        assert found.loss == pytest.approx(result[name]["loss"], abs=1e-5)
        assert found.loss > 0.01  # a loss of nothing would agree with any other


def test_the_model_on_disk_replays_every_view(module, data, tmp_path):
    run = _run(module, data, tmp_path, strategy={"views": 2}, fit="whole")
    model = hubtune.load_model(run.path, engine="paddle")
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


def test_cold_and_warm_runs_give_the_same_model_to_the_bit(module, data, tmp_path, monkeypatch):
    first = _run(module, data, tmp_path, name="cold")
    # Nothing is computed the second time, not even the engine is started.
    with monkeypatch.context() as patch:
        patch.setattr("hubtune.inference.frozen_backbone.start_engine", None)
        warm = _run(module, data, tmp_path, name="warm")
    assert _weights(warm) == _weights(first)
    assert warm.test == first.test
    assert _views(warm) == _views(first)
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    cold = _run(module, data, tmp_path, name="cold-again")
    assert _weights(cold) == _weights(first)
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    none = _run(module, data, tmp_path, name="none")
    assert _weights(none) == _weights(first)


def test_other_settings_are_solved_anew(module, data, tmp_path):
    one = _run(module, data, tmp_path, strategy={"views": 1})
    two = _run(module, data, tmp_path, strategy={"views": 2})
    assert _weights(one) != _weights(two)
    victim = hubtune.ListDataset(data).examples("train")[0].path
    Image.open(victim).rotate(90).save(victim)
    assert _weights(_run(module, data, tmp_path, strategy={"views": 1})) != _weights(one)


def _solver(module, examples, groups, monkeypatch, cache, **settings):
    from hubtune.inference.frozen_backbone import FrozenBackbone
    from hubtune.inference.program import Part
    from hubtune.runs.signals import Stop

    monkeypatch.setenv("HUBTUNE_HOME", str(cache))
    labels = [str(number) for number in range(1 + max(example.label for example in examples))]
    config = hubtune.RunConfig(strategy=hubtune.FrozenStrategy(**settings), batch_size=8, workers=2)
    data = RunData(labels, {"train": examples}, groups)
    context = RunContext(config, module, data, None, Stop(), Callback(), None)
    backbone = FrozenBackbone(
        Part(module.network, module.features, module.preprocessing),
        {},
        module="m",
        layer="features",
        wanted="paddle",
        cache=context.cache,
    )
    return HeadSolver(context, backbone)


def test_copies_and_the_groups_of_a_split_stay_in_one_fold(module, data, tmp_path, monkeypatch):
    examples = hubtune.ListDataset(data).examples("train")
    # A copy under another name, and two different pictures of one object.
    same = [example for example in examples if example.label == examples[0].label]
    same[1].path.write_bytes(same[0].path.read_bytes())
    groups = {same[2].path: 7, same[3].path: 7, same[4].path: 8, same[1].path: 8}
    seen = []
    make_folds = head_solver.make_folds

    def watched(labels, groups, **options):
        folds = make_folds(labels, groups, **options)
        seen.append((groups, folds))
        return folds

    monkeypatch.setattr(head_solver, "make_folds", watched)
    solver = _solver(module, examples, groups, monkeypatch, tmp_path / "cache")
    solver.solve(module.preprocessing, None)
    place = {example.path: number for number, example in enumerate(examples)}
    for together in [same[:2], same[2:4], [same[0], same[1], same[4]]]:
        numbers = {place[example.path] for example in together}
        assert seen
        for _, folds in seen:
            assert folds
            for fitted, tested in folds:
                assert len({bool(number in set(tested)) for number in numbers}) == 1
                assert not numbers & set(fitted) or not numbers & set(tested)


def test_the_groups_of_split_json_reach_the_solver(module, data, tmp_path, monkeypatch):
    document = json.loads((data / "split.json").read_text())
    train = [example.path for example in hubtune.ListDataset(data).examples("train")]
    document["groups"] = [[str(path.relative_to(data)) for path in train[:2]]]
    (data / "split.json").write_text(json.dumps(document))
    seen = {}
    split_keys = head_solver.split_keys

    def watched(images, groups):
        seen.update(groups)
        return split_keys(images, groups)

    monkeypatch.setattr(head_solver, "split_keys", watched)
    _run(module, data, tmp_path)
    assert seen == {train[0]: 0, train[1]: 0}


def _chance(module, tmp_path, seeds, count):
    """Right answers, and how many there were, on test pictures whose labels say nothing."""
    right = total = 0
    for seed in seeds:
        pics = _draw(tmp_path / f"{seed}" / "pics", {"a": count, "b": count}, lambda *_: None, seed=seed)
        run = _run(module, _split(pics, validate=2, test=count // 2), tmp_path, name=f"run-{seed}")
        right += round(run.test.accuracy * run.test.count)
        total += run.test.count
    return right, total


def _within_chance(right, total):
    """Whether so many of two classes are right by chance, with a probability of 1 in 10,000 to say no."""
    return abs(right - total / 2) <= 3.9 * math.sqrt(total / 4)


def test_labels_that_say_nothing_are_reported_as_chance(module, tmp_path):
    right, total = _chance(module, tmp_path, range(2), 40)
    assert total == 80
    assert _within_chance(right, total)


@pytest.mark.slow
def test_labels_that_say_nothing_are_reported_as_chance_for_many_seeds(module, tmp_path):
    right, total = _chance(module, tmp_path, range(12), 80)
    assert _within_chance(right, total)


def test_balance_helps_the_smaller_class(module, tmp_path):
    def tint(pixels, name):
        pixels[...] = np.clip(
            pixels
            + (8 if name == "rare" else -8)
            + np.random.default_rng(int(pixels.sum()) % 2**32).normal(0, 12),
            0,
            255,
        )

    data = _split(_draw(tmp_path / "data" / "pics", {"often": 100, "rare": 30}, tint), validate=2, test=20)
    lines = (data / "train_list.txt").read_text().splitlines(keepends=True)
    rare = [line for line in lines if "rare" in line]
    (data / "train_list.txt").write_text(
        "".join(line for line in lines if "rare" not in line) + "".join(rare)
    )

    def recall(balance):
        run = _run(module, data, tmp_path, strategy={"views": 1}, balance=balance, name=balance)
        test = [e.path for e in hubtune.ListDataset(data).examples("test") if "rare" in str(e.path)]
        return np.mean([row.label == "rare" for row in hubtune.load_model(run.path).predict(test)])

    assert recall("weights") > recall("none")


def _mark_border(pixels, name):
    colour = (230, 30, 30) if name == "a" else (30, 30, 230)
    pixels[:, :12] = pixels[:, -12:] = colour


def _mark_centre(pixels, name):
    height, width = pixels.shape[:2]
    middle = pixels[height // 2 - 6 : height // 2 + 6, width // 2 - 6 : width // 2 + 6]
    middle += 40 if name == "a" else -40
    random = np.random.default_rng(int(pixels.sum()))
    pixels[:, :30], pixels[:, -30:] = random.integers(0, 255, (2, 3))


def test_the_whole_view_is_taken_where_the_class_is_at_the_border(module, tmp_path):
    # The centre crop of so wide a picture does not see the marks.
    pics = _draw(tmp_path / "data" / "pics", {"a": 20, "b": 20}, _mark_border, sides=(96, 32))
    run = _run(module, _split(pics), tmp_path, strategy={"budget": 1000})
    assert _views(run)[0].fit == "whole"
    assert run.test.accuracy == 1.0


def test_the_crop_is_kept_where_the_border_is_noise(module, tmp_path):
    pics = _draw(tmp_path / "data" / "pics", {"a": 30, "b": 30}, _mark_centre, sides=(96, 32))
    run = _run(module, _split(pics), tmp_path, strategy={"budget": 1000})
    assert _views(run)[0].fit == "crop"


def test_the_mirrored_view_is_not_taken_where_left_and_right_are_the_classes(module, tmp_path):
    def mark(pixels, name):
        side = slice(0, 8) if name == "a" else slice(-8, None)
        pixels[:, side] = 250

    pics = _draw(tmp_path / "data" / "pics", {"a": 16, "b": 16}, mark, sides=(32, 32))
    run = _run(module, _split(pics), tmp_path, fit="stretch", strategy={"budget": 1000})
    assert not any(view.mirror for view in hubtune.load_model(run.path).card.views)
    assert run.test.accuracy == 1.0


def test_a_fit_that_was_asked_for_is_kept(module, tmp_path):
    pics = _draw(tmp_path / "data" / "pics", {"a": 16, "b": 16}, _mark_border, sides=(96, 32))
    run = _run(module, _split(pics), tmp_path, fit="crop", strategy={"budget": 1000})
    assert {view.fit for view in hubtune.load_model(run.path).card.views} == {"crop"}


@pytest.mark.parametrize(("views", "count"), [(1, 1), (2, 2)])
def test_so_many_views_are_taken_as_were_asked_for(module, data, tmp_path, views, count, monkeypatch):
    monkeypatch.setattr(HeadSolver, "_choose_views", None)
    run = _run(module, data, tmp_path, strategy={"views": views})
    first, *others = _views(run)
    assert not first.mirror
    assert others == [mirrored(first)][: count - 1]


@pytest.mark.parametrize("few", [30, 12])
def test_without_a_cache_no_picture_is_computed_twice_in_a_view(module, data, tmp_path, monkeypatch, few):
    monkeypatch.setattr(head_solver, "_CHOOSE_VIEWS_ON", few)
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    monkeypatch.setattr("hubtune.inference.frozen_backbone.FrozenBackbone.measure", lambda *_, **__: None)
    computed = []
    begin = engines._Paddle.begin
    monkeypatch.setattr(
        engines._Paddle, "begin", lambda self, arrays: (computed.append(len(arrays)), begin(self, arrays))[1]
    )
    run = _run(module, data, tmp_path, engine="paddle", strategy={"budget": 1000})
    counts = {name: len(hubtune.ListDataset(data).examples(name)) for name in LISTS}
    assert counts["train"] == 24
    # The module's own view, the whole picture, and one of them mirrored; of the others, the chosen views.
    others = sum(counts.values()) - min(24, few)
    assert sum(computed) == 3 * min(24, few) + len(run.views) * others


def test_features_that_are_known_give_the_same_head_as_computed_ones(module, data, tmp_path, monkeypatch):
    features = HeadSolver._features
    known = _run(module, data, tmp_path, name="known")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(
        HeadSolver, "_features", lambda self, views, examples, computed=None: features(self, views, examples)
    )
    assert _weights(_run(module, data, tmp_path, name="computed")) == _weights(known)


@pytest.mark.parametrize(("seconds", "said"), [(0.05, True), (0.0, False)])
def test_where_decoding_is_the_limit_it_is_said(module, data, tmp_path, monkeypatch, told, seconds, said):
    from hubtune.inference import predict
    from hubtune.train import frozen_head

    preprocess = predict.preprocess_views
    monkeypatch.setattr(
        predict, "preprocess_views", lambda *given: (time.sleep(seconds), preprocess(*given))[1]
    )
    monkeypatch.setattr(frozen_head, "_LONG_SECONDS", 0.3)
    _run(module, data, tmp_path, strategy={"views": 1}, engine="paddle")
    assert any(message.startswith("waited for pictures ") for message in told.messages) == said


def test_without_a_budget_no_more_is_computed_than_half_as_much_again(module, tmp_path):
    pics = _draw(tmp_path / "data" / "pics", {"a": 20, "b": 20}, _mark_border, sides=(96, 32))
    data = _split(pics)
    for name in ("cold", "warm"):
        # Other folds: the features are kept, and what was chosen with them is not.
        run = _run(module, data, tmp_path, name=name, strategy={"budget": 0, "folds": 3 + len(name) % 2})
        assert len(_views(run)) == 1
        assert area(hubtune.load_model(run.path).card.preprocessing) <= 1.5 * 32**2


def test_the_whole_view_is_what_the_network_can_take():
    crop = Preprocessing(size=224, resize=256)
    whole = whole_view(crop, 1)
    assert (whole.fit, whole.resize) == ("whole", 288)
    assert whole == Preprocessing.model_validate(whole.model_dump())
    assert whole_view(crop, None) == crop.model_copy(update={"fit": "stretch"})
    dino = whole_view(crop, 14)
    assert (dino.fit, dino.size % 14, dino.size > 224) == ("stretch", 0, True)
    for fit in ("whole", "pad", "stretch"):
        assert whole_view(crop.model_copy(update={"fit": fit}), 1) is None


@pytest.mark.parametrize("name", ["alexnet_imagenet", "dinov2_vits14", "inceptionv4_imagenet", "smallnet"])
def test_the_whole_view_of_a_record_gives_pictures_of_sides_that_it_takes(name):
    record = BACKBONES[name]
    own = Preprocessing(size=record.input_size, resize=record.resize)
    wider = whole_view(own, record.size_multiple)
    image = Image.new("RGB", (400, 300))
    _, height, width = wider(image).shape
    if record.size_multiple is None:
        assert (height, width) == (record.input_size, record.input_size)
    else:
        assert height % record.size_multiple == width % record.size_multiple == 0
        assert height * width > record.input_size**2


def test_a_class_with_one_picture_and_a_class_with_none_are_no_harm(module, data, tmp_path):
    lines = (data / "train_list.txt").read_text().splitlines()
    kept = [line for line in lines if line.endswith(" 0")]
    kept += [line for line in lines if line.endswith(" 1")][:1]
    (data / "train_list.txt").write_text("\n".join(kept) + "\n")
    run = _run(module, data, tmp_path)
    assert run.test.count == 12
    model = hubtune.load_model(run.path)
    assert model.labels == ["a", "b", "c"]
    rows = model.predict([example.path for example in hubtune.ListDataset(data).examples("test")])
    assert max(row.scores["c"] for row in rows) < 1e-6
    log = (run.path / "train.log").read_text()
    assert "no training picture: c; these classes cannot be learned" in log
    assert "too few training pictures to choose the regularisation by cross-validation" in log


def test_one_class_alone_is_refused_in_a_sentence(module, data, tmp_path):
    lines = (data / "train_list.txt").read_text().splitlines()
    (data / "train_list.txt").write_text("\n".join(line for line in lines if line.endswith(" 0")) + "\n")
    with pytest.raises(
        hubtune.DataError, match=r"^All readable training pictures are of one class: a classifier needs two$"
    ):
        _run(module, data, tmp_path)


def test_no_readable_training_picture_is_refused_in_a_sentence(module, data, tmp_path):
    for example in hubtune.ListDataset(data).examples("train"):
        example.path.write_bytes(example.path.read_bytes()[:-60])
    with pytest.raises(hubtune.DataError, match="None of the training pictures can be read"):
        _run(module, data, tmp_path, max_bad=1.0)


def test_unreadable_training_pictures_are_named_in_cold_and_warm_runs(module, data, tmp_path):
    victim = hubtune.ListDataset(data).examples("train")[3].path
    victim.write_bytes(victim.read_bytes()[:-300])  # its header is whole
    expected = [{"list": "train", "path": str(victim), "reason": "damaged picture (the file ends too early)"}]
    for name in ("cold", "warm"):
        run = _run(module, data, tmp_path, name=name, max_bad="10%")
        assert list(csv.DictReader((run.path / "skipped.csv").open())) == expected, name


class _Impatient(Callback):
    """Asks for a stop, as Ctrl-C does, after so many training pictures."""

    def __init__(self, count):
        self.left = count

    def advance(self, *given, **options):
        import os
        import signal

        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stop_leaves_a_run_that_goes_on_with_what_was_computed(module, data, tmp_path):
    with pytest.raises(StoppedError) as stopped:
        _run(module, data, tmp_path, observer=_Impatient(10), batch_size=4)
    assert stopped.value.exit_code == 130
    assert not (tmp_path / "run" / "result.json").exists()
    resumed = _run(module, data, tmp_path, resume=True, batch_size=4)
    assert resumed.path == tmp_path / "run"
    other = _run(module, data, tmp_path, name="at-once", batch_size=4)
    assert _weights(resumed) == _weights(other)


def test_features_that_were_computed_before_a_stop_are_not_computed_again(module, tmp_path, monkeypatch):
    computed = []
    begin = engines._Paddle.begin
    monkeypatch.setattr(
        engines._Paddle, "begin", lambda self, arrays: (computed.append(len(arrays)), begin(self, arrays))[1]
    )
    data = _split(_draw(tmp_path / "data" / "pics", {"a": 50, "b": 50}, _mark_centre))
    options = {"batch_size": 4, "engine": "paddle", "strategy": {"views": 1}}
    with pytest.raises(StoppedError):
        _run(module, data, tmp_path, observer=_Impatient(50), **options)
    before = sum(computed)
    assert 50 <= before <= 60  # of 84 training pictures
    _run(module, data, tmp_path, resume=True, **options)
    assert 100 <= sum(computed) <= 104  # but for a batch that was being computed


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ({"views": 3}, "views"),
        ({"views": 0}, "views"),
        ({"budget": -1}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"folds": 1}, "folds"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_settings_that_mean_nothing_are_refused(strategy, said):
    with pytest.raises(ValueError, match=said):
        hubtune.FrozenStrategy(**strategy)


def test_an_engine_that_is_not_to_be_had_is_refused_before_anything_is_computed(module, data, tmp_path):
    with pytest.raises(hubtune.MachineError, match="Mixed precision needs a GPU"):
        _run(module, data, tmp_path, engine="paddle-amp")
    with pytest.raises(hubtune.UsageError, match=r"engine: Input should be 'auto', .*, not 'tensorrt'$"):
        hubtune.RunConfig(engine="tensorrt")
