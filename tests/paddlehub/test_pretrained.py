"""PaddleHub's module describes its input, gives its variables, and classifies by its own classes."""

import numpy as np
import paddle
import pytest
from PIL import Image
from support.fluid import module_bytes, static_state, write_parameters

import hubtune.paddlehub as hub
from hubtune.errors import DataError, ModelError, UsageError
from hubtune.models.catalog import find


@pytest.fixture(scope="module")
def module():
    return hub.Module("digitnet")


@pytest.fixture
def zero(tmp_path):
    pixels = np.full((40, 40, 3), (255, 0, 0), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_a_module_describes_its_input_and_its_variables(module, told):
    assert (module.get_expected_image_width(), module.get_expected_image_height()) == (32, 32)
    assert len(module.get_pretrained_images_mean()) == len(module.get_pretrained_images_std()) == 3
    inputs, outputs, program = module.context(trainable=False)
    assert ([*inputs], [*outputs]) == (["image"], ["feature_map", "classification"])
    assert isinstance(program, paddle.static.Program)
    assert (outputs["feature_map"].module, outputs["feature_map"].trainable) == (module.module, False)
    assert inputs[0] is inputs["image"] and outputs[1] is outputs["classification"]
    shapes = [inputs[0].shape, *(each.shape for each in outputs.values())]
    assert shapes == [(-1, 3, 32, 32), (-1, 96), (-1, 7)]
    assert told.messages == [
        f"{len(module.module.network.state_dict())} pretrained paramaters loaded by PaddleHub"
    ]
    assert not module.context(False)[1][0].trainable  # as modules of PaddleHub 1.7 took it
    assert module.context(False, False)[1][0].module.weights is None
    assert module.context("feature_map", False, True)[1][0].trainable
    random = module.context(pretrained=False)[1]["feature_map"].module
    assert (random.weights, told.messages[-1]) == (None, "0 pretrained paramaters loaded by PaddleHub")


def test_pictures_are_classified_in_the_forms_of_both_versions(module, zero):
    [answer] = module.classification(paths=[str(zero)], top_k=2)
    assert len(answer) == 2
    assert [*answer.values()] == sorted(answer.values(), reverse=True)
    best = dict([next(iter(answer.items()))])
    assert module.classification(data={"image": [str(zero)]}) == [[pytest.approx(best)]]
    with Image.open(zero) as image:
        blue_first = np.asarray(image)[..., ::-1]
    assert module.classify(images=[blue_first]) == [pytest.approx(best, abs=1e-6)]


def test_a_folder_of_paddlehub_1_gives_its_own_weights(tmp_path, told):
    backbone = find("shufflenet_v2_x0_25_imagenet").backbone
    paddle.seed(5)
    network = backbone.build(num_classes=1000)
    values = static_state(backbone, network)
    folder = tmp_path / "mynet"  # whatever it is called
    write_parameters(folder / "model", {f"@HUB_{backbone.name}@{name}": v for name, v in values.items()})
    (folder / "module_desc.pb").write_bytes(module_bytes(backbone.name))
    (folder / "model" / "__model__").write_bytes(b"a program")
    for module in (
        hub.Module(name=str(folder)),
        hub.Module(directory=folder),
        hub.Module(module_dir=[str(folder), "1.0.0"], version="1.0.0"),
    ):
        states = (module.module.network.state_dict(), network.state_dict())
        for own, saved in zip(*(state.values() for state in states), strict=True):
            np.testing.assert_array_equal(own.numpy(), saved.numpy())
    assert told.messages == ["version='1.0.0' has no effect: hubtune has one version of each module"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "module_desc.pb").touch()
    with pytest.raises(ModelError, match="empty"):
        hub.Module(directory=tmp_path / "empty")


def test_wrong_calls_are_refused(module, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for call, kind, message in (
        (hub.Module, UsageError, r"Give the module's name: hub\.Module\(name=…\)"),
        (
            lambda: hub.Module("digitnet", label_list=["a"]),
            UsageError,
            "no argument 'label_list': it belongs to",
        ),
        (lambda: module.predict, UsageError, "Module has no 'predict': it belongs to PaddleHub 2"),
        (lambda: hub.Module("no_such_net"), ModelError, "There is no module 'no_such_net'"),
        (
            lambda: module.context(sign_name="x"),
            UsageError,
            "There is no signature 'x': it may be feature_map or",
        ),
        (
            lambda: module.context(regularizer=1),
            UsageError,
            "context.. takes no regularizer: give hub.Default",
        ),
        (
            lambda: module.context()[1]["pooled"],
            UsageError,
            "There is no variable 'pooled': there are feature",
        ),
        (lambda: module.classification(), UsageError, "Give the pictures: paths="),
        (lambda: module.classification(paths=["a"], top_k=0), UsageError, "top_k must be 1 or more, not 0"),
        (lambda: module.classification(paths=[tmp_path / "broken.png"]), DataError, "broken.png: "),
        (lambda: module.program, UsageError, "Module has no 'program': hubtune has no programs of Paddle 1"),
        (
            lambda: module.context()[0][0].block,
            UsageError,
            "Variable has no 'block': hubtune has no programs",
        ),
    ):
        with pytest.raises(kind, match=message):
            call()
