"""Checkpoints: everything that a resumed run needs to continue as if it had never stopped."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hubtune.errors import ModelError
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.storage.checked_folder import integrity_error, open_checked, write_checked
from hubtune.train.averaging import MovingAverage
from hubtune.train.finite import FiniteCheck
from hubtune.train.optimizer import Optimizer, Precision
from hubtune.train.plan import LoopSettings

_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optim.safetensors", "state.json"
_AVERAGE = "average.safetensors"
_NEWEST = 2  # the newest one may be damaged


@dataclass
class TrainState:
    """Progress of a run: everything that is not in the network or the optimizer.

    Attributes:
        step: steps made.
        evaluated: step of the latest evaluation.
        best_accuracy: highest validation accuracy so far.
        best_step: the step it was reached at.
        loss_sum: sum of the losses since the latest log line.
        correct: training images classified correctly since then.
        count: training images since then.
        stale: evaluations since the best one.
    """

    step: int = 0
    evaluated: int = 0
    best_accuracy: float | None = None
    best_step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    count: int = 0
    stale: int = 0

    def add(self, loss: float, correct: int, count: int) -> None:
        """Count a step: mean loss, correct and readable images of its batch."""
        self.step += 1
        self.loss_sum += loss * count
        self.correct += correct
        self.count += count

    @property
    def mean_loss(self) -> float:
        """Mean training loss since the latest log line."""
        return self.loss_sum / max(1, self.count)

    @property
    def train_accuracy(self) -> float:
        """Training accuracy since the latest log line."""
        return self.correct / max(1, self.count)


class Checkpoints:
    """The folder ``checkpoints/`` of a run, with one checked folder ``step-N`` for each checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; it may not exist yet."""
        self.folder = folder

    def save(
        self,
        state: TrainState,
        classifier: Classifier,
        optimizer: Optimizer,
        average: MovingAverage | None = None,
    ) -> None:
        """Write a checkpoint and remove all but the two newest.

        Raises:
            MachineError: if it cannot be written; older ones stay.
        """
        model = {name: tensor.numpy() for name, tensor in classifier.state().items()}
        precision = {"precision": vars(optimizer.precision)}
        files = {
            _MODEL: save(model),
            _OPTIMIZER: save(_optimizer_state(optimizer.optimizer, classifier)),
            _STATE: (json.dumps({**vars(state), **precision}, indent=1) + "\n").encode(),
        }
        if average is not None:
            files[_AVERAGE] = save({name: tensor.numpy() for name, tensor in average.values.items()})
        write_checked(self.folder / f"step-{state.step}", files)
        self.prune(_NEWEST)

    def restore(
        self, classifier: Classifier, optimizer: Optimizer, average: MovingAverage | None = None
    ) -> TrainState | None:
        """Restore the newest intact checkpoint; returns ``None`` if there is no checkpoint.

        Raises:
            ModelError: if there are checkpoints, but none is intact.
        """
        folders = self._folders()
        for folder in folders:
            reason = integrity_error(folder)
            if reason is not None:
                logger.warning("%s is skipped: %s", folder, reason)
                continue
            try:
                open_checked(folder, _MODEL, _OPTIMIZER, _STATE)
                tensors = load_file(folder / _MODEL)
                moments = load_file(folder / _OPTIMIZER)
                entries = json.loads((folder / _STATE).read_bytes())
                precision = Precision(**entries.pop("precision", {}))
                if (
                    precision.dtype == optimizer.precision.dtype
                ):  # another device may compute in another precision
                    optimizer.precision = precision
                state = TrainState(**entries)
                for name, tensor in classifier.state().items():
                    tensor.set_value(tensors[name])
                _restore_optimizer(optimizer.optimizer, classifier, moments)
                if average is not None:
                    average.restore(load_file(open_checked(folder, _AVERAGE) / _AVERAGE))
            except (SafetensorError, ValueError, TypeError, KeyError) as error:
                raise ModelError(f"{folder} is not a checkpoint of this hubtune: {error}") from error
            return state
        if folders:
            raise ModelError(f"No checkpoint in {self.folder} is intact: start a new run")
        return None

    def exist(self) -> bool:
        """Whether there is any checkpoint."""
        return bool(self._folders())

    def prune(self, count: int) -> None:
        """Remove all but the newest checkpoints, and the remains of a killed save."""
        for folder in self._folders()[count:]:
            shutil.rmtree(folder, ignore_errors=True)
        for rest in self.folder.glob(".step-*"):
            shutil.rmtree(rest, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """Newest first."""
        folders = [
            (int(path.name[5:]), path) for path in self.folder.glob("step-*") if path.name[5:].isdecimal()
        ]
        return [path for _, path in sorted(folders, reverse=True)]


class Checkpointer:
    """Saves checkpoints while a network is trained."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        classifier: Classifier,
        optimizer: Optimizer,
        settings: LoopSettings,
        finite: FiniteCheck,
        *,
        average: MovingAverage | None = None,
    ) -> None:
        """Take everything that a checkpoint consists of, and the intervals between checkpoints."""
        self._checkpoints, self._settings, self._finite = checkpoints, settings, finite
        self._classifier, self._optimizer, self._average = classifier, optimizer, average
        self._saved_at = time.monotonic()

    @property
    def run(self) -> Path:
        """The run folder."""
        return self._checkpoints.folder.parent

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is due after a step."""
        return self._settings.saves_after(step, time.monotonic() - self._saved_at)

    def save(self, state: TrainState) -> None:
        """Save a checkpoint.

        Raises:
            NumericError: if a weight is not a finite number; a resumed run would have to start from it.
            MachineError: if it cannot be written.
        """
        self._finite.check_weights(self._classifier, state.step)
        self._checkpoints.save(state, self._classifier, self._optimizer, self._average)
        self._saved_at = time.monotonic()


def _optimizer_state(optimizer: paddle.optimizer.Optimizer, classifier: Classifier) -> dict[str, np.ndarray]:
    """Return the optimizer's tensors under the parameters' names in the state dict.

    Paddle names them after counters of the process, which differ between processes.
    """
    names = {tensor.name: name for name, tensor in classifier.named_parameters()}
    return {
        f"{names[parameter]}/{moment}": tensor.numpy()
        for key, tensor in optimizer.state_dict().items()
        for parameter, moment in [_part(key, names)]
    }


def _restore_optimizer(
    optimizer: paddle.optimizer.Optimizer, classifier: Classifier, state: Mapping[str, np.ndarray]
) -> None:
    names = {name: tensor.name for name, tensor in classifier.named_parameters()}
    optimizer.set_state_dict(
        {
            f"{names[name]}_{moment}": paddle.to_tensor(array)
            for name, moment, array in ((*key.rsplit("/", 1), array) for key, array in state.items())
        }
    )


def _part(key: str, names: Mapping[str, Any]) -> tuple[str, str]:
    """Divide ``linear_0.w_0_moment1_0`` into the parameter's name and ``moment1_0``."""
    cut = len(key)
    while (cut := key.rfind("_", 0, cut)) > 0:
        if key[:cut] in names:
            return key[:cut], key[cut + 1 :]
    raise KeyError(key)
