"""Documents of the Open Inference Protocol."""

import pytest

from hubtune.inference.prediction import Prediction
from hubtune.serve.limits import RequestError
from hubtune.serve.open_inference import answer, infer_images, wanted_outputs

TENSOR = {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["QQ=="]}


def test_an_answer_has_the_outputs_that_were_asked_for():
    rows = [Prediction("", "b", 0.75, {"b": 0.75, "a": 0.25})]
    document = {"outputs": [{"name": "scores"}]}
    assert answer("m", ["a", "b"], rows, document) == {
        "model_name": "m",
        "model_version": "1",
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}],
    }
    assert wanted_outputs({}) == ["label", "score", "scores"]


def test_one_or_several_images_are_read():
    assert infer_images({"inputs": [TENSOR]}, 2) == [b"A"]
    assert infer_images({"inputs": [{**TENSOR, "shape": [2, 1], "data": ["QQ==", "QQ=="]}]}, 2) == [b"A"] * 2


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"inputs": [TENSOR, TENSOR]},
        {"inputs": [3]},
        {"inputs": [{**TENSOR, "name": "x"}]},
        {"inputs": [{**TENSOR, "datatype": "FP32"}]},
        {"inputs": [{**TENSOR, "shape": [2]}]},
        {"inputs": [{**TENSOR, "shape": "1"}]},
        {"inputs": [{name: value for name, value in TENSOR.items() if name != "data"}]},
        {"inputs": [TENSOR], "extra": 1},
    ],
)
def test_other_requests_are_refused(document):
    with pytest.raises(RequestError) as refusal:
        infer_images(document, 2)
    assert refusal.value.status == 400


@pytest.mark.parametrize("outputs", [3, [3], [{"name": "x"}], [{}], [{"name": ["label"]}]])
def test_unknown_outputs_are_refused(outputs):
    with pytest.raises(RequestError):
        wanted_outputs({"outputs": outputs})
