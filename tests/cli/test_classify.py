"""``hubtune classify``: a pretrained module names what images show, by its own classes."""

import json

import numpy as np
import paddle
import pytest
from support.images import draw_mixed_folder

import hubtune
from hubtune.data.images.decode import decode
from hubtune.hub.registry import imagenet_classes

PHOTOS = {"cat_720p.jpg": 285, "hot_dog.jpg": 934, "parrot.jpg": 88}


@pytest.fixture
def digits(tmp_path):
    return draw_mixed_folder(tmp_path / "pics")


def test_each_image_gets_a_row_with_the_modules_own_classes(digits, tmp_path, run_here):
    done = run_here("classify", "pics", "--module", "digitnet", "--json", "--scores", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["model"] == "digitnet"
    rows = document["rows"]
    assert [row["path"] for row in rows] == [f"pics/{n}.png" for n in (0, 1, 2, 3, 4)] + ["pics/bad.png"]
    assert rows[-1]["error"] == "not a picture that can be read here"
    module = hubtune.Module("digitnet")
    for row in rows[:-1]:
        image = module.preprocessing(decode(tmp_path / row["path"]))[None]
        logits = module.network(paddle.to_tensor(image)).numpy()[0].astype(np.float64)
        scores = np.exp(logits) / np.exp(logits).sum()
        assert set(row["scores"]) == set("0123456")
        np.testing.assert_allclose([row["scores"][name] for name in "0123456"], scores, atol=1e-5)
        assert row["label"] == str(scores.argmax())
        assert [entry["label"] for entry in row["top"]] == [str(n) for n in np.argsort(-scores)[:3]]


def test_a_module_without_class_names_and_no_module_are_refused(tmp_path, digits, run_here):
    refused = run_here("classify", "pics", "--module", "smallnet", "--weights", "none.safetensors")
    assert refused.returncode == 4
    refused = run_here("classify", "pics", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--module" in refused.stderr


@pytest.mark.parametrize("file", ["mobilenetv2_1.0_imagenet.pdparams", "squeezenet1_0_imagenet.safetensors"])
def test_real_weights_name_real_photos(file, material, run_here):
    photos = [material / "weights" / "check_photos" / name for name in PHOTOS]
    weights = material / "weights" / file
    done = run_here("classify", *photos, "--module", weights, "--json")
    assert done.returncode == 0, done.stderr
    names = imagenet_classes()
    for row, expected in zip(json.loads(done.stdout)["rows"], PHOTOS.values(), strict=True):
        assert names[expected] in [entry["label"] for entry in row["top"]]
        if expected != 285:  # the cat's kind is arguable
            assert row["label"] == names[expected]
