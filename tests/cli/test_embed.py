"""``hubtune embed``: a row of features for each image."""

import csv
from pathlib import Path

import numpy as np
import paddle
import pytest
from support.commands import json_of

import hubtune
from hubtune.data.images.decode import decode


@pytest.mark.parametrize("file", ["features.npz", "features.csv"])
def test_each_image_gets_a_row_of_features(mixed, file, run_here):
    written = json_of(run_here("embed", "pics", "--module", "digitnet", "-o", file, "--json"))
    assert (written["count"], written["width"], written["unreadable"]) == (6, 96, 1)
    if file.endswith("npz"):
        with np.load(file, allow_pickle=False) as arrays:
            paths, errors = arrays["paths"].tolist(), arrays["errors"].tolist()
            features = arrays["features"]
        assert features.dtype == np.float32
        assert np.isnan(features[5]).all()
    else:
        with Path(file).open(newline="", encoding="utf-8") as text:
            header, *rows = csv.reader(text)
        assert header == ["path", "error", *(f"f{n}" for n in range(96))]
        paths, errors = [row[0] for row in rows], [row[1] for row in rows]
        assert rows[5][2:] == [""] * 96
        features = np.array([row[2:] for row in rows[:5]], np.float32)
    assert paths == [*(f"pics/{n}.png" for n in range(5)), "pics/bad.png"]
    assert errors == [""] * 5 + ["not a picture that can be read here"]
    module = hubtune.Module("digitnet")
    for path, row in zip(paths[:5], features, strict=False):
        image = module.preprocessing(decode(path))[None]
        with paddle.no_grad():
            expected = module.features(paddle.to_tensor(image)).numpy()[0]
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_wrong_targets_and_unreadable_images_are_refused(mixed, run_here, assert_refused):
    assert_refused(
        (
            "embed pics --module digitnet -o x.npz --engine openvino-int8",
            2,
            "is for models that were fine-tuned with it",
        ),
        ("embed pics --module digitnet -o x.txt", 2, "ends in .npz or .csv"),
        ("embed pics --module digitnet -o none/x.npz", 2, "There is no folder none"),
        ("embed pics/bad.png --module digitnet -o x.npz", 3, "1 of 1 pictures could not be read"),
    )
