"""The Paddle export: Paddle Inference and PaddleX 3 run it."""

import json
import os
import subprocess

import numpy as np
import pytest
import yaml
from PIL import Image
from support.exports import trained_run
from support.images import noise_image
from support.paddlehub import exportable_model
from support.waiting import HANG_SECONDS

import hubtune
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.errors import ModelError
from hubtune.export.exporter import export_model
from hubtune.export.paddle import arrange_as_paddle, paddlex_name, write_paddle


@pytest.mark.parametrize("fit, first", [("crop", {"resize_short": 36}), ("stretch", {"size": [32, 32]})])
def test_the_description_says_how_paddlex_prepares_images(fit, first, tmp_path):
    write_paddle(exportable_model(fit=fit), tmp_path, "name")
    description = yaml.safe_load((tmp_path / "inference.yml").read_text(encoding="utf-8"))
    steps = description["PreProcess"]["transform_ops"]
    assert first.items() <= steps[0]["ResizeImage"].items()
    assert steps[0]["ResizeImage"]["backend"] == "pil"
    assert any("CropImage" in step for step in steps) == (fit == "crop")
    assert steps[-1] == {"ToCHWImage": None}
    labels = description["PostProcess"]["Topk"]
    assert (labels["topk"], labels["label_list"]) == (3, ["安崎", 'a "quoted" \\name', "pear, ripe"])


def test_networks_that_paddlex_knows_have_their_name_and_others_a_similar_one():
    assert paddlex_name("resnet50_vd_imagenet") == "ResNet50_vd"
    assert paddlex_name("mobilenet_v2_imagenet") == "MobileNetV2_x1_0"
    assert paddlex_name("smallnet") == paddlex_name("module.py") == "ResNet50"


def test_images_of_other_channels_are_refused_before_any_work(tmp_path):
    with pytest.raises(ModelError, match="this one takes grey: use --format onnx or openvino"):
        export_model(exportable_model(fit="whole", channels=1), tmp_path / "made", "paddle")


def test_resizing_first_and_cropping_then_is_hardly_differs(tmp_path):
    view = Preprocessing(size=32, resize=36)
    for number, (width, height) in enumerate([(60, 48), (48, 60), (40, 40)]):
        path = tmp_path / f"{number}.png"
        noise_image(width, height, seed=number).save(path)
        own, other = preprocess_views(path, [view])[0], arrange_as_paddle(path, view)
        assert np.abs(own.astype(int) - other).max() <= 2  # of noise


def test_a_network_without_second_order_features_gives_the_same_answers(tmp_path):
    # With oneDNN, Paddle Inference once overwrote the features before the head read them.
    export = export_model(exportable_model(fit="crop"), tmp_path / "made", "paddle")
    assert export.parity.pixels.labels == 0
    assert export.parity.pixels.scores < 1e-5


PREDICT = """
import json, sys
from paddlex import create_model
import yaml
folder, paths = sys.argv[1], sys.argv[2:]
name = yaml.safe_load(open(f"{folder}/inference.yml", encoding="utf-8"))["Global"]["model_name"]
model = create_model(model_name=name, model_dir=folder, device="cpu")
for path in paths:
    (result,) = model.predict(path)
    answer = result.json["res"]
    print("ROW", json.dumps([answer["label_names"], [float(score) for score in answer["scores"]]]))
"""


@pytest.mark.slow
def test_paddlex_loads_the_folder_and_gives_the_same_answers(tmp_path):
    python = os.environ.get("HUBTUNE_TEST_PADDLEX")
    if not python:
        pytest.skip("HUBTUNE_TEST_PADDLEX is not set: no Python with paddlex[cv] 3")
    run = trained_run(tmp_path)
    export = export_model(hubtune.load_model(run.path), tmp_path / "made", "paddle")
    paths = sorted(map(str, (tmp_path / "pics").rglob("*.jpg"))) or sorted(
        map(str, (tmp_path / "pics").rglob("*.png"))
    )
    Image.open(paths[0]).close()
    environment = {"PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True", "PADDLE_PDX_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [python, "-c", PREDICT, export.folder, *paths],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=HANG_SECONDS,
        check=False,
    )
    rows = [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("ROW ")]
    assert len(rows) == len(paths), done.stderr[-2000:]
    from support.exports import run_script

    for (labels, scores), row in zip(rows, run_script(export.folder, *paths), strict=True):
        assert dict(zip(labels, scores, strict=True)) == pytest.approx(row["scores"], abs=0.02)
