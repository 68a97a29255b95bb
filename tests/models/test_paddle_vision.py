"""The networks of ``paddle.vision``, with Paddle's own files."""

import re

import numpy as np
import paddle
import pytest
from paddle.vision import models as paddle_models
from PIL import Image
from safetensors.numpy import load_file
from support.backbones import shapes

from hubtune.models import paddle_vision
from hubtune.models.catalog import BY_NAME, find


def test_every_classifier_of_paddle_is_there_with_its_weights_from_paddles_own_tables():
    functions = {name for name in paddle_models.__all__ if name.islower()}
    known = {name.partition(":")[2] for name in BY_NAME if name.startswith("paddle.vision:")}
    assert known == functions
    without = [record.name for record in paddle_vision.BACKBONES if record.weights is None]
    assert without == ["paddle.vision:vgg11", "paddle.vision:vgg13"]
    for weights in filter(None, (record.weights for record in paddle_vision.BACKBONES)):
        assert re.fullmatch(r"https://[\w./-]+\.bcebos\.com/[\w./-]+\.pdparams", weights.url)
        assert re.fullmatch("[0-9a-f]{32}", weights.md5)


@pytest.mark.parametrize(
    ("name", "file"), [("mobilenet_v2", "mobilenetv2_1.0"), ("squeezenet1_0", "squeezenet1_0")]
)
@paddle.no_grad()
def test_real_weights_fit_and_recognise_a_photo(name, file, material):
    record = find(f"paddle.vision:{name}").backbone
    network = record.build(num_classes=1000)
    network.eval()
    weights = load_file(material / "weights" / f"{file}_imagenet.safetensors")
    assert {key: list(value.shape) for key, value in weights.items()} == shapes(network)
    network.set_state_dict(weights)
    with Image.open(material / "weights" / "check_photos" / "parrot.jpg") as photo:
        photo = photo.convert("RGB").resize((record.input_size, record.input_size), Image.Resampling.BILINEAR)
    values = (np.asarray(photo, "float32") / 255 - np.float32(record.mean)) / np.float32(record.std)
    macaw = 88
    assert network(paddle.to_tensor(values.transpose(2, 0, 1)[None])).argmax().item() == macaw
