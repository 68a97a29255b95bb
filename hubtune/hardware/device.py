"""Selects the device that Paddle computes on."""

import re

import paddle

from hubtune.errors import MachineError, UsageError
from hubtune.hardware.cpu import prepare


def select_device(wanted: str) -> str:
    """Make Paddle use a device, and return its name; ``auto`` is a GPU if there is one.

    Raises:
        UsageError: the name is none of these.
        MachineError: there is no such device.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,4})?", wanted):
        raise UsageError(f"There is no device {wanted!r}: it may be auto, cpu, gpu or gpu:<number>")
    prepare()
    gpus = paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0
    if wanted == "auto":
        wanted = "gpu" if gpus else "cpu"
    if wanted.startswith("gpu"):
        if not paddle.device.is_compiled_with_cuda():
            raise MachineError(
                "A GPU was asked for, but this is Paddle's CPU build: use --device cpu, or install "
                "paddlepaddle-gpu as the README shows"
            )
        number = int(wanted.partition(":")[2] or 0)
        if number >= gpus:
            raise MachineError(f"There is no {wanted}: Paddle sees {gpus} GPUs. Use --device cpu, or another")
        wanted = f"gpu:{number}"
    paddle.device.set_device(wanted)
    return wanted
