"""How many pictures of a batch fit into memory at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.data.ram_cache import free_memory

_COPIES = 2.5  # of each layer's output: the value, its gradient, and what the arithmetic needs beside them
_UNKNOWN = 4 * 2**30  # taken for free memory where the machine does not tell
_SHARE = 0.6  # of the free memory that may be used; other programs want some, too


def fitting_batch(
    network: nn.Layer, forward: Callable[[paddle.Tensor], Any], array: np.ndarray, most: int
) -> int:
    """How many pictures of a batch the free memory holds in training: all, a half of them, a quarter, …

    Args:
        network: what is trained.
        forward: what is computed with it.
        array: the input of a picture, float32.
        most: pictures in the batch.
    """
    needed = _COPIES * activation_bytes(network, forward, array)
    part = most
    while part > 1 and part * needed > _SHARE * free_bytes():
        part = -(-part // 2)
    return part


def activation_bytes(network: nn.Layer, forward: Callable[[paddle.Tensor], Any], array: np.ndarray) -> int:
    """The size of what all layers without sublayers give for one picture, in bytes.

    Args:
        network: has the layers.
        forward: what is computed with it.
        array: the input of a picture, float32.
    """
    sizes: list[int] = []

    def count(layer: Any, _: Any, output: Any) -> None:
        if isinstance(output, paddle.Tensor):
            sizes.append(output.size * output.element_size())

    leaves = [layer for layer in network.sublayers() if not layer.sublayers()]
    hooks = [layer.register_forward_post_hook(count) for layer in leaves]
    try:
        network.eval()
        with paddle.no_grad():
            forward(paddle.to_tensor(array[None]))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sizes)


def free_bytes() -> int:
    """Free memory of the device in use, bytes."""
    if paddle.device.get_device().startswith("gpu"):
        total: int = paddle.device.cuda.get_device_properties().total_memory
        return total - int(paddle.device.cuda.memory_allocated())
    free = free_memory()
    return _UNKNOWN if free is None else free
