"""Networks quantised for ONNX Runtime: what is joined, what becomes int8, and that nothing is printed."""

import numpy as np
import onnx
import onnxruntime
import pytest
from support.exports import trained_run
from support.quantized import write_parts

import hubtune
from hubtune.export.network import ExportNetwork
from hubtune.export.onnx_int8 import QUANTIZER


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return hubtune.load_model(trained_run(tmp_path_factory.mktemp("trained")).path)


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    return write_parts(model, QUANTIZER, tmp_path_factory.mktemp("parts"))


def _run(file, pixels):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": pixels}), strict=True))


def _quantized(file):
    return [node.name for node in onnx.load(file).graph.node if node.op_type == "QuantizeLinear"]


def test_joined_parts_in_float32_are_the_whole_network(model, written, tmp_path):
    files, images = written
    QUANTIZER.join([files["views"], files["float32"], files["answers"]], tmp_path / "whole.onnx")
    pixels = np.stack(images.pixels)
    outputs = _run(tmp_path / "whole.onnx", pixels)
    assert [*outputs] == ExportNetwork(model).outputs
    network = ExportNetwork(model)
    network.eval()
    import paddle

    with paddle.no_grad():
        expected = [values.numpy() for values in network(paddle.to_tensor(pixels))]
    for values, other in zip(outputs.values(), expected, strict=True):
        np.testing.assert_allclose(values, other, rtol=1e-4, atol=1e-5)


def test_only_the_backbone_is_quantised(written, tmp_path):
    files, images = written
    assert _quantized(files["int8"])
    assert not any(_quantized(files[name]) for name in ("views", "float32", "answers"))
    assert files["int8"].stat().st_size < 0.5 * files["float32"].stat().st_size
    QUANTIZER.join([files["single_view"], files["int8"], files["features"]], tmp_path / "features.onnx")
    rows = QUANTIZER.start(tmp_path / "features.onnx").begin(images.pixels)()
    QUANTIZER.join([files["single_view"], files["float32"], files["features"]], tmp_path / "exact.onnx")
    exact = QUANTIZER.start(tmp_path / "exact.onnx").begin(images.pixels)()
    rows, exact = np.array(rows), np.array(exact)
    assert rows.shape == exact.shape
    difference = np.abs(rows - exact).max()
    assert 0 < difference < 0.5 * np.abs(exact).max()
    assert QUANTIZER.content(tmp_path / "features.onnx") != QUANTIZER.content(tmp_path / "exact.onnx")


def test_quantising_prints_nothing(model, tmp_path, capfd):
    write_parts(model, QUANTIZER, tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert "quantiz" not in err.lower()
    assert "%" not in err
