"""First layers that are adapted to grey pictures and to four channels, in all backbones."""

import numpy as np
import paddle
import pytest
from paddle import nn
from support.backbones import with_small_residuals

from hubtune.errors import ModelError
from hubtune.hub.registry import backbone_preprocessing
from hubtune.models import catalog
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.models.input_channels import adapt_first_layer

ALIKE = (np.ones(3), np.zeros(3))


def smallest():
    records = [min(family, key=lambda record: record.parameters) for family in catalog._FAMILIES]
    return [
        pytest.param(record, id=record.name, marks=[pytest.mark.slow] if record.parameters > 4e6 else [])
        for record in records
    ]


@pytest.mark.parametrize("record", smallest())
@paddle.no_grad()
def test_adapted_backbone_sees_what_it_saw(record):
    own = backbone_preprocessing(record)
    size = own.size if record.size_multiple is None else -(-96 // record.size_multiple) * record.size_multiple
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 4), dtype=np.uint8)
    paddle.seed(0)
    grey, four = Classifier(record, 2), Classifier(record, 2)
    with_small_residuals(grey, record.name)
    four.set_state_dict(grey.state_dict())
    if record.name.startswith("repvgg"):
        with pytest.raises(ModelError, match="stem has 2 convolutions of three channels"):
            grey.take_channels(1, True)
        return

    def features(classifier, channels, seen):
        view = own.override("m", channels=channels)
        classifier.eval()
        classifier.take_channels(channels, view.grey_in_colours)
        return classifier.features(paddle.to_tensor(view.normalise(seen)[None])).numpy()

    in_three = features(grey, 3, np.repeat(pixels[..., :1], 3, axis=2))
    in_colours = features(grey, 3, pixels[..., :3])
    assert grey.adapted is None
    # Grey, borders included, as in three equal channels; four channels as the colours alone
    for classifier, channels, expected in ((grey, 1, in_three), (four, 4, in_colours)):
        found = features(classifier, channels, pixels[..., :channels])
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
        weight = dict(classifier.named_parameters())[classifier.adapted]
        assert weight.shape[1] == channels == classifier.channels
        assert not weight.stop_gradient


def test_grey_has_a_level_for_its_colours_means_and_a_fourth_channel_starts_at_zero_and_learns():
    paddle.seed(0)
    grey, four = Classifier(find("smallnet").backbone, 2), Classifier(find("smallnet").backbone, 2)
    view = backbone_preprocessing(find("resnet18_imagenet").backbone).override("m", channels=1)
    grey.take_channels(1, view.grey_in_colours)
    assert float(grey.state()[grey.adapted.replace("weight", "level")].abs().max()) > 0.01
    four.take_channels(4, ALIKE)
    weight = dict(four.named_parameters())[four.adapted]
    assert (weight[:, 3] == 0).all()
    assert (weight[:, :3] != 0).any()
    four(paddle.randn([2, 4, 32, 32])).sum().backward()
    assert (weight.grad[:, 3] != 0).any()


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        ([nn.Conv2D(12, 4, 3)], 0),
        ([nn.Conv2D(3, 4, 3), nn.Conv2D(3, 4, 1)], 2),
        ([nn.Conv2D(3, 3, 3, groups=3)], 0),
        ([nn.Conv2D(3, 4, 3, padding=1, padding_mode="reflect")], 0),
    ],
)
def test_a_stem_without_one_such_layer_is_refused(layers, count):
    with pytest.raises(ModelError, match=f"^The network's stem has {count} convolutions of three channels"):
        adapt_first_layer(layers, 1, ALIKE)
