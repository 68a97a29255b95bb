"""An exported module gives hubtune's scores, whatever it is given; PaddleHub is stood in for."""

from pathlib import Path

import numpy as np
import pytest
from support.paddlehub import (
    assert_same_scores,
    draw_odd_images,
    exportable_model,
    named,
    pretend_paddlehub,
    scores_of,
)

from hubtune.data.images.decode import decode
from hubtune.export.exporter import export_paddlehub
from hubtune.inference.reference import Reference


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_odd_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """Exports a model under a name that no other test imports, and loads the module."""
    load = pretend_paddlehub(monkeypatch)

    def make(model, name):
        export_paddlehub(model, tmp_path / name, name)
        return load(tmp_path / name)

    return make


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch"])
def test_scores_are_hubtunes_with_every_fit(fit, images, exported):
    model = exportable_model(fit=fit, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    loaded, size = exported(model, f"fruit_{fit}"), 1 if fit == "crop" else 4
    assert_same_scores(loaded.predict(images, batch_size=size, top_k=3), scores_of(model, images))


@pytest.mark.parametrize("channels", [1, 4])
def test_scores_are_hubtunes_with_the_models_channels(channels, images, exported):
    model = exportable_model(channels=channels)
    model.classifier.take_channels(channels, model.card.preprocessing.grey_in_colours)
    loaded, expected = exported(model, f"channels_{channels}"), scores_of(model, images)
    assert_same_scores(loaded.predict(images, batch_size=3, top_k=3), expected)
    clear = named(images, "clear.png")
    array = np.asarray(decode(clear, channels=4))[..., [2, 1, 0, 3]]  # as cv2.IMREAD_UNCHANGED gives it
    assert_same_scores(loaded.predict([array], top_k=3), [expected[images.index(clear)]])


def test_arrays_of_opencv_are_taken(images, exported, caplog):
    model = exportable_model()
    loaded = exported(model, "arrays")
    plain, clear = named(images, "plain.png"), named(images, "clear.png")
    bgr = [np.asarray(decode(path))[..., ::-1] for path in (plain, clear)]
    grey, deep = np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint16)
    rows = loaded.predict([bgr[0], None, grey, bgr[1], deep], batch_size=2, top_k=3)
    first, second = scores_of(model, [plain, clear])
    assert_same_scores(rows, [first, {}, {}, second, {}])
    assert "array: is uint16 [9, 9, 3], not uint8 [height, width, 3] as cv2.imread gives" in caplog.text
    assert len(loaded.predict([plain], top_k=2)[0]) == 2
    with pytest.raises(TypeError, match=r"takes a list of pictures, even for one: \['a.jpg'\]"):
        loaded.predict("a.jpg")


def test_the_similarity_to_training_images_is_hubtunes(images, exported):
    model = exportable_model()
    assert exported(model, "without").similarity_threshold is None
    features = np.array([result.features for result in model.score([Path(named(images, "plain.png"))])])
    model.reference = Reference(features.astype(np.float16), np.array([0]), ["plain.png"])
    model.card = model.card.model_copy(update={"similarity_threshold": 0.5})
    loaded = exported(model, "similar")
    assert loaded.similarity_threshold == 0.5
    found, expected = (
        loaded.similarity(images, batch_size=2),
        [row.similarity for row in model.predict(images)],
    )
    assert [value is None for value in found] == [value is None for value in expected]
    for value, own in zip(found, expected, strict=True):
        assert value is None or value == pytest.approx(own, abs=1e-4)
    with pytest.raises(RuntimeError, match="no features of training pictures"):
        exported(exportable_model(), "none").similarity(images)


def test_awkward_files_are_prepared_as_hubtune_does(material, exported):
    model = exportable_model(fit="pad", size=48)
    files = [str(file) for file in (material / "awkward").iterdir() if file.suffix not in (".tsv", ".md")]
    loaded = exported(model, "awkward")
    assert_same_scores(loaded.predict(files, batch_size=8, top_k=3), scores_of(model, files))
