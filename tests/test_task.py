"""``ImageClassifierTask``: a run's files and figures, prediction, and mistakes that get a sentence."""

import json
import math
import shutil

import numpy as np
import pytest
from support.notebooks import CellHtml, fake_notebook
from support.split_folder import draw_split
from support.tiny_task import smallnet, tiny_config, tiny_task, train, train_frozen, weight_arrays

import hubtune
from hubtune.inference.prediction import Predictions
from hubtune.log import logger
from hubtune.runs.callbacks import Callback


@pytest.fixture
def data(tmp_path):
    return draw_split(tmp_path / "data", {"a": 16, "b": 16, "c": 16})


@pytest.fixture(scope="module")
def module():
    return smallnet()


def _assert_same_figures(one, other):
    """Compare figures of the same model by different engines."""
    assert {**one.as_dict(), "loss": 0} == {**other.as_dict(), "loss": 0}
    assert one.loss == pytest.approx(other.loss, rel=1e-5)


def test_a_run_leaves_exactly_its_files_and_learns(module, data, tmp_path):
    task = tiny_task(module, data, tmp_path / "run", epochs=4, eval_interval=3)
    run = task.finetune_and_eval(callback=Callback())
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert {file for file in files if file[0] != "."} == {
        *("recipe.yaml", "manifest.json", "metrics.jsonl", "skipped.csv", "train.log", "result.json"),
        *(
            f"best_model/{name}"
            for name in ("model.safetensors", "model.json", "reference.safetensors", "README.md")
        ),
        "best_model/manifest.json",
        *(f"checkpoints/step-12/{name}.safetensors" for name in ("model", "optim")),
        *(f"checkpoints/step-12/{name}.json" for name in ("state", "manifest")),
    }
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    steps = [("validate", step) for step in (3, 6, 9, 12)]
    assert [(line["list"], line["step"]) for line in lines[:-1]] == steps
    assert lines[-1]["list"] == "test"
    best = max(lines[:-1], key=lambda line: line["accuracy"])  # the first of equals
    assert (run.best_step, run.validate.accuracy) == (best["step"], best["accuracy"])
    assert run.test.count == 12
    assert run.test.accuracy > 0.9  # the classes differ in colour
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert set(manifest["lists"]) == {"train", "validate", "test"}
    _assert_same_figures(task.evaluate("validate"), run.validate)
    assert task.evaluate("test")["accuracy"] == run.test.accuracy


def test_predict_agrees_with_evaluate_whatever_the_batch(module, data, tmp_path):
    task = tiny_task(module, data, tmp_path / "run", strategy=hubtune.FrozenStrategy())
    run = task.finetune_and_eval(callback=Callback())
    examples = hubtune.ListDataset(data).examples("test")
    truth = ["abc"[example.label] for example in examples]
    paths, bad = [str(example.path) for example in examples], tmp_path / "broken.png"
    bad.write_bytes(examples[0].path.read_bytes()[:200])
    whole = task.predict(paths, batch_size=64)
    right = sum(row.label == name for row, name in zip(whole, truth, strict=True))
    loss = -np.mean([math.log(row.scores[name]) for row, name in zip(whole, truth, strict=True)])
    assert run.test.accuracy == right / len(examples)
    assert run.test.loss == pytest.approx(loss, abs=1e-6)
    expected = {row.path: row.scores for row in whole}
    mixed = [paths[5], str(bad), *reversed(paths), "nowhere.jpg"]
    for batch_size in (1, 7, 64):
        rows = task.predict(mixed, batch_size=batch_size)
        assert [row.path for row in rows] == mixed
        errors = [row.error for row in rows if row.error]
        assert errors == ["damaged picture (the file ends too early)", "no such file"]
        assert rows[1].label is None
        assert rows[1]["error"] == rows[1].error
        for row in rows:
            assert row.scores == (pytest.approx(expected[row.path], abs=1e-6) if row.scores else {})
    assert hubtune.load_model(run.path).labels == ["a", "b", "c"]
    assert task.predict([]) == []
    assert type(task.predict([])) is Predictions  # which a notebook shows with pictures
    assert [row.error for row in task.predict(path for path in ["a.png"])] == ["no such file"]


def test_in_a_notebook_a_run_is_shown_in_one_output_and_learns_the_same(module, data, tmp_path, monkeypatch):
    plain = train(module, data, tmp_path / "plain")
    outputs = fake_notebook(monkeypatch)
    monkeypatch.setattr(logger, "handlers", [])
    run = tiny_task(module, data, tmp_path / "run").finetune_and_eval()
    [states] = outputs
    shown = CellHtml(states[-1]["text/html"])
    assert [row[1] for row in shown.rows[1:]] == ["validate", "validate", "test"]
    assert sum(row[-1] == "best" for row in shown.rows) == 1
    assert (run.test, run.best_step) == (plain.test, plain.best_step)
    assert not logger.handlers


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch"])
def test_every_fit_trains_and_is_stored_in_the_model(module, data, tmp_path, fit):
    run = train(module, data, tmp_path / "run", fit=fit, augment="flip", epochs=1)
    model = hubtune.load_model(run.best_model)
    assert model.card.preprocessing.fit == fit
    moved = hubtune.load_model(shutil.move(run.best_model, tmp_path / "moved"))
    paths = [str(example.path) for example in hubtune.ListDataset(data).examples("test")]
    for row, other in zip(model.predict(paths), moved.predict(paths, batch_size=5), strict=True):
        assert (row.label, row.score) == (other.label, pytest.approx(other.score, abs=1e-6))


def test_hidden_units_are_trained_saved_and_loaded(module, data, tmp_path):
    run = train(module, data, tmp_path / "run", hidden_units=[16, 8])
    arrays = weight_arrays(run.best_model)
    shapes = [values.shape for name, values in sorted(arrays.items()) if name.startswith("head")]
    assert [shape for shape in shapes if len(shape) == 2] == [(96, 16), (16, 8), (8, 3)]
    assert hubtune.load_model(run.path).evaluate(hubtune.ListDataset(data), "test") == run.test


def test_class_names_given_in_code_are_written_into_the_run(module, data, tmp_path):
    lists = {"train_list_file": "train_list.txt", "validate_list_file": "validate_list.txt"}
    dataset = hubtune.BaseCVDataset(data, **lists, label_list=["x", "y", "z"])
    task = hubtune.ImageClassifierTask(module, dataset, tiny_config(tmp_path / "run"))
    run = task.finetune_and_eval(callback=Callback())
    assert run.test is None  # there is a test list, but this data set does not name it
    recipe = hubtune.load_recipe(run.path / "recipe.yaml")
    again = hubtune.ImageClassifierTask.from_recipe(recipe, complete=True)
    assert again.dataset.label_list == ["x", "y", "z"]
    assert again.finetune_and_eval(resume=True, callback=Callback()) == run
    _assert_same_figures(again.evaluate("validate"), run.validate)


def test_mistakes_in_python_get_a_sentence(module, data, tmp_path):
    dataset, frozen = hubtune.ListDataset(data), hubtune.RunConfig(strategy="frozen")
    assert frozen.strategy == hubtune.FrozenStrategy()
    alexnet = hubtune.Module("paddle.vision:alexnet", weights=None)
    for arguments, message in (
        (("smallnet", dataset), "module must be a Module, not a str"),
        ((module, dataset, None, [0]), "hidden_units"),
        ((module, dataset, frozen, [8]), "remove hidden_units"),
        ((alexnet, dataset, hubtune.RunConfig(fit="whole")), "224×224 only"),
    ):
        with pytest.raises(hubtune.UsageError, match=message):
            hubtune.ImageClassifierTask(*arguments)
    task = tiny_task(module, data, tmp_path / "run", strategy="frozen")
    with pytest.raises(hubtune.ModelError, match="There is no trained model"):
        task.predict(["a.png"])


@pytest.mark.slow
def test_classes_of_data_and_model_must_agree(module, data, tmp_path):
    run = train_frozen(module, data, tmp_path / "run")
    model = hubtune.load_model(run.path)
    # The same classes in another order, and a list that agrees with it.
    (data / "label_list.txt").write_text("c\nb\na\n")
    lines = [line.rsplit(" ", 1) for line in (data / "test_list.txt").read_text().splitlines()]
    (data / "test_list.txt").write_text("".join(f"{path} {2 - int(label)}\n" for path, label in lines))
    with pytest.raises(hubtune.ModelError, match="another order"):
        model.evaluate(hubtune.ListDataset(data), "test")
    remapped = model.evaluate(hubtune.ListDataset(data), "test", remap_by_name=True)
    assert remapped.accuracy == run.test.accuracy
