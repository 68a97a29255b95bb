"""Networks quantised for OpenVINO: what is joined, what becomes int8, and that nothing is printed."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.exports import trained_run
from support.quantized import write_parts

import hubtune
from hubtune.export.network import ExportNetwork
from hubtune.inference.openvino_program import openvino_core
from hubtune.inference.openvino_quantizer import QUANTIZER


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return hubtune.load_model(trained_run(tmp_path_factory.mktemp("trained")).path)


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    return write_parts(model, QUANTIZER, tmp_path_factory.mktemp("parts"))


def _run(file, pixels):
    compiled = openvino_core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {output.any_name: values for output, values in compiled([pixels]).items()}


def _quantized(file):
    model = openvino_core().read_model(file)
    return [node.get_friendly_name() for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]


def test_joined_parts_in_float32_are_the_whole_network(model, written, tmp_path):
    files, images = written
    QUANTIZER.join([files["views"], files["float32"], files["answers"]], tmp_path / "whole.xml")
    pixels = np.stack(images.pixels)
    outputs = _run(tmp_path / "whole.xml", pixels)
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
    assert (
        files["int8"].with_suffix(".bin").stat().st_size
        < 0.5 * files["float32"].with_suffix(".bin").stat().st_size
    )
    QUANTIZER.join([files["single_view"], files["int8"], files["features"]], tmp_path / "features.xml")
    rows = QUANTIZER.start(tmp_path / "features.xml").begin(images.pixels)()
    QUANTIZER.join([files["single_view"], files["float32"], files["features"]], tmp_path / "exact.xml")
    exact = QUANTIZER.start(tmp_path / "exact.xml").begin(images.pixels)()
    rows, exact = np.array(rows), np.array(exact)
    assert rows.shape == exact.shape
    difference = np.abs(rows - exact).max()
    assert 0 < difference < 0.5 * np.abs(exact).max()
    assert QUANTIZER.content(tmp_path / "features.xml") != QUANTIZER.content(tmp_path / "exact.xml")


def test_quantising_prints_nothing(model, tmp_path, capfd):
    write_parts(model, QUANTIZER, tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert "nncf" not in err.lower()
    assert "%" not in err


def test_neither_openvino_nor_nncf_reports_to_its_maker():
    program = (
        "import sys\n"
        "from hubtune.inference.openvino_quantizer import openvino_core\n"
        "openvino_core()\n"
        "import nncf\n"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert not (Path.home() / "intel").exists()


def test_loggers_of_others_stay_as_they_are(model, tmp_path, caplog):
    kind = logging.getLoggerClass()
    write_parts(model, QUANTIZER, tmp_path)
    assert logging.getLoggerClass() is kind
    logging.getLogger("made.afterwards").warning("heard")
    assert "heard" in caplog.text
