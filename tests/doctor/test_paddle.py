"""Broken installations of Paddle, and GPUs that it cannot use."""

import sys

import pytest

from hubtune.doctor import paddle
from hubtune.doctor.check import BAD, GOOD, NOTE
from hubtune.doctor.import_probe import ImportResult
from hubtune.doctor.paddle import Driver, check_gpu, check_paddle_build, parse_driver, read_driver

CPU, GPU = {"paddlepaddle": "3.3.1"}, {"paddlepaddle-gpu": "3.3.1"}
NO_DRIVER, DRIVER = Driver(), Driver("550.54.15", "12.4")
MISSING = ImportResult("No module named 'paddle'", missing="paddle", fault="paddle")
SMI = """+-----------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4     |
"""


def _check(versions, result, *, has_avx=True, driver=NO_DRIVER):
    return check_paddle_build(versions, result, has_avx=has_avx, driver=driver)


@pytest.mark.parametrize(
    ("versions", "result", "words", "cure"),
    [
        ({}, MISSING, "PaddlePaddle is not installed", "setuptools"),
        (
            {**CPU, **GPU},
            ImportResult(),
            "are both installed: the files of one overwrite",
            '"paddlepaddle>=3.1"',
        ),
        ({"paddlepaddle": "2.6.2"}, ImportResult(), "is older than 3.1", '"paddlepaddle>=3.1"'),
        (
            CPU,
            ImportResult("x", crash="SIGILL"),
            "an instruction that this processor lacks",
            "OPENBLAS_CORETYPE",
        ),
        (
            CPU,
            ImportResult("No module named 'httpx'", missing="httpx", fault="paddle"),
            "httpx",
            "paddlepaddle",
        ),
        (CPU, ImportResult("x", missing="setuptools", fault="paddle"), "be loaded: x", "install setuptools"),
        (CPU, ImportResult("undefined symbol: y"), "undefined symbol: y", "--no-deps paddlepaddle"),
        (CPU, ImportResult("x", fault="numpy"), "because NumPy cannot be loaded", "--no-deps numpy"),
        (
            GPU,
            ImportResult("libcudnn.so.9"),
            "for GPUs cannot be loaded: libcudnn.so.9",
            "cu126/ paddlepaddle-gpu==3.3.1",
        ),
    ],
)
def test_what_is_wrong_with_paddle_and_its_cure(versions, result, words, cure):
    check = _check(versions, result)
    assert check.state == BAD and words in check.finding and check.cure.endswith(cure), check


def test_a_missing_library_is_installed_by_the_system(monkeypatch):
    monkeypatch.setattr(paddle, "install_system_package", lambda apt, dnf: f"install {apt} or {dnf}")
    problem = "libgomp.so.1: cannot open shared object file: No such file or directory"
    assert _check(CPU, ImportResult(problem)).cure == "install libgomp1 or libgomp"


def test_a_processor_without_avx_is_named():
    check = _check(CPU, ImportResult("x", crash="SIGILL"), has_avx=False)
    assert check.state == BAD and "with AVX, which this one lacks" in check.finding
    assert "-cpu host" in check.cure


def test_paddle_that_is_well_or_slow():
    assert _check(CPU, ImportResult()).finding == "PaddlePaddle 3.3.1 can be loaded"
    assert _check(GPU, ImportResult()).finding == "PaddlePaddle 3.3.1 for GPUs can be loaded"
    assert _check(CPU, None).state == NOTE


def test_with_a_driver_the_build_for_gpus_is_offered():
    assert "cu126" in _check({}, MISSING, driver=DRIVER).cure
    both = _check({**CPU, **GPU}, ImportResult(), driver=Driver("470.1", "11.4")).cure
    assert "uninstall -y paddlepaddle paddlepaddle-gpu && " in both and "cu118" in both


def _gpu_build(**facts):
    return ImportResult(facts={"cuda": "12.6", "gpus": 1, "gpu": "NVIDIA H200", **facts})


@pytest.mark.parametrize(
    ("versions", "result", "driver", "environment", "state", "words", "cure"),
    [
        (CPU, ImportResult(), NO_DRIVER, {}, GOOD, "No NVIDIA driver", ""),
        (CPU, ImportResult(), NO_DRIVER, {"CUDA_VISIBLE_DEVICES": "-1"}, GOOD, "No NVIDIA driver", ""),
        (
            *(CPU, ImportResult(), NO_DRIVER, {"CUDA_VISIBLE_DEVICES": "0"}, NOTE),
            *("CUDA_VISIBLE_DEVICES=0 is set, but there is no NVIDIA driver", "CUDA_VISIBLE_DEVICES"),
        ),
        (CPU, ImportResult(), DRIVER, {}, NOTE, "Paddle's build is one for CPUs", "paddlepaddle-gpu==3.3.1"),
        (CPU, ImportResult(), Driver(problem="nvidia-smi fails: x"), {}, NOTE, "nvidia-smi fails: x", ""),
        (GPU, _gpu_build(), DRIVER, {}, GOOD, "CUDA 12.6 sees 1 GPU: NVIDIA H200, driver 550", ""),
        (GPU, _gpu_build(gpus=0), NO_DRIVER, {}, NOTE, "there is no NVIDIA driver", ""),
        (
            GPU,
            _gpu_build(gpus=0),
            DRIVER,
            {"CUDA_VISIBLE_DEVICES": ""},
            NOTE,
            "hides all GPUs",
            "CUDA_VISIBLE_DEVICES",
        ),
        (
            GPU,
            _gpu_build(gpus=0),
            DRIVER,
            {"CUDA_VISIBLE_DEVICES": "7"},
            BAD,
            "sees no GPU",
            "CUDA_VISIBLE_DEVICES",
        ),
        (GPU, _gpu_build(gpus=0), DRIVER, {}, BAD, "sees no GPU", "nvidia-smi"),
        (
            GPU,
            _gpu_build(gpus=0),
            Driver("470.1", "11.4"),
            {},
            BAD,
            "needs a newer driver than 470.1",
            'cu118/ "paddlepaddle-gpu>=3.1"',
        ),
        (GPU, ImportResult("libcudart.so"), DRIVER, {}, NOTE, "it cannot be loaded", ""),
        (GPU, None, DRIVER, {}, NOTE, "no answer in time", ""),
    ],
)
def test_gpus(versions, result, driver, environment, state, words, cure):
    check = check_gpu(versions, result, driver, environment)
    assert check.state == state and words in check.finding and check.cure.endswith(cure), check


def test_the_driver_is_read_from_its_program_or_the_kernel(tmp_path):
    assert parse_driver(SMI, 0) == DRIVER
    newer = "| NVIDIA-SMI 595.58 KMD Version: 595.58 CUDA UMD Version: 13.2 |"
    assert parse_driver(newer, 0, "595.58") == Driver("595.58", "13.2")
    failed = parse_driver("NVIDIA-SMI has failed because it couldn't communicate\n", 9, "470.1")
    assert failed.version == "470.1" and failed.problem.startswith("nvidia-smi fails: NVIDIA-SMI has failed")
    file = tmp_path / "version"
    file.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19\nGCC version: 12\n"
    )
    assert read_driver(file, "no-such-program") == Driver("535.129.03")
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n")
    assert read_driver(file, "no-such-program").version == "570.86.15"
    assert read_driver(tmp_path / "gone", "no-such-program") == Driver()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a script as a program")
def test_the_program_is_asked(tmp_path):
    program = tmp_path / "smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{SMI}END\n")
    program.chmod(0o755)
    assert read_driver(tmp_path / "gone", str(program)) == DRIVER
