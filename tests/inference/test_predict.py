"""Probabilities are those of the mean logits over the views, exact to float64."""

import numpy as np
import pytest
from PIL import Image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.predict import Outputs, mean_rows, predict_scores, softmax


class ViewEngine:
    """Gives each of an image's two views other logits, and features of unit length behind them."""

    def begin(self, arrays):
        features = [[1.0, 0.0], [0.0, 1.0]]
        rows = [[number % 2, 2.0, 3.0, *features[number % 2]] for number in range(len(arrays))]
        return lambda: [np.array(row, np.float32) for row in rows]


def test_logits_and_features_are_averaged_over_the_views(tmp_path):
    image, text = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (8, 8)).save(image)
    text.write_text("no picture")
    view = Preprocessing(size=8, resize=8)
    results = list(
        predict_scores(ViewEngine(), [view, view], [image, text], answers=Outputs(3), batch_size=4, workers=1)
    )
    assert [result.path for result in results] == [image, text]
    powers = np.exp([0.5, 2.0, 3.0])
    np.testing.assert_allclose(results[0].values, powers / powers.sum(), rtol=1e-12)
    np.testing.assert_allclose(results[0].features, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert results[1].values is results[1].features is None
    assert results[1].error.reason == "not a picture that can be read here"


def test_labels_have_probabilities_of_their_own_that_neither_overflow_nor_depend_on_others(tmp_path):
    image = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(image)
    view = Preprocessing(size=8, resize=8)
    several = Outputs(3, multi_label=True)
    [result] = predict_scores(ViewEngine(), [view, view], [image], answers=several, batch_size=4, workers=1)
    np.testing.assert_allclose(result.values, 1 / (1 + np.exp([-0.5, -2.0, -3.0])), rtol=1e-12)
    extreme = several.probabilities(np.float32([-1000, 0, 1000]))
    assert extreme.tolist() == [0.0, 0.5, 1.0]
    logits = np.array([-20.0, 0.3, 15.0])
    np.testing.assert_allclose(several.logits(several.probabilities(logits)), logits, rtol=1e-6)


def test_many_classes_and_large_values_cost_no_digits():
    logits = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    scores = softmax(logits)
    assert scores.dtype == np.float64
    assert scores.sum() == pytest.approx(1.0, abs=1e-12)
    assert softmax(logits + 1000).argmax() == logits.argmax()  # no overflow
    assert mean_rows([np.float32([1e8, 1]), np.float32([1, 2])]).tolist() == [50_000_000.5, 1.5]
