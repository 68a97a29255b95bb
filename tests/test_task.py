"""The main job through the Python API, on drawn pictures and a small network from random values."""

import csv
import json
import math
import shutil

import numpy as np
import pytest

import hubtune
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.models.classifier import Classifier
from hubtune.runs.callbacks import Callback


@pytest.fixture
def data(tmp_path, draw_photos):
    return _split(draw_photos(tmp_path / "data" / "pics", {"a": 16, "b": 16, "c": 16}))


def _split(pics, **amounts):
    chosen = {"validate": SplitSize(4), "test": SplitSize(4), **amounts}
    write_split(make_split(scan_classes(pics), SplitRequest(**chosen)), pics.parent, {"seed": 0}, force=True)
    return pics.parent


@pytest.fixture(scope="module")
def module():
    return hubtune.Module("smallnet", weights=None)


def _config(tmp_path, **options):
    given = {
        "num_epoch": 2,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "checkpoint_dir": tmp_path / "run",
        **options,
    }
    return hubtune.RunConfig(**given)


def _train(module, data, config, **options):
    task = hubtune.ImageClassifierTask(module, hubtune.ListDataset(data), config)
    return task, task.finetune_and_eval(observer=Callback(), **options)


def _files(run):
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name[0] != "."}


def _check_same(one, other):
    """Figures of the same model by different engines."""
    assert {**one.as_dict(), "loss": 0} == {**other.as_dict(), "loss": 0}
    assert one.loss == pytest.approx(other.loss, rel=1e-5)


def test_a_run_leaves_exactly_its_files_and_learns(module, data, tmp_path):
    task, run = _train(module, data, _config(tmp_path, num_epoch=4, eval_interval=3))
    assert _files(run.path) == {
        *("recipe.yaml", "manifest.json", "metrics.jsonl", "skipped.csv", "train.log", "result.json"),
        *(f"best_model/{name}" for name in ("model.safetensors", "model.json", "manifest.json")),
        *(f"checkpoints/step-12/{name}" for name in ("model.safetensors", "optim.safetensors", "state.json")),
        "checkpoints/step-12/manifest.json",
    }
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["list"], line["step"]) for line in lines[:-1]] == [
        ("validate", step) for step in (3, 6, 9, 12)
    ]
    assert lines[-1]["list"] == "test"
    best = max(lines[:-1], key=lambda line: line["accuracy"])  # the first of equals
    assert (run.best_step, run.validate.accuracy) == (best["step"], best["accuracy"])
    assert run.test.count == 12
    assert run.test.accuracy > 0.9  # the classes differ in colour
    assert (run.path.parent / "run" / "manifest.json").exists()
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert set(manifest["lists"]) == {"train", "validate", "test"}
    _check_same(task.evaluate("validate"), run.validate)
    assert task.evaluate("test")["accuracy"] == run.test.accuracy


def test_the_module_is_not_changed_by_training(module, data, tmp_path):
    before = {name: tensor.numpy().copy() for name, tensor in module.network.state_dict().items()}
    _train(module, data, _config(tmp_path))
    for name, tensor in module.network.state_dict().items():
        assert np.array_equal(tensor.numpy(), before[name]), name


def test_the_same_seed_gives_the_same_model_and_another_seed_another(module, data, tmp_path):
    def weights(name, **options):
        _, run = _train(module, data, _config(tmp_path, checkpoint_dir=tmp_path / name, **options))
        return (run.best_model / "model.safetensors").read_bytes()

    assert weights("one") == weights("two", workers=5)
    assert weights("one-more", seed=1) != weights("two-more")


def test_predict_says_what_evaluate_says_whatever_the_batch(module, data, tmp_path):
    task, run = _train(module, data, _config(tmp_path, strategy=hubtune.FrozenStrategy()))
    dataset = hubtune.ListDataset(data)
    examples = dataset.examples("test")
    bad = tmp_path / "broken.png"
    bad.write_bytes((examples[0].path).read_bytes()[:200])
    paths = [str(example.path) for example in examples]
    whole = task.predict(paths, batch_size=64)
    right = sum(row.label == dataset.label_list[e.label] for row, e in zip(whole, examples, strict=True))
    loss = -np.mean(
        [math.log(row.scores[dataset.label_list[e.label]]) for row, e in zip(whole, examples, strict=True)]
    )
    assert run.test.accuracy == right / len(examples)
    assert run.test.loss == pytest.approx(loss, abs=1e-6)
    expected = {row.path: row.scores for row in whole}
    mixed = [paths[5], str(bad), *reversed(paths), "nowhere.jpg"]
    for batch_size in (1, 7, 64):
        rows = task.predict(mixed, batch_size=batch_size)
        assert [row.path for row in rows] == mixed
        assert [row.error for row in rows if row.error] == [
            "damaged picture (the file ends too early)",
            "no such file",
        ]
        assert rows[1].label is None
        assert rows[1]["error"] == rows[1].error
        for row in rows:
            for name, score in row.scores.items():
                assert score == pytest.approx(expected[row.path][name], abs=1e-6)
    assert hubtune.load_model(run.path).labels == ["a", "b", "c"]


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch"])
def test_every_fit_trains_and_is_stored_in_the_model(module, data, tmp_path, fit):
    _, run = _train(module, data, _config(tmp_path, fit=fit, augment="flip", num_epoch=1))
    model = hubtune.load_model(run.best_model)
    assert model.card.preprocessing.fit == fit
    moved = shutil.move(run.best_model, tmp_path / "moved")
    paths = [str(example.path) for example in hubtune.ListDataset(data).examples("test")]
    for row, other in zip(
        model.predict(paths), hubtune.load_model(moved).predict(paths, batch_size=5), strict=True
    ):
        assert row.label == other.label
        assert row.score == pytest.approx(other.score, abs=1e-6)


def test_frozen_solves_a_head_and_leaves_the_trunk(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path, strategy=hubtune.FrozenStrategy()))
    assert run.best_step == 0
    assert run.test.accuracy > 0.9
    assert not (run.path / "checkpoints").exists()
    model = hubtune.load_model(run.best_model)
    fresh = Classifier(module.backbone, 3)
    assert model.card.strategy == "frozen"
    assert set(model.classifier.state()) == set(fresh.state())


def test_frozen_works_with_two_classes_of_which_one_is_tiny(module, tmp_path, draw_photos):
    data = _split(draw_photos(tmp_path / "data" / "pics", {"a": 12, "b": 1}))
    _, run = _train(module, data, _config(tmp_path, strategy=hubtune.FrozenStrategy()))
    assert run.validate.count == 4
    assert run.validate.accuracy == 1.0


def test_frozen_parameters_and_their_statistics_stay(data, tmp_path):
    module = hubtune.Module("smallnet", weights=None)
    classifier = Classifier(module.backbone, 3)
    stages = list(dict.fromkeys(stage for stage, _, _ in classifier.trained_parameters()))
    frozen = {name for stage, name, _ in classifier.trained_parameters() if stage == stages[0]}
    strategy = hubtune.RulesStrategy(
        list=[{"match": stages[0], "frozen": True}, {"match": "*", "weight_decay": 1e-3}]
    )
    config = _config(tmp_path, strategy=strategy, batch_norm="update", num_epoch=1)
    _, start = _train(
        module,
        data,
        config.model_copy(update={"learning_rate": 1e-12, "checkpoint_dir": str(tmp_path / "start")}),
    )
    _, run = _train(module, data, config)
    before = hubtune.load_model(start.best_model).classifier.state()
    after = hubtune.load_model(run.best_model).classifier.state()
    prefix = {name.rsplit(".", 1)[0] for name in frozen}
    moved = 0
    for name, tensor in after.items():
        same = np.array_equal(tensor.numpy(), before[name].numpy())
        if name.rsplit(".", 1)[0] in prefix:
            assert same, name
        else:
            moved += not same
    assert moved > 10


def test_kept_statistics_do_not_move(data, tmp_path):
    module = hubtune.Module("smallnet", weights=None)

    def statistics(**options):
        folder = tmp_path / options["batch_norm"]
        _, run = _train(module, data, _config(tmp_path, checkpoint_dir=folder, num_epoch=1, **options))
        state = hubtune.load_model(run.best_model).classifier.state()
        return np.concatenate([t.numpy() for name, t in state.items() if name.endswith("_mean")])

    assert not statistics(batch_norm="keep").any()  # as initialised
    assert statistics(batch_norm="update").any()


def test_bad_pictures_are_named_and_never_replaced(module, data, tmp_path, monkeypatch):
    victim = hubtune.ListDataset(data).examples("train")[3].path
    victim.write_bytes(victim.read_bytes()[:-300])  # the header is whole: only training notices
    seen = []
    from hubtune.train import step

    run_by_shape = step.run_by_shape
    monkeypatch.setattr(
        step, "run_by_shape", lambda net, arrays: (seen.append(len(arrays)), run_by_shape(net, arrays))[1]
    )
    _, run = _train(module, data, _config(tmp_path, max_bad="10%", num_epoch=2))
    assert sum(seen) == 2 * (24 - 1)
    rows = list(csv.DictReader((run.path / "skipped.csv").open()))
    assert rows == [
        {"list": "train", "path": str(victim), "reason": "damaged picture (the file ends too early)"}
    ]


def test_training_stops_when_too_many_pictures_are_bad(module, data, tmp_path):
    for example in hubtune.ListDataset(data).examples("train")[:2]:
        example.path.write_bytes(b"")
    with pytest.raises(
        hubtune.DataError, match=r"^2 of 48 pictures cannot be read \(first: .*empty file \(0 bytes\)"
    ):
        _train(module, data, _config(tmp_path))
    with pytest.raises(
        hubtune.DataError, match=r"^2 of 48 pictures cannot be read, first .*bad_pictures=skip"
    ):
        _train(module, data, _config(tmp_path, bad_pictures="stop", max_bad=1.0))
    _, run = _train(module, data, _config(tmp_path, max_bad="5%"))
    assert run.test.count == 12


def test_bad_pictures_of_an_evaluation_are_counted_apart(module, data, tmp_path):
    hubtune.ListDataset(data).examples("test")[0].path.unlink()
    _, run = _train(module, data, _config(tmp_path, max_bad="5%"))
    assert (run.test.count, run.test.unreadable) == (11, 1)
    assert "no such file" in (run.path / "skipped.csv").read_text()


def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    module = hubtune.Module("smallnet", weights=None)
    for tensor in module.network.state_dict().values():
        if len(tensor.shape) == 4:
            tensor.set_value(np.full(tensor.shape, 3e38, np.float32))
    module.weights = "huge"
    with pytest.raises(
        hubtune.NumericError, match=r"The loss is not a finite number at step 1 \(learning rate 0.003\)"
    ):
        _train(module, data, _config(tmp_path))
    report = json.loads((tmp_path / "run" / "nan_report.json").read_text())
    assert report["step"] == 1
    assert len(report["batch"]) == 8
    assert all(path.endswith(".png") for path in report["batch"])
    assert hubtune.NumericError.exit_code == 6


def test_a_batch_may_be_larger_than_the_data(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path, batch_size=500))
    assert "an epoch is a single step" in (run.path / "train.log").read_text()
    assert (run.path / "checkpoints" / "step-2").is_dir()


def test_without_validation_the_last_model_is_kept(module, data, tmp_path):
    (data / "validate_list.txt").unlink()
    _, run = _train(module, data, _config(tmp_path))
    assert run.validate is None
    assert run.best_step == 6
    assert run.test.count == 12


def test_a_second_run_goes_beside_the_first(module, data, tmp_path):
    _, first = _train(module, data, _config(tmp_path))
    _, second = _train(module, data, _config(tmp_path))
    assert (first.path.name, second.path.name) == ("run", "run-2")
    from hubtune.runs.folder import newest_run

    assert newest_run() == second.path


def test_resuming_a_finished_run_gives_its_result(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path))
    before = (run.path / "metrics.jsonl").read_bytes()
    _, again = _train(module, data, _config(tmp_path), resume=True)
    assert again == run
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_resuming_under_another_recipe_or_other_lists_is_refused(module, data, tmp_path):
    _train(module, data, _config(tmp_path))
    with pytest.raises(hubtune.UsageError, match=r"train.epochs: 2, now 3"):
        _train(module, data, _config(tmp_path, num_epoch=3), resume=True)
    lines = (data / "train_list.txt").read_text().splitlines(keepends=True)
    (data / "train_list.txt").write_text("".join(lines[1:]))
    with pytest.raises(hubtune.ModelError, match=r"^The lists have changed since"):
        _train(module, data, _config(tmp_path), resume=True)


def test_resuming_where_there_is_no_run_begins_one(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path), resume=True)
    assert run.path == tmp_path / "run"
    assert run.test.count == 12


def test_a_run_may_not_lie_in_the_pictures_or_in_a_folder_that_is_no_run(module, data, tmp_path):
    for place in ("pics", "pics/run", "pics/a/run"):
        with pytest.raises(hubtune.UsageError, match=r"inside the pictures|not a run"):
            _train(module, data, _config(tmp_path, checkpoint_dir=data / place))
    with pytest.raises(hubtune.UsageError, match="is not a run"):
        _train(module, data, _config(tmp_path, checkpoint_dir=data))
    _, run = _train(module, data, _config(tmp_path, checkpoint_dir=data / "runs" / "x"))
    assert run.test.count == 12


def test_a_run_folder_in_use_is_refused(module, data, tmp_path):
    from hubtune.runs.folder import open_run

    refused = pytest.raises(hubtune.LockedError, match=r"is in use by process \d+ on .* since")
    with open_run(tmp_path / "run"), refused:
        _train(module, data, _config(tmp_path))
    _, run = _train(module, data, _config(tmp_path))
    with open_run(run.path), refused:
        _train(module, data, _config(tmp_path))
    with open_run(run.path), refused:
        _train(module, data, _config(tmp_path), resume=True)


def test_classes_of_data_and_model_must_agree(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path))
    model = hubtune.load_model(run.path)
    (data / "label_list.txt").write_text("a\nb\nd\n")
    with pytest.raises(hubtune.ModelError, match=r"only in the data: d; only in the model: c"):
        model.evaluate(hubtune.ListDataset(data), "test")
    # The same classes in another order, and lists that agree with it.
    (data / "label_list.txt").write_text("c\nb\na\n")
    for name in ("test_list.txt",):
        lines = [line.rsplit(" ", 1) for line in (data / name).read_text().splitlines()]
        (data / name).write_text("".join(f"{path} {2 - int(label)}\n" for path, label in lines))
    with pytest.raises(hubtune.ModelError, match="another order"):
        model.evaluate(hubtune.ListDataset(data), "test")
    assert model.evaluate(hubtune.ListDataset(data), "test", remap_by_name=True) == run.test


def test_what_cannot_go_together_is_refused_at_once(data, tmp_path):
    module = hubtune.Module("paddle.vision:alexnet", weights=None)
    with pytest.raises(hubtune.UsageError, match="224×224 only"):
        hubtune.ImageClassifierTask(module, hubtune.ListDataset(data), _config(tmp_path, fit="whole"))
    with pytest.raises(hubtune.UsageError, match="remove hidden_units"):
        hubtune.ImageClassifierTask(
            module,
            hubtune.ListDataset(data),
            _config(tmp_path, strategy=hubtune.FrozenStrategy()),
            hidden_units=[8],
        )
    module.weights = "some.pdparams"
    with pytest.raises(hubtune.UsageError, match="weights=None"):
        hubtune.ImageClassifierTask(
            module, hubtune.ListDataset(data), _config(tmp_path, strategy=hubtune.ScratchStrategy())
        )


def test_hidden_units_are_trained_saved_and_loaded(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path, hidden_units=[16, 8]))
    model = hubtune.load_model(run.path)
    assert [
        tuple(t.shape)
        for name, t in model.classifier.state().items()
        if name.startswith("head") and "weight" in name
    ] == [
        (96, 16),
        (16, 8),
        (8, 3),
    ]
    assert model.evaluate(hubtune.ListDataset(data), "test") == run.test


def test_a_damaged_model_is_refused(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path))
    file = run.best_model / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(hubtune.ModelError, match=r"model.safetensors is damaged: its SHA-256 differs"):
        hubtune.load_model(run.path)


def test_a_run_that_ended_before_it_began_makes_room(module, data, tmp_path):
    file = hubtune.ListDataset(data).examples("train")[0].path
    content = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(hubtune.DataError):
        _train(module, data, _config(tmp_path))
    with pytest.raises(hubtune.ModelError, match="has no model yet"):
        hubtune.load_model(tmp_path / "run")
    file.write_bytes(content)
    _, run = _train(module, data, _config(tmp_path))
    assert run.path == tmp_path / "run"
    assert (run.path / "skipped.csv").read_text() == "list,path,reason\n"


def test_a_validation_list_without_a_readable_picture_is_as_none(module, data, tmp_path):
    for example in hubtune.ListDataset(data).examples("validate"):
        example.path.write_bytes(b"")
    _, run = _train(module, data, _config(tmp_path, max_bad="50%"))
    assert run.validate is None
    assert run.best_step == 6
    assert "none of the 12 validate pictures can be read" in (run.path / "train.log").read_text()


def test_an_unreadable_validation_list_on_the_way_keeps_the_best_model(module, data, tmp_path):
    files = [example.path for example in hubtune.ListDataset(data).examples("validate")]

    class Spoiler(Callback):
        def evaluated(self, name, metrics, *, step, best):
            if step == 3:
                for file in files:
                    file.write_bytes(b"")

    config = _config(tmp_path, num_epoch=4, max_bad="50%")
    task = hubtune.ImageClassifierTask(module, hubtune.ListDataset(data), config)
    run = task.finetune_and_eval(observer=Spoiler())
    assert run.best_step == 3
    assert run.validate.count == 12


def test_a_gradient_that_is_no_number_leaves_what_was_saved(module, data, tmp_path, monkeypatch):
    import paddle

    step = paddle.optimizer.Adam.step
    calls = []

    def spoiled(self):
        calls.append(1)
        if len(calls) == 5:
            self._param_groups[0]["params"][0].grad.set_value(
                np.full(self._param_groups[0]["params"][0].shape, np.inf, np.float32)
            )
        step(self)

    monkeypatch.setattr(paddle.optimizer.Adam, "step", spoiled)
    with pytest.raises(hubtune.NumericError, match="is not a finite number"):
        _train(module, data, _config(tmp_path))
    state = hubtune.load_model(tmp_path / "run").classifier.state()
    assert all(np.isfinite(tensor.numpy()).all() for tensor in state.values())
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-3"]


def test_classes_named_in_code_are_written_into_the_run(module, data, tmp_path):
    dataset = hubtune.BaseCVDataset(
        data,
        train_list_file="train_list.txt",
        validate_list_file="validate_list.txt",
        label_list=["x", "y", "z"],
    )
    config = _config(tmp_path)
    run = hubtune.ImageClassifierTask(module, dataset, config).finetune_and_eval(observer=Callback())
    assert run.test is None  # there is a test list, but this data set does not name it
    recipe = hubtune.load_recipe(run.path / "recipe.yaml")
    again = hubtune.ImageClassifierTask.from_recipe(recipe, complete=True)
    assert again.dataset.label_list == ["x", "y", "z"]
    assert again.finetune_and_eval(resume=True, observer=Callback()) == run
    _check_same(again.evaluate("validate"), run.validate)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_epochs": 5}, "RunConfig has no 'num_epochs'. Did you mean 'num_epoch'?"),
        ({"num_epoch": 0}, "RunConfig.num_epoch: Input should be greater than or equal to 1, not 0"),
        ({"use_cuda": True, "device": "cpu"}, "device and use_cuda say the same thing"),
    ],
)
def test_mistakes_in_the_configuration_are_a_sentence(given, message):
    with pytest.raises(hubtune.UsageError) as caught:
        hubtune.RunConfig(**given)
    assert message in str(caught.value)


def test_mistakes_in_python_are_a_sentence(module, data, tmp_path):
    assert hubtune.RunConfig(strategy="frozen").strategy == hubtune.FrozenStrategy()
    dataset = hubtune.ListDataset(data)
    with pytest.raises(hubtune.UsageError, match="module must be a Module, not a str"):
        hubtune.ImageClassifierTask("smallnet", dataset)
    with pytest.raises(hubtune.UsageError, match="hidden_units"):
        hubtune.ImageClassifierTask(module, dataset, hidden_units=[0])
    with pytest.raises(hubtune.ModelError, match="There is no trained model"):
        hubtune.ImageClassifierTask(module, dataset, _config(tmp_path)).predict(["a.png"])
    task, _ = _train(module, data, _config(tmp_path, strategy=hubtune.FrozenStrategy()))
    with pytest.raises(hubtune.UsageError, match="Give a list of pictures"):
        task.predict("a.png")
    with pytest.raises(hubtune.UsageError, match="batch_size is to be a whole number from 1, not 0"):
        task.predict(["a.png"], batch_size=0)
    assert task.predict([]) == []
    assert [row.error for row in task.predict(path for path in ["a.png"])] == ["no such file"]


def test_a_model_that_describes_more_than_it_holds_is_refused_before_it_is_built(module, data, tmp_path):
    _, run = _train(module, data, _config(tmp_path, num_epoch=1))
    from hubtune.storage.checked_folder import write_checked

    weights = (run.best_model / "model.safetensors").read_bytes()
    card = json.loads((run.best_model / "model.json").read_text())
    write_checked(
        tmp_path / "bomb",
        {
            "model.safetensors": weights,
            "model.json": json.dumps({**card, "hidden_units": [65536] * 16}).encode(),
        },
    )
    with pytest.raises(hubtune.ModelError, match="describes another head than its weights"):
        hubtune.load_model(tmp_path / "bomb")
    write_checked(
        tmp_path / "twice",
        {"model.safetensors": weights, "model.json": json.dumps({**card, "labels": ["a"] * 3}).encode()},
    )
    with pytest.raises(hubtune.ModelError, match="two classes have one name"):
        hubtune.load_model(tmp_path / "twice")


def test_a_resumed_run_remembers_the_pictures_it_could_not_read(module, data, tmp_path):
    from hubtune.runs.folder import RunFolder

    (tmp_path / "run").mkdir()
    run = RunFolder(tmp_path / "run")
    assert run.read_skipped() == []
    rows = [
        ("train", 'a "quoted", picture.png', "no such file"),
        ("test", "\udcff.png", "empty file (0 bytes)"),
    ]
    run.write_skipped(rows)
    assert run.read_skipped() == rows
