"""The network of an export: from arranged pixels to the scores of prediction."""

import numpy as np
import paddle
import pytest
from support.exports import trained_run
from support.images import noise_image
from support.paddlehub import exportable_model

import hubtune
from hubtune.data.images.preprocessing import preprocess_views
from hubtune.errors import ModelError
from hubtune.export.network import ExportNetwork
from hubtune.inference.model import Model


def _outputs(network, pixels):
    network.eval()
    with paddle.no_grad():
        values = network(paddle.to_tensor(pixels))
    return {name: value.numpy() for name, value in zip(network.outputs, values, strict=True)}


@pytest.mark.slow
def test_views_second_order_features_and_similarities_are_inside(tmp_path):
    run = trained_run(tmp_path)
    model = hubtune.load_model(run.path)
    assert model.card.taps and model.card.further_views[0].mirror
    network = ExportNetwork(model)
    images = [noise_image(50, 40, seed=seed) for seed in range(3)]
    outputs = _outputs(network, np.stack([preprocess_views(image, [network.view])[0] for image in images]))
    for index, row in enumerate(model.predict(images)):
        scores = [row.scores[label] for label in model.labels]
        assert outputs["scores"][index] == pytest.approx(scores, abs=1e-5)
        assert outputs["similarity"][index] == pytest.approx(row.similarity, abs=1e-5)
        assert model.labels[outputs["nearest"][index]] == row.nearest


def test_a_single_mirrored_view_is_mirrored():
    model = exportable_model(fit="stretch", mirror=True)
    network = ExportNetwork(model)
    image = noise_image(50, 40)
    pixels = preprocess_views(image, [network.view])[0]
    [row] = model.predict([image])
    expected = [row.scores[label] for label in model.labels]
    assert _outputs(network, pixels[None])["scores"][0] == pytest.approx(expected, abs=1e-5)
    assert not network.view.mirror


def test_normalised_images_give_the_same_scores():
    model = exportable_model(fit="crop")
    network = ExportNetwork(model, normalised=True)
    image = noise_image(50, 40)
    view = model.card.preprocessing
    normalised = view.normalise(preprocess_views(image, [view])[0])
    [row] = model.predict([image])
    expected = [row.scores[label] for label in model.labels]
    assert _outputs(network, normalised[None])["scores"][0] == pytest.approx(expected, abs=1e-5)
    assert network.description["shape"] == ["N", 3, 32, 32]


def test_the_input_has_any_size_only_where_the_aspect_ratio_is_kept():
    description = ExportNetwork(exportable_model(fit="whole")).description
    assert description["shape"] == ["N", "height", "width", 3]
    assert (description["type"], description["channels"]) == ("uint8", "RGB")
    assert ExportNetwork(exportable_model(fit="pad")).description["shape"] == ["N", 32, 32, 3]


def test_views_that_are_arranged_differently_are_refused():
    model = exportable_model(fit="crop")
    wide = model.card.preprocessing.model_copy(update={"fit": "stretch"})
    card = model.card.model_copy(update={"further_views": [wide]})
    with pytest.raises(ModelError, match=r"several ways \(crop 32, stretch 32\).* use --format paddlehub"):
        ExportNetwork(Model(model.classifier, card))
