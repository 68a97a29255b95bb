"""The device is the requested one, or there is a sentence."""

import paddle
import pytest

from hubtune.errors import MachineError, UsageError
from hubtune.hardware.device import select_device


def test_the_cpu_is_always_there_and_an_unknown_name_is_refused():
    assert select_device("cpu") == "cpu"
    if not paddle.device.is_compiled_with_cuda():
        assert select_device("auto") == "cpu"
    for name in ("tpu", "gpu:x", ""):
        with pytest.raises(UsageError, match="may be auto, cpu, gpu or gpu:<number>"):
            select_device(name)


def test_a_missing_gpu_is_a_machine_error(monkeypatch):
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    for compiled, message in ((False, "this is Paddle's CPU build"), (True, "no gpu:1: Paddle sees 1 GPUs")):
        monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda compiled=compiled: compiled)
        with pytest.raises(MachineError, match=message):
            select_device("gpu:1")
