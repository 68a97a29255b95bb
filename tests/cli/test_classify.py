"""``hubtune classify``: a pretrained module names what images show, by its own classes."""

import numpy as np
import paddle
import pytest
from support.commands import json_of

import hubtune
from hubtune.data.images.decode import decode
from hubtune.hub.registry import imagenet_classes

PHOTOS = {"cat_720p.jpg": 285, "hot_dog.jpg": 934, "parrot.jpg": 88}


def test_each_image_gets_a_row_with_the_modules_own_classes(mixed, run_here):
    document = json_of(run_here("classify", "pics", "--module", "digitnet", "--json", "--scores"))
    rows = document["rows"]
    paths = [f"pics/{n}.png" for n in (0, 1, 2, 3, 4, "bad")]
    assert (document["model"], [row["path"] for row in rows]) == ("digitnet", paths)
    assert rows[-1]["error"] == "not a picture that can be read here"
    module = hubtune.Module("digitnet")
    for row in rows[:-1]:
        image = module.preprocessing(decode(row["path"]))[None]
        logits = module.network(paddle.to_tensor(image)).numpy()[0].astype(np.float64)
        scores = np.exp(logits) / np.exp(logits).sum()
        assert set(row["scores"]) == set("0123456")
        np.testing.assert_allclose([row["scores"][name] for name in "0123456"], scores, atol=1e-5)
        assert row["label"] == str(scores.argmax())
        assert [entry["label"] for entry in row["top"]] == [str(n) for n in np.argsort(-scores)[:3]]


def test_a_module_without_class_names_and_no_module_are_refused(mixed, assert_refused):
    assert_refused(
        ("classify pics --module smallnet --weights none.safetensors", 4, "none.safetensors"),
        ("classify pics", 2, "--module"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", ["mobilenetv2_1.0_imagenet.pdparams", "squeezenet1_0_imagenet.safetensors"])
def test_real_weights_name_real_photos(file, material, run_here):
    photos = [material / "weights" / "check_photos" / name for name in PHOTOS]
    rows = json_of(run_here("classify", *photos, "--module", material / "weights" / file, "--json"))["rows"]
    names = imagenet_classes()
    for row, expected in zip(rows, PHOTOS.values(), strict=True):
        assert names[expected] in [entry["label"] for entry in row["top"]]
        if expected != 285:  # the cat's kind is arguable
            assert row["label"] == names[expected]
