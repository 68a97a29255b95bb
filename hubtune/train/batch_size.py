"""Memory: how many images of a batch fit at once, and what to change if they do not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.data.ram_cache import free_memory, out_of_memory

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
    """Return the bytes of all layers' outputs for one image that training keeps: those behind what it trains.

    A large image is run in part, and the result scaled by its area: finding out must not take the memory.
    """
    # Networks for images of a single size take smaller ones than these.
    part = array[:, :224, :224] if len(array) <= 4 and max(array.shape) > 512 else array
    sizes: list[int] = []

    def count(layer: Any, _: Any, output: Any) -> None:
        if isinstance(output, paddle.Tensor) and not output.stop_gradient:
            sizes.append(output.size * output.element_size())

    leaves = [layer for layer in network.sublayers() if not layer.sublayers()]
    hooks = [layer.register_forward_post_hook(count) for layer in leaves]
    try:
        network.eval()
        forward(paddle.to_tensor(part[None]))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sizes) * array.size // part.size


@contextmanager
def memory_for(
    count: int, network: nn.Layer, forward: Callable[[paddle.Tensor], Any], array: np.ndarray
) -> Iterator[None]:
    """Raise ``MachineError``, before the block or inside it, if memory does not hold ``count`` images."""
    free, needed = free_bytes(), 0
    try:
        # Measured on three networks: 47 to 74 % of the outputs are kept, those that gradients need.
        needed = _activation_bytes(network, forward, array) * 2 // 5
        if count * needed > free:
            raise MemoryError
        yield
    except MemoryError as error:
        raise out_of_memory(count, array.shape[-2:], free, needed) from error


def free_bytes() -> int:
    if paddle.device.get_device().startswith("gpu"):
        total: int = paddle.device.cuda.get_device_properties().total_memory
        return total - int(paddle.device.cuda.memory_allocated())
    free = free_memory()
    return _UNKNOWN if free is None else free
