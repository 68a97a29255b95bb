"""The device is the requested one, or there is a sentence."""

import paddle
import pytest

from hubtune.errors import MachineError, UsageError
from hubtune.hardware.device import select_device


def test_the_cpu_is_always_there_and_what_is_unknown_or_missing_is_refused(monkeypatch):
    assert select_device("cpu") == "cpu"
    assert paddle.device.is_compiled_with_cuda() or select_device("auto") == "cpu"
    for name in ("tpu", "gpu:x", ""):
        with pytest.raises(UsageError, match="may be auto, cpu, gpu, gpu:<number> or gpu:0,1"):
            select_device(name)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    for compiled, message in ((False, "this is Paddle's CPU build"), (True, "no gpu:1: Paddle sees 1 GPUs")):
        monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda compiled=compiled: compiled)
        with pytest.raises(MachineError, match=message):
            select_device("gpu:1")
