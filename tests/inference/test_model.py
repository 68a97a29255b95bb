"""A model predicts and is evaluated alike with every engine, whatever the batch."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from support.images import noise_image
from support.notebooks import CellHtml
from support.orientation import save_oriented
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen

import hubtune
from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.inference.engine_interface import TOLERANCES
from hubtune.inference.model import pretrained_model

SCORES = 1e-4  # how far probabilities of OpenVINO may be from those of Paddle


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose model sees whole images of many shapes."""
    folder = tmp_path_factory.mktemp("engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        patch.chdir(folder)
        data = draw_split(folder / "data", dict.fromkeys("abc", 10), validate=2, noise=120.0)
        return train_frozen(smallnet(), data, folder / "run", fit="whole", engine="paddle")


@pytest.fixture
def mixed(run, tmp_path):
    """Readable and unreadable images of different shapes."""
    paths = sorted((run.path.parent / "data" / "pics").rglob("*.png"))[::3]
    broken, text = tmp_path / "broken.png", tmp_path / "text.png"
    broken.write_bytes(paths[0].read_bytes()[:200])
    text.write_text("no picture")
    return [str(text), *map(str, paths[:4]), str(broken), *map(str, paths[4:])]


def test_predictions_agree_between_engines_and_batches(run, mixed, told):
    expected = list(hubtune.load_model(run.path, engine="paddle").predict(mixed))
    assert [row.path for row in expected] == mixed
    assert [row["label"] is None for row in expected] == [row.error is not None for row in expected]
    assert sum(row.error is not None for row in expected) == 2
    model = hubtune.load_model(run.path, engine="openvino")
    single = [row for path in mixed for row in model.predict([path])]
    assert "engine: openvino" in told.text
    for rows in (single, list(model.predict(mixed, batch_size=3)), list(model.predict(mixed))):
        assert rows == single  # to the bit, whatever the batch
        for row, other in zip(rows, expected, strict=True):
            assert (row.label, row.error) == (other.label, other.error)
            assert row.scores == pytest.approx(other.scores, abs=SCORES)


@pytest.mark.slow
def test_images_in_memory_have_the_scores_of_their_files(run, tmp_path):
    model = hubtune.load_model(run.path, engine="openvino")
    grey, colours = noise_image(70, 50).convert("L"), noise_image(70, 50)
    clear = noise_image(70, 50, mode="RGBA")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for number, image in enumerate((grey, colours, clear, deep)):
        image.save(tmp_path / f"{number}.png")
    save_oriented(tmp_path / "turned.jpg", np.asarray(colours), 6)
    paths = [*sorted(tmp_path.glob("*.png")), tmp_path / "turned.jpg"]
    expected = [row.scores for row in model.predict(paths)]
    opened = [Image.open(path) for path in paths]
    forms = (
        [path.read_bytes() for path in paths],
        opened,
        [np.asarray(Image.open(path)) for path in paths[:-1]],
        [np.asarray(colours)[::-1][::-1, :, ::-1][..., ::-1]] * 3,  # not contiguous, and given three times
    )
    for images, scores in zip(forms, (expected, expected, expected[:-1], [expected[1]] * 3), strict=True):
        rows = list(model.predict(images, batch_size=2))
        assert [row.scores for row in rows] == scores
        assert [row.path for row in rows] == [f"images[{number}]" for number in range(len(images))]
    assert [image.mode for image in opened] == [
        "L",
        "RGB",
        "RGBA",
        "I;16",
        "RGB",
    ]  # not changed
    truncated = paths[0].read_bytes()[:90]
    rows = list(model.predict([truncated, Image.open(io.BytesIO(truncated)), str(paths[0]), b"words"]))
    assert [row.error for row in rows] == [
        *["damaged picture (the file ends too early)"] * 2, None, "not a picture that can be read here",
    ]  # fmt: skip
    assert rows[2].scores == expected[0]


def test_commands_agree_between_engines(run, mixed, run_here, tmp_path):
    def outputs(engine):
        predicted, features = tmp_path / f"{engine}.csv", tmp_path / f"{engine}.npz"
        for command, *options in (("classify", "--csv", predicted, "--scores"), ("embed", "-o", features)):
            done = run_here(command, *mixed, "--module", "digitnet", *options, "--engine", engine)
            assert done.returncode == 0, done.stderr
        return list(csv.DictReader(predicted.open())), np.load(features)

    (expected, arrays), (found, other_arrays) = map(outputs, ("paddle", "openvino"))
    assert [row["path"] for row in found] == list(other_arrays["paths"]) == mixed
    for row, other in zip(found, expected, strict=True):
        assert (row["label"], row["error"]) == (other["label"], other["error"])
        for label in "0123456":
            assert float(row[label] or -1) == pytest.approx(float(other[label] or -1), abs=SCORES)
    assert list(arrays["errors"]) == list(other_arrays["errors"])
    bad = arrays["errors"] != ""
    assert np.isnan(other_arrays["features"][bad]).all()
    for row, other in zip(other_arrays["features"][~bad], arrays["features"][~bad], strict=True):
        assert np.abs(row - other).max() <= TOLERANCES["openvino"] * np.abs(other).max()


@pytest.mark.parametrize(
    "line", ["predict IMAGE --model RUN", "evaluate RUN", "embed IMAGE -o x.npz", "classify IMAGE"]
)
def test_engines_that_are_not_available_are_refused(run, mixed, run_here, line):
    arguments = line.replace("IMAGE", mixed[1]).replace("RUN", str(run.path)).split()
    arguments += ["--module", "digitnet"] if arguments[0] in ("embed", "classify") else []
    for engine, code, message in (
        ("tensorrt", 2, "is not one of 'auto', 'openvino', 'openvino-bf16', 'openvino-int8', 'paddle', "),
        ("paddle-amp", MachineError.exit_code, "Mixed precision needs a GPU"),
    ):
        done = run_here(*arguments, "--engine", engine)
        assert done.returncode == code
        assert message in done.stderr and "Traceback" not in done.stderr


def test_a_batch_of_nothing_and_a_module_without_class_names_are_refused(run):
    for size in (0, 1.5, True):
        with pytest.raises(UsageError, match="batch_size must be a whole number from 1"):
            hubtune.load_model(run.path).predict(["a.jpg"], batch_size=size)
    with pytest.raises(ModelError, match="smallnet has no pretrained classes to name"):
        pretrained_model(smallnet())


@pytest.mark.parametrize("engine", ["paddle", "openvino"])
def test_prediction_without_memory_names_the_batch(run, mixed, monkeypatch, engine):
    monkeypatch.setattr("hubtune.inference.memory.free_bytes", lambda: 1000)
    with pytest.raises(MachineError, match=r"Memory does not hold a batch of \d+ pictures of"):
        next(hubtune.load_model(run.path, engine=engine).predict(mixed))


def test_features_are_of_unit_length_and_those_of_the_scores(run, mixed):
    model = hubtune.load_model(run.path)
    features = model.features(mixed)
    readable = [row.error is None for row in model.predict(mixed)]
    assert features.shape == (len(mixed), model.classifier.width)
    np.testing.assert_allclose(np.linalg.norm(features[readable], axis=1), 1, atol=1e-5)
    assert np.isnan(features[np.logical_not(readable)]).all()
    [scored] = model.score([mixed[1]])
    np.testing.assert_allclose(features[1], scored.features, atol=1e-6)


def test_a_notebook_shows_classes_module_views_and_figures(run):
    model = hubtune.load_model(run.path)
    shown = CellHtml(model._repr_html_())
    rows = {row[0]: row[1:] for row in shown.rows}
    assert rows["classes"] == ["a · b · c"]
    assert (rows["module"], rows["strategy"]) == (["smallnet"], ["frozen"])
    assert rows["views"][0].startswith("whole") and rows["folder"] == [str(run.best_model)]
    assert rows["test"][3] == "12" and rows["validate"][3] == "6"
    assert repr(model) == "Model('smallnet', 3 classes)"


def test_a_notebook_shows_the_first_of_many_classes_and_figures_that_it_knows(run):
    model = hubtune.load_model(run.path)
    fields = {"labels": [f"<{number}>" for number in range(100)], "metrics": {"test": {"acc": 1.0}}}
    model.card = model.card.model_copy(update=fields)
    shown = CellHtml(model._repr_html_())
    assert "<29> and 70 more" in shown.text and "<30>" not in shown.text
    assert "accuracy" not in shown.text
    thresholds = {"multi_label": True, "thresholds": [0.5] * 100}
    model.card = model.card.model_copy(update=thresholds)
    assert CellHtml(model._repr_html_()).rows[0][0] == "labels"
