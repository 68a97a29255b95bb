"""Memory that a network takes, estimated from its layers' outputs and compared with what is free.

A batch that cannot fit is refused: the system would end the process without a word.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.hardware.memory import PLENTY, free_memory, out_of_memory, ran_out_of_memory

# Larger images are run in part, and the result is scaled by the area: the estimate must not take the memory.
_WHOLE, _PART = 768, 224
# Of six networks, training took 0.65 to 2.1 times their layers' outputs, and running them 1 to 2.1 times
# input and output of the largest layer.
_TRAINING = (0.4, 2.5)
_RUNNING = (1.0, 2.5)


@dataclass(frozen=True)
class ImageMemory:
    """Bytes that each image of a batch takes: certainly at least, and at most by experience."""

    least: float
    most: float

    def check(self, count: int, sides: Sequence[int]) -> None:
        """Raise ``MachineError`` if ``count`` images of height and width ``sides`` cannot fit."""
        free = free_bytes()
        if free is not None and count * self.least > free:
            raise out_of_memory(count, sides, free=free, least=self.least, most=self.most)

    @contextmanager
    def checked(
        self, count: int, sides: Sequence[int], now: Callable[[], int] | None = None
    ) -> Iterator[None]:
        """Check as :meth:`check`, and name the batch if memory runs out in the block all the same.

        ``now`` returns the number of images that the block was computing then, if it is not ``count``.
        """
        self.check(count, sides)
        try:
            yield
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            free, count = free_bytes(), count if now is None else now()
            raise out_of_memory(count, sides, free=free, least=self.least, most=self.most) from error


def running_memory(
    network: nn.Layer, forward: Callable[[paddle.Tensor], Any], image: np.ndarray
) -> ImageMemory:
    """Estimate what running a network takes for each image of a shape.

    ``forward`` computes the network's output; ``image`` is an input, uint8 ``[h, w, channels]`` or float32
    ``[channels, h, w]``.
    """
    with paddle.no_grad():
        _, largest = _output_bytes(network, forward, image)
    least, most = _RUNNING
    return ImageMemory(least * largest, most * largest + 4 * image.nbytes)


def training_memory(
    network: nn.Layer, forward: Callable[[paddle.Tensor], Any], image: np.ndarray, *, half: bool = False
) -> ImageMemory:
    """Estimate what training a network takes for each image; arguments as in :func:`running_memory`.

    With ``half``, mixed precision keeps most outputs in two bytes a value.
    """
    outputs, largest = _output_bytes(network, forward, image)
    least, most = _TRAINING
    return ImageMemory(max(least * outputs, largest) / (2 if half else 1), most * (outputs + largest))


class BatchCheck:
    """Refuses batches that memory cannot hold; the network is only run where memory may be short."""

    def __init__(self, network: nn.Layer) -> None:
        self._network = network
        self._largest = 0.0
        self._of_value: ImageMemory | None = None  # of each value of an input

    def __call__(self, count: int, image: np.ndarray, *, share: float = 1.0) -> None:
        """Check ``count`` images like this one, uint8 ``[h, w, channels]``.

        ``share`` is the part of the memory of Paddle in float32 that the engine takes at least.

        Raises:
            MachineError: they cannot fit.
        """
        size = count * share * image.size
        if size <= self._largest:
            return
        self._largest, free = size, free_bytes()
        if free is None or size * PLENTY < free:
            return
        if self._of_value is None:
            memory = running_memory(self._network, self._network, image)
            self._of_value = ImageMemory(memory.least / image.size, memory.most / image.size)
        least, most = self._of_value.least * share * image.size, self._of_value.most * image.size
        ImageMemory(least, most).check(count, image.shape[:2])


def free_bytes(*, swap: bool = True) -> int | None:
    """Return the free bytes of the device's memory, on a CPU with swap space; ``None`` if unknown."""
    if paddle.device.get_device().startswith("gpu"):
        total: int = paddle.device.cuda.get_device_properties().total_memory
        return total - int(paddle.device.cuda.memory_allocated())
    return free_memory(swap=swap)


def _output_bytes(
    network: nn.Layer, forward: Callable[[paddle.Tensor], Any], image: np.ndarray
) -> tuple[float, float]:
    """Return bytes for an image: all outputs behind what is trained; the largest layer's input and output."""
    outputs, ends = [0], [0]

    def count(_: Any, inputs: Any, output: Any) -> None:
        if isinstance(output, paddle.Tensor):
            size = output.size * output.element_size()
            if not output.stop_gradient:
                outputs.append(size)
            tensors = (each for each in inputs if isinstance(each, paddle.Tensor))
            ends.append(size + sum(each.size * each.element_size() for each in tensors))

    leaves = [layer for layer in network.sublayers() if not layer.sublayers()]
    hooks = [layer.register_forward_post_hook(count) for layer in leaves]
    part = image
    if image.dtype == np.uint8 or len(image) <= 4:  # pixels, and not activations
        rows, columns = (0, 1) if image.dtype == np.uint8 else (1, 2)
        if max(image.shape) > _WHOLE:
            part = image.take(range(min(_PART, image.shape[rows])), rows)
            part = part.take(range(min(_PART, image.shape[columns])), columns)
    try:
        network.eval()
        forward(paddle.to_tensor(part[None]))
    except Exception:  # noqa: BLE001  # of code of a user's own, or no memory: the work itself will say
        return 0.0, 0.0
    finally:
        for hook in hooks:
            hook.remove()
    scale = image.size / part.size
    return sum(outputs) * scale, max(ends) * scale
