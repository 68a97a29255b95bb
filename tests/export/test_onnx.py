"""The ONNX export: what other programs find in the file."""

import onnx
from support.paddlehub import exportable_model

from hubtune.export.onnx import write_onnx


def test_the_file_is_valid_and_the_same_every_time(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_onnx(exportable_model(fit="whole"), tmp_path / name, "name")
    content = (tmp_path / "one/model.onnx").read_bytes()
    assert content == (tmp_path / "two/model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.input] == ["images"]
    assert [each.name for each in model.graph.output] == ["scores"]
    sides = [side.dim_param or side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides[3] == 3 and all(isinstance(side, str) for side in sides[:3])
