"""``hubtune embed``: a row of features for each image."""

import csv
import json

import numpy as np
import paddle
import pytest
from support.images import draw_mixed_folder

import hubtune
from hubtune.data.images.decode import decode


@pytest.fixture(autouse=True)
def _digits(tmp_path):
    draw_mixed_folder(tmp_path / "pics")


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_each_image_gets_a_row_of_features(ending, tmp_path, run_here):
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


def test_wrong_targets_are_refused_before_any_work(tmp_path, run_here):
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
