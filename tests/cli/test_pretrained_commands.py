"""`classify`, `embed` and `evaluate --module`: a pretrained module used as it is."""

import csv
import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

import hubtune
from hubtune.data.images.decode import decode
from hubtune.evaluation.metrics import measure
from hubtune.hub.registry import imagenet_classes

PHOTOS = {"cat_720p.jpg": 285, "hot_dog.jpg": 934, "parrot.jpg": 88}


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Drawn pictures of any kind; what digitnet takes them for does not matter here."""
    folder = tmp_path / "pics"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "bad.png").write_bytes(b"nothing")
    return folder


def test_classify_gives_a_row_a_picture_with_the_modules_own_classes(digits, tmp_path, run_here):
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


def test_classify_needs_named_classes(tmp_path, digits, run_here):
    refused = run_here("classify", "pics", "--module", "smallnet", "--weights", "none.safetensors")
    assert refused.returncode == 4
    refused = run_here("classify", "pics", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--module" in refused.stderr


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_embed_writes_a_row_a_picture(ending, digits, tmp_path, run_here):
    file = tmp_path / f"features.{ending}"
    done = run_here("embed", "pics", "--module", "digitnet", "-o", file, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["count"], said["width"], said["unreadable"]) == (6, 96, 1)
    if ending == "npz":
        with np.load(file, allow_pickle=False) as arrays:
            paths, errors = arrays["paths"].tolist(), arrays["errors"].tolist()
            features = arrays["features"]
        assert features.dtype == np.float32
        assert np.isnan(features[5]).all()
    else:
        with file.open(newline="", encoding="utf-8") as text:
            header, *rows = csv.reader(text)
        assert header == ["path", "error", *(f"f{n}" for n in range(96))]
        paths, errors = [row[0] for row in rows], [row[1] for row in rows]
        assert rows[5][2:] == [""] * 96
        features = np.array([row[2:] for row in rows[:5]], np.float32)
    assert paths == [*(f"pics/{n}.png" for n in range(5)), "pics/bad.png"]
    assert errors == [""] * 5 + ["not a picture that can be read here"]
    module = hubtune.Module("digitnet")

    for path, row in zip(paths[:5], features, strict=False):
        image = module.preprocessing(decode(tmp_path / path))[None]
        with paddle.no_grad():
            expected = module.features(paddle.to_tensor(image)).numpy()[0]
            np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_embed_refuses_before_any_work(digits, tmp_path, run_here):
    common = ("embed", "pics", "--module", "digitnet", "-o")
    for target, said in (
        ("x.txt", "ends in .npz or .csv"),
        ("none/x.npz", "There is no folder none"),
        ("pics", "ends in .npz or .csv"),
    ):
        refused = run_here(*common, target, cwd=tmp_path)
        assert refused.returncode == 2
        assert said in refused.stderr
    refused = run_here("embed", "pics/bad.png", "--module", "digitnet", "-o", "x.npz", cwd=tmp_path)
    assert refused.returncode == 3


def test_evaluate_measures_a_module_on_a_list_of_class_numbers(digits, tmp_path, run_here):
    rows = json.loads(
        run_here("classify", "pics", "--module", "digitnet", "--json", "--top", 7, cwd=tmp_path).stdout
    )["rows"][:5]
    # Right, second, fifth, sixth and last: two ways to be wrong that top-5 forgives, two that it does not.
    labels = [int(row["top"][place]["label"]) for row, place in zip(rows, (0, 1, 4, 5, 6), strict=True)]
    lines = [f"{row['path']} {label}\n" for row, label in zip(rows, labels, strict=True)]
    (tmp_path / "val_list.txt").write_text("".join(lines) + "pics/bad.png 0\n")
    (tmp_path / "label_list.txt").write_text("other\nnames\n")  # the numbers are the module's own
    done = run_here("evaluate", "--module", "digitnet", "--on", "val_list.txt", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["accuracy"] == 1 / 5
    assert figures["top5"] == 3 / 5
    assert (figures["count"], figures["unreadable"]) == (5, 1)
    shown = run_here("evaluate", "--module", "digitnet", "--on", "val_list.txt", cwd=tmp_path)
    assert "20.0 % (1 of 5 right; 95 % interval 3.6–62.4 %; top-5 60.0 %; 1 unreadable)" in shown.stdout


def test_evaluate_of_a_module_needs_a_list_and_no_run(digits, tmp_path, run_here):
    for arguments, said in (
        ((), "Name the list to measure on"),
        (("--on", "test"), "no such list file"),
        (("runs/x", "--on", "val_list.txt"), "either the run"),
    ):
        refused = run_here("evaluate", *arguments, "--module", "digitnet", cwd=tmp_path)
        assert refused.returncode == 2, refused.stderr
        assert said in refused.stderr
    (tmp_path / "val_list.txt").write_text("pics/0.png 7\n")
    refused = run_here("evaluate", "--module", "digitnet", "--on", "val_list.txt", cwd=tmp_path)
    assert refused.returncode == 3


def test_top5_says_nothing_with_five_classes():
    assert measure([np.full(5, 0.2)], [4]).top5 is None
    # Of equal scores the first class's counts as the higher one, as it does for the accuracy.
    assert measure([np.full(6, 1 / 6)] * 2, [4, 5]).top5 == 0.5


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
