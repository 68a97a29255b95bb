"""Averages of weights: over the steps of a run, and over its best evaluations."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import paddle
from safetensors.numpy import load_file, save

from hubtune.errors import ModelError
from hubtune.storage.checked_folder import integrity_error, write_checked
from hubtune.storage.regular_file import read_json

_MODEL, _FIGURE = "model.safetensors", "figure.json"


class MovingAverage:
    """An exponential moving average of a network's floating-point tensors, BatchNorm statistics included.

    The decay starts lower, min(decay, (1 + t)/(10 + t)) after t steps, as in TensorFlow's
    ``ExponentialMovingAverage`` with ``num_updates``: otherwise the first weights would dominate for long.

    Attributes:
        values: name → average.
    """

    def __init__(self, state: Mapping[str, paddle.Tensor], decay: float) -> None:
        self._state = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self._decay = decay
        self.values = {name: tensor.detach().clone() for name, tensor in self._state.items()}

    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        with paddle.no_grad():
            for name, tensor in self._state.items():
                # In this form, a tensor that does not change keeps its bits.
                self.values[name].add_((tensor - self.values[name]) * (1 - decay))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network use the averages while the block runs."""
        weights = {name: tensor.detach().clone() for name, tensor in self._state.items()}
        self._give(self.values)
        try:
            yield
        finally:
            self._give(weights)

    def restore(self, values: Mapping[str, np.ndarray]) -> None:
        """Continue from saved averages; raises ``KeyError`` if one of them is missing."""
        self.values = {name: paddle.to_tensor(values[name]) for name in self._state}

    def _give(self, values: Mapping[str, paddle.Tensor]) -> None:
        for name, tensor in self._state.items():
            tensor.set_value(values[name])


class BestWeights:
    """The weights of the ``count`` best evaluations so far, in a folder that outlives the process."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count

    def add(self, step: int, accuracy: float, weights: Mapping[str, np.ndarray]) -> None:
        """Keep the weights of a step if they are among the best; of equals, later ones are kept."""
        better = [entry for entry in self._ranked() if entry[0] > accuracy]
        if len(better) < self._count:
            figure = f"{json.dumps({'accuracy': accuracy})}\n".encode()
            write_checked(self._folder / f"step-{step}", {_MODEL: save(dict(weights)), _FIGURE: figure})
        for _, _, folder in self._ranked()[self._count :]:
            shutil.rmtree(folder, ignore_errors=True)

    def mean(self) -> dict[str, np.ndarray] | None:
        """Return the mean of the weights; ``None`` if there are fewer than two.

        Izmailov et al., 2018; Wortsman et al., "Model soups", 2022. Counters are those of the best.
        """
        states = [load_file(folder / _MODEL) for _, _, folder in self._ranked()]
        if len(states) < 2:
            return None
        return {
            name: np.mean([state[name] for state in states], axis=0, dtype=np.float64).astype(best.dtype)
            if np.issubdtype(best.dtype, np.floating)
            else best
            for name, best in states[0].items()
        }

    def _ranked(self) -> list[tuple[float, int, Path]]:
        """Accuracy, step and folder of the intact entries, best first."""
        entries = []
        for folder in self._folder.glob("step-*"):
            if integrity_error(folder) is None:
                try:
                    accuracy = float(read_json(folder / _FIGURE)["accuracy"])
                    entries.append((accuracy, int(folder.name[5:]), folder))
                except (ValueError, TypeError, KeyError) as error:
                    raise ModelError(f"{folder} is damaged: remove it, and resume the run") from error
        return sorted(entries, reverse=True)
