"""The engine that is tried first depends on what is installed, and is known without Paddle's import."""

import subprocess
import sys

import pytest

from hubtune.errors import MachineError
from hubtune.inference import engine_interface
from hubtune.inference.engine_interface import INT8_ENGINE, check_engine, expected_engine, is_installed


@pytest.mark.parametrize(
    ("gpu", "installed", "expected"),
    [(False, True, "openvino"), (False, False, "paddle"), (True, True, "paddle-amp")],
)
def test_the_engine_that_auto_tries_first(monkeypatch, gpu, installed, expected):
    monkeypatch.setattr(engine_interface, "on_gpu", lambda: gpu)
    monkeypatch.setattr(engine_interface, "is_installed", lambda name: installed)
    assert expected_engine("auto") == expected
    assert expected_engine("openvino-bf16") == "openvino-bf16"


def test_it_is_known_without_importing_a_build_of_paddle_for_the_cpu():
    program = (
        "import sys; from hubtune.inference.engine_interface import expected_engine\n"
        "expected_engine('auto'); print('paddle' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_int8_needs_its_packages_and_a_cpu(monkeypatch):
    monkeypatch.setattr(engine_interface, "on_gpu", lambda: False)
    check_engine(INT8_ENGINE)
    monkeypatch.setattr(engine_interface, "on_gpu", lambda: True)
    with pytest.raises(MachineError, match="computes on a CPU: add --device cpu, or use --engine auto"):
        check_engine(INT8_ENGINE)
    monkeypatch.setattr(engine_interface, "find_spec", lambda _: None)
    with pytest.raises(MachineError, match=r"needs openvino and nncf: .*pip install openvino nncf, or use"):
        check_engine(INT8_ENGINE)


def test_packages_are_found_by_their_modules_and_not_by_folders_of_their_names(tmp_path, monkeypatch):
    (tmp_path / "paddlehubs").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert is_installed("numpy")
    assert not is_installed("no_such_package")
    assert not is_installed("paddlehubs")
