"""Batch size: how many images of a batch fit into memory at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.data.ram_cache import free_memory

_COPIES = 2.5  # of each layer's output: the value, its gradient, and temporary memory of the arithmetic
_UNKNOWN = 4 * 2**30  # bytes, if the machine does not report its free memory
_SHARE = 0.6  # of the free memory that may be used; other programs need some, too


def largest_batch(
    network: nn.Layer, forward: Callable[[paddle.Tensor], Any], array: np.ndarray, batch_size: int
) -> int:
    """Return how many images of a batch fit into free memory in training: all, a half, a quarter, …

    ``forward`` computes the network's output; ``array`` is the input of one image, float32.
    """
    needed = _COPIES * _activation_bytes(network, forward, array)
    part = batch_size
    while part > 1 and part * needed > _SHARE * free_bytes():
        part = -(-part // 2)
    return part


def _activation_bytes(network: nn.Layer, forward: Callable[[paddle.Tensor], Any], array: np.ndarray) -> int:
    """Return the size of the outputs of all layers without sublayers for one image, in bytes."""
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
    if paddle.device.get_device().startswith("gpu"):
        total: int = paddle.device.cuda.get_device_properties().total_memory
        return total - int(paddle.device.cuda.memory_allocated())
    free = free_memory()
    return _UNKNOWN if free is None else free
