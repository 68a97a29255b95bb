"""Selects the device that Paddle computes on."""

import gc
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from hubtune.errors import MachineError, UsageError
from hubtune.hardware.cpu import prepare
from hubtune.ranks import ALONE, Rank


def select_device(wanted: str, rank: Rank = ALONE) -> str:
    """Make Paddle use a device, and return its name; ``auto`` is a GPU if there is one.

    Each of several processes on a machine takes a GPU of its own: the next of those that are named, as in
    ``gpu:0,1``, or of all.

    Raises:
        UsageError: the name is none of these.
        MachineError: there is no such device.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,4}(,\d{1,4})*)?", wanted):
        raise UsageError(f"There is no device {wanted!r}: it may be auto, cpu, gpu, gpu:<number> or gpu:0,1")
    numbers = [int(number) for number in wanted.partition(":")[2].split(",") if number]
    if len(numbers) > 1 and (rank.size == 1 or rank.local >= len(numbers)):
        raise UsageError(
            f"{wanted} names {len(numbers)} GPUs, for as many processes: hubtune finetune starts them; a "
            "script of your own is started by torchrun or python -m paddle.distributed.launch"
        )
    prepare()
    if wanted in ("auto", "cpu") and not _needs_paddle():
        return "cpu"
    import paddle  # here, as it takes a second, which commands that run a stored program save

    gpus = paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0
    if wanted == "auto":
        wanted = "gpu" if gpus else "cpu"
    if wanted.startswith("gpu"):
        if not paddle.device.is_compiled_with_cuda():
            raise MachineError(
                "A GPU was asked for, but this is Paddle's CPU build: use --device cpu, or install "
                "paddlepaddle-gpu as the README shows"
            )
        own = numbers if numbers else range(rank.local_size)
        number = own[rank.local] if len(own) > 1 else own[0]
        if number >= gpus:
            raise MachineError(f"There is no {wanted}: Paddle sees {gpus} GPUs. Use --device cpu, or another")
        wanted = f"gpu:{number}"
    paddle.device.set_device(wanted)
    return wanted


def release_memory() -> None:
    """Let a GPU give back the memory of what is no longer used, as after an error, which held it."""
    if on_gpu():
        import paddle

        gc.collect()
        paddle.device.cuda.empty_cache()


def on_gpu() -> bool:
    """Whether Paddle computes on a GPU; a build for the CPU is not imported to tell."""
    if not _needs_paddle():
        return False
    import paddle

    return bool(paddle.device.get_device().startswith("gpu"))


def _needs_paddle() -> bool:
    """Whether only Paddle knows its device: it is imported already, or may be a build for GPUs."""
    if "paddle" in sys.modules:
        return True
    try:
        version("paddlepaddle-gpu")
    except PackageNotFoundError:
        return find_spec("paddle") is None  # its import says what is missing
    return True
