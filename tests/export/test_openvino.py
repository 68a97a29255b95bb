"""The OpenVINO export: float32 weights, named outputs, any number of images."""

import numpy as np
from support.paddlehub import exportable_model

from hubtune.export.openvino import write_openvino
from hubtune.inference.openvino_program import openvino_core


def test_the_weights_stay_float32_and_names_are_those_of_the_settings(tmp_path):
    write_openvino(exportable_model(fit="whole"), tmp_path, "name")
    model = openvino_core().read_model(tmp_path / "model.xml")
    assert [output.any_name for output in model.outputs] == ["scores"]
    assert model.inputs[0].any_name == "images"
    assert model.inputs[0].partial_shape.to_string() == "[?,?,?,3]"
    kinds = {op.get_element_type().to_string() for op in model.get_ops() if op.get_type_name() == "Constant"}
    assert "f16" not in kinds
    program = openvino_core().compile_model(model, "CPU")
    scores = program([np.zeros((3, 40, 56, 3), np.uint8)])["scores"]
    assert scores.shape == (3, 3)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
