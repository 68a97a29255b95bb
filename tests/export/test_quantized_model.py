"""A model with a quantised backbone predicts, scores and is written as one model."""

import numpy as np
import pytest
from support.exports import trained_run

import hubtune
from hubtune.export.int8 import quantized_model
from hubtune.inference.openvino_program import openvino_core
from hubtune.inference.quantized_backbone import QuantizedBackbone
from hubtune.runs.lists import find_list

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    run = trained_run(tmp_path_factory.mktemp("trained"))
    with quantized_model(hubtune.load_model(run.path), run.path, "openvino") as model:
        dataset, name = find_list(run.path, "test", model.labels)
        yield model, [entry.path for entry in dataset.examples(name)]


def test_scores_are_those_of_prediction_whether_cached_or_not(quantized, monkeypatch):
    model, paths = quantized
    computed = []
    begin = QuantizedBackbone.begin

    def counted(self, arrays):
        computed.append(len(arrays))
        return begin(self, arrays)

    monkeypatch.setattr(QuantizedBackbone, "begin", counted)
    first = [result.values for result in model.score(paths)]
    computed.clear()
    again = [result.values for result in model.score(paths)]
    assert computed == []
    rows = [*model.predict([str(path) for path in paths])]
    assert sum(computed) == 2 * len(paths)  # in two views
    for one, other, row in zip(first, again, rows, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose([row.scores[label] for label in model.labels], one, atol=1e-5)
        assert row.similarity is not None


def test_an_unreadable_image_has_its_reason(quantized, tmp_path):
    model, paths = quantized
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    results = [*model.score([tmp_path / "broken.jpg", paths[0]])]
    assert results[0].values is None
    assert results[0].error is not None
    assert results[1].values.sum() == pytest.approx(1)


def test_the_network_that_is_written_gives_its_scores(quantized, tmp_path):
    model, paths = quantized
    model.write_network(tmp_path / "model.xml")
    compiled = openvino_core().compile_model(
        tmp_path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    from hubtune.data.images.preprocessing import preprocess_views

    view = model.card.preprocessing.model_copy(update={"mirror": False})
    for path, result in zip(paths, model.score(paths), strict=True):
        outputs = compiled([preprocess_views(path, [view])[0][None]])
        scores = next(values for output, values in outputs.items() if output.any_name == "scores")
        np.testing.assert_allclose(scores[0], result.values, atol=1e-5)
