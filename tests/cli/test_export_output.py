"""What ``hubtune export`` prints of int8 and of a bench."""

import pytest

from hubtune.cli.export_output import export_as_dict, print_export
from hubtune.evaluation.metrics import Metrics
from hubtune.export.benchmark import BenchRow, SpeedRatio
from hubtune.export.exporter import Export
from hubtune.export.int8 import Int8Report
from hubtune.export.int8_accuracy import Int8Accuracy

ACCURACY = Int8Accuracy(
    calibration_images=300,
    head_solved=True,
    count=120,
    float32=0.85,
    float32_interval=(0.77, 0.9),
    int8=0.84,
    int8_interval=(0.76, 0.89),
    loss=0.01,
    standard_error=0.02,
    agreement=0.95,
)
SPEED = SpeedRatio(26.0, 13.0, 2.0, 88, 9_000_000, 3_000_000)


def _export(folder, accuracy=None):
    metrics = accuracy and Metrics(accuracy, 0.4, 120, (0.77, 0.9))
    name = accuracy and "validate"
    rows = [
        BenchRow("hubtune (openvino)", "float32", name, metrics, 26.44, 10_400_000),
        BenchRow("OpenVINO", "int8", name, metrics, 13.0, 3_000_000),
    ]
    return Export(folder, "openvino", None, 0, {}, Int8Report(ACCURACY, SPEED), rows)


def test_int8_and_a_bench_are_printed(tmp_path, capsys):
    print_export(_export(tmp_path, 0.85))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[:3] == [
        "int8: its steps were chosen on 300 training pictures, and the head was solved again on its features",
        "On the 120 validation pictures 84.0 % (95 % interval 76.0–89.0 %), in float32 85.0 % (95 % interval "
        "77.0–90.0 %); the same label for 95.0 %",
        "2.00 times as fast as float32 on this machine (13.0 ms a picture instead of 26.0), 3 MB instead of "
        "9 MB",
    ]
    assert [line.split() for line in lines[3:4] + lines[5:]] == [
        "program numbers accuracy on the validation list ms a picture MB".split(),
        "hubtune (openvino) float32 85.0 % 26.4 10.4".split(),
        "OpenVINO int8 85.0 % 13.0 3.0".split(),
    ]


def test_json_is_not_rounded(tmp_path):
    found = export_as_dict(_export(tmp_path, 0.85))
    assert found["int8"]["accuracy"]["loss"] == 0.01
    assert found["int8"]["speed"]["ratio"] == 2.0
    assert found["bench"][0]["milliseconds"] == 26.44
    assert found["bench"][0]["accuracy"]["interval"] == [0.77, 0.9]


def test_without_a_list_the_accuracy_is_unknown(tmp_path, capsys):
    print_export(_export(tmp_path))
    out = capsys.readouterr().out
    assert out.count("unknown") == 2
    assert " list" not in out


@pytest.mark.parametrize("form", ["paddle", "paddlehub"])
def test_formats_without_int8_are_refused(form, tmp_path, run_here):
    done = run_here("export", tmp_path, "--format", form, "--int8")
    assert (done.returncode, "has no int8: use --format onnx or openvino" in done.stderr) == (2, True)
