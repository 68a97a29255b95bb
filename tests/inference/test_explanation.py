"""Where a model looked: exact for linear heads on maps, in the image's own coordinates."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save
from support.int8 import int8_run
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train, train_frozen

import hubtune
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError, UsageError
from hubtune.hub.file_names import WEIGHTS_FILE
from hubtune.inference.explanation import CellMap, ImageExplanation, explain_images, visible_area
from hubtune.storage.checked_folder import MANIFEST, write_checked


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A frozen model with two views and covariances, and one that was trained with a hidden layer."""
    folder = tmp_path_factory.mktemp("explained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        patch.chdir(folder)
        data = draw_faint_split(folder / "data")
        frozen = train_frozen(smallnet(), data, folder / "frozen", settings={"views": 2})
        trained = train(smallnet(), data, folder / "trained", hidden_units=[8], epochs=1)
    return frozen, trained, sorted((data / "pics").rglob("*.png"))


@pytest.mark.slow
def test_the_shares_of_all_views_add_up_to_the_logits(runs, tmp_path):
    run, _, paths = runs
    model = hubtune.load_model(run.path)
    assert len(model.card.views) == 2
    assert model.card.taps
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    rows = list(explain_images(model, [*paths[:9], broken]))
    assert rows[-1].maps == ()
    assert rows[-1].error == "not a picture that can be read here"
    for row, prediction in zip(rows[:-1], model.predict(paths[:9]), strict=True):
        assert row.is_exact
        assert (row.label, row.score) == (prediction.label, prediction.score)
        logits = [
            np.mean([cells.shares.sum() for cells in other.maps]) + model.head.bias[number]
            for number, label in enumerate(model.labels)
            for other in explain_images(model, [row.path], label=label)
        ]
        powers = np.exp(np.array(logits) - max(logits))
        expected = [prediction.scores[label] for label in model.labels]
        np.testing.assert_allclose(powers / powers.sum(), expected, atol=1e-4)


@pytest.mark.slow
def test_a_second_process_needs_neither_paddle_nor_the_network(runs):
    run, _, paths = runs
    first = next(explain_images(hubtune.load_model(run.path), paths[:1]))
    model = hubtune.load_model(run.path)
    model._read = None  # the network cannot be read any more
    again = next(explain_images(model, paths[:1]))
    np.testing.assert_array_equal(again.maps[0].shares, first.maps[0].shares)


def test_other_heads_are_explained_by_gradients(runs):
    _, run, paths = runs
    row = next(explain_images(hubtune.load_model(run.path), paths[:1]))
    assert not row.is_exact
    heat = row.heat(48, 32)
    assert heat.shape == (32, 48)
    assert heat.max() == pytest.approx(1.0) or not heat.any()


def test_what_cannot_be_explained_is_refused_in_a_sentence(runs):
    run, _, paths = runs
    model = hubtune.load_model(run.path)
    with pytest.raises(UsageError, match="The model has no class 'dog': it has a, b, c"):
        next(explain_images(model, paths[:1], label="dog"))
    with pytest.raises(UsageError, match="Give a list of pictures, even for one"):
        next(explain_images(model, paths[0]))
    card = model.card.model_copy(update={"strategy": "pretrained"})
    with pytest.raises(ModelError, match="was not fine-tuned: explain a run or a model folder"):
        next(explain_images(hubtune.Model(model.classifier, card), paths[:1]))


def test_heat_is_drawn_where_the_cells_are_in_the_image():
    shares = np.zeros((2, 4))
    shares[1, 3] = 2.0
    shares[0, 0] = -5.0  # evidence against the class is not drawn
    row = ImageExplanation("a", "b", 1.0, True, (CellMap(shares, shares * 0, (0.0, 0.0, 1.0, 1.0)),))
    heat = row.heat(400, 200)
    assert heat.shape == (200, 400)
    assert heat.dtype == np.float32
    assert heat.max() == 1.0
    assert heat[150:, 350:].min() == pytest.approx(1.0)
    assert not heat[:, :200].any()
    assert not row.heat(400, 200, mean_only=True).any()
    # A crop shows the middle; a mirror image counts in the coordinates of the image.
    crop = ImageExplanation(
        "a", "b", 1.0, True, (CellMap(np.ones((2, 2)), np.ones((2, 2)), (0.25, 0, 0.75, 1)),)
    )
    heat = crop.heat(80, 10)
    assert not heat[:, :20].any()
    assert (heat[:, 20:60] == 1).all()
    assert not heat[:, 60:].any()


@pytest.mark.parametrize(
    ("options", "size", "area"),
    [
        ({"fit": "whole", "size": 288, "resize": 288}, (640, 480), (0, 0, 1, 1)),
        ({"fit": "stretch", "size": 224, "resize": 224}, (640, 480), (0, 0, 1, 1)),
        ({"fit": "crop", "size": 224, "resize": 256}, (512, 256), (0.28125, 0.0625, 0.71875, 0.9375)),
        ({"fit": "pad", "size": 200, "resize": 200}, (400, 200), (0, -0.5, 1, 1.5)),
    ],
    ids="whole stretch crop pad".split(),
)
def test_the_visible_area_is_that_of_the_preprocessing(options, size, area):
    view = Preprocessing(**options)
    assert visible_area(view, *size) == pytest.approx(area)
    # A bright spot in the middle of the area is in the middle of what the network gets.
    left, top, right, bottom = area
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (left + right) / 2 * size[0], (top + bottom) / 2 * size[1]
    pixels[int(y) - 20 : int(y) + 20, int(x) - 20 : int(x) + 20] = 255
    fitted = np.asarray(view.fit_image(Image.fromarray(pixels)))[..., 0]
    rows, columns = np.nonzero(fitted > 127)
    assert rows.mean() == pytest.approx(fitted.shape[0] / 2, abs=1.5)
    assert columns.mean() == pytest.approx(fitted.shape[1] / 2, abs=1.5)


@pytest.mark.slow
def test_a_model_that_claims_the_backbone_of_another_does_not_change_its_maps(tmp_path):
    data = draw_faint_split(tmp_path / "data", each=6, validate=1, test=1)
    run = train_frozen(hubtune.Module("digitnet"), data, tmp_path / "run", settings={"views": 1})
    files = {file.name: file.read_bytes() for file in run.best_model.iterdir() if file.name != MANIFEST}
    tensors = load(files[WEIGHTS_FILE])
    turned = {name: values if name.startswith("head.") else -values for name, values in tensors.items()}
    write_checked(tmp_path / "other", {**files, WEIGHTS_FILE: save(turned)})
    image = next((data / "pics").rglob("*.png"))
    next(explain_images(hubtune.load_model(tmp_path / "other"), [image]))  # whose program is stored
    model = hubtune.load_model(run.path)
    row, prediction = next(explain_images(model, [image])), next(model.predict([image]))
    logits = [
        next(explain_images(model, [image], label=label)).maps[0].shares.sum() + model.head.bias[number]
        for number, label in enumerate(model.labels)
    ]
    powers = np.exp(np.array(logits) - max(logits))
    expected = [prediction.scores[label] for label in model.labels]
    assert row.is_exact
    np.testing.assert_allclose(powers / powers.sum(), expected, atol=1e-4)


@pytest.mark.slow
def test_a_model_in_int8_says_that_it_has_no_maps(tmp_path):
    run = int8_run(tmp_path)
    path = hubtune.ListDataset(tmp_path).examples("test")[0].path
    message = "Where a model in int8 looked cannot be shown, .*: fine-tune again with -o train.engine=auto"
    with pytest.raises(ModelError, match=message):
        list(explain_images(hubtune.load_model(run.path), [path]))
