"""The device is the requested one, or there is a sentence."""

import paddle
import pytest

from hubtune.errors import MachineError, UsageError
from hubtune.hardware.device import select_device


def test_the_cpu_is_always_there():
    assert select_device("cpu") == "cpu"
    if not paddle.device.is_compiled_with_cuda():
        assert select_device("auto") == "cpu"


def test_an_unknown_name_is_refused():
    for name in ("tpu", "gpu:", "gpu:x", "CPU", ""):
        with pytest.raises(UsageError, match="may be auto, cpu, gpu or gpu:<number>"):
            select_device(name)


@pytest.mark.parametrize(
    ("compiled", "message"),
    [(False, "this is Paddle's CPU build"), (True, "There is no gpu:1: Paddle sees 1 GPUs")],
)
def test_a_missing_gpu_is_a_machine_error(monkeypatch, compiled, message):
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: compiled)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    with pytest.raises(MachineError, match=message):
        select_device("gpu:1")
