"""Averages of weights: over the steps of a run, and over its best evaluations."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import paddle


class MovingAverage:
    """An exponential moving average of a network's floating-point tensors, BatchNorm statistics included.

    In the beginning it is shorter, min(decay, (1 + t)/(10 + t)) after t steps, as in TensorFlow's
    ``ExponentialMovingAverage`` with ``num_updates``, so that it does not lean on the first weights.

    Attributes:
        values: name → average.
    """

    def __init__(self, state: Mapping[str, paddle.Tensor], decay: float) -> None:
        """Begin with the values that the tensors have now."""
        self._state = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self._decay = decay
        self.values = {name: tensor.detach().clone() for name, tensor in self._state.items()}

    def update(self, step: int) -> None:
        """Take in the values after ``step`` steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with paddle.no_grad():
            for name, tensor in self._state.items():
                # So written that what does not move is kept to the bit.
                self.values[name].add_((tensor - self.values[name]) * (1 - decay))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the averages for a while."""
        kept = {name: tensor.detach().clone() for name, tensor in self._state.items()}
        self._give(self.values)
        try:
            yield
        finally:
            self._give(kept)

    def restore(self, values: Mapping[str, np.ndarray]) -> None:
        """Go on with averages that were saved.

        Raises:
            KeyError: one of them is missing.
        """
        self.values = {name: paddle.to_tensor(values[name]) for name in self._state}

    def _give(self, values: Mapping[str, paddle.Tensor]) -> None:
        for name, tensor in self._state.items():
            tensor.set_value(values[name])


def mean_of_states(states: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean of each tensor (Izmailov et al., 2018; Wortsman et al., "Model soups", 2022).

    Whole numbers, such as counters, are the first state's.
    """
    return {
        name: np.mean([state[name] for state in states], axis=0, dtype=np.float64).astype(first.dtype)
        if np.issubdtype(first.dtype, np.floating)
        else first
        for name, first in states[0].items()
    }
