"""GoogLeNet, whose official file has three heads."""

import numpy as np
import paddle
import pytest
from paddle.vision import models as paddle_models
from support.backbones import check_name, check_record, check_reference, random_images, records_of

from hubtune.models import googlenet
from hubtune.models.backbone import head_keys
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(googlenet))
def test_a_record_says_what_its_network_is(record):
    check_record(record, head_tensors=6)


def test_scores_are_those_of_paddleclas(material):
    check_reference("GoogLeNet", material)


def test_names_of_paddlecv_are_known():
    check_name("GoogleNet", "googlenet_imagenet", 70.7)


def test_names_of_paddlehub_and_paddleclas_mean_the_same():
    assert find("GoogLeNet") is find("GoogleNet")


@paddle.no_grad()
def test_the_output_is_the_main_one_of_paddles_own():
    theirs = paddle_models.googlenet()
    ours = find("googlenet_imagenet").backbone.build(num_classes=1000)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    ours.set_state_dict(theirs.state_dict())
    theirs.eval()
    ours.eval()
    images = random_images(224)
    np.testing.assert_allclose(ours(images).numpy(), theirs(images)[0].numpy(), atol=1e-6)


def test_for_other_classes_only_the_head_differs_from_the_official_file():
    record = find("googlenet_imagenet").backbone
    network = record.build(num_classes=5)
    official = {key: value.shape for key, value in paddle_models.googlenet().state_dict().items()}
    other = {key for key, value in network.state_dict().items() if value.shape != official[key]}
    assert other == head_keys(network, record.stages(network))
