"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

import json
import shutil
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
from hubtune.train.optimizer import Optimizer, Precision

_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optim.safetensors", "state.json"
_AVERAGE = "average.safetensors"
_KEPT = 2  # the newest may be damaged


@dataclass
class TrainState:
    """How far a run has come; all that is not in the network or the optimizer.

    Attributes:
        step: steps done.
        evaluated: step of the latest evaluation.
        best_accuracy: highest validation accuracy so far.
        best_step: the step it was reached at.
        loss_sum: of the losses since the latest log line.
        correct: training pictures scored right since then.
        count: training pictures since then.
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


class Checkpoints:
    """The folder ``checkpoints/`` of a run, one sealed folder ``step-N`` a checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; it may not exist yet."""
        self.folder = folder

    def save(
        self,
        state: TrainState,
        classifier: Classifier,
        update: Optimizer,
        average: MovingAverage | None = None,
    ) -> None:
        """Write a checkpoint, and remove all but the two newest.

        Raises:
            MachineError: if it cannot be written; older ones stay.
        """
        model = {name: tensor.numpy() for name, tensor in classifier.state().items()}
        precision = {"precision": vars(update.precision)}
        files = {
            _MODEL: save(model),
            _OPTIMIZER: save(_optimizer_state(update.optimizer, classifier)),
            _STATE: (json.dumps({**vars(state), **precision}, indent=1) + "\n").encode(),
        }
        if average is not None:
            files[_AVERAGE] = save({name: tensor.numpy() for name, tensor in average.values.items()})
        write_checked(self.folder / f"step-{state.step}", files)
        self.prune(_KEPT)

    def restore(
        self, classifier: Classifier, update: Optimizer, average: MovingAverage | None = None
    ) -> TrainState | None:
        """Bring all to the newest checkpoint that is whole; ``None`` without any.

        Raises:
            ModelError: if there are checkpoints, but none is whole.
        """
        folders = self._folders()
        for folder in folders:
            reason = integrity_error(folder)
            if reason is not None:
                logger.warning("%s is passed over: %s", folder, reason)
                continue
            try:
                open_checked(folder, _MODEL, _OPTIMIZER, _STATE)
                tensors = load_file(folder / _MODEL)
                moments = load_file(folder / _OPTIMIZER)
                entries = json.loads((folder / _STATE).read_bytes())
                precision = Precision(**entries.pop("precision", {}))
                if precision.dtype == update.precision.dtype:  # else, this is another device
                    update.precision = precision
                state = TrainState(**entries)
                for name, tensor in classifier.state().items():
                    tensor.set_value(tensors[name])
                _restore_optimizer(update.optimizer, classifier, moments)
                if average is not None:
                    average.restore(load_file(open_checked(folder, _AVERAGE) / _AVERAGE))
            except (SafetensorError, ValueError, TypeError, KeyError) as error:
                raise ModelError(f"{folder} is not a checkpoint of this hubtune: {error}") from error
            return state
        if folders:
            raise ModelError(f"No checkpoint in {self.folder} is whole: start the run anew")
        return None

    def any(self) -> bool:
        """Whether there is a checkpoint."""
        return bool(self._folders())

    def prune(self, kept: int) -> None:
        """Remove all but the newest checkpoints, and what a killed save left."""
        for folder in self._folders()[kept:]:
            shutil.rmtree(folder, ignore_errors=True)
        for rest in self.folder.glob(".step-*"):
            shutil.rmtree(rest, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """Newest first."""
        found = [
            (int(path.name[5:]), path) for path in self.folder.glob("step-*") if path.name[5:].isdecimal()
        ]
        return [path for _, path in sorted(found, reverse=True)]


def _optimizer_state(optimizer: paddle.optimizer.Optimizer, classifier: Classifier) -> dict[str, np.ndarray]:
    """The optimizer's tensors under the names that parameters have in the state dict.

    Paddle names them after counters of the process, which differ from one process to the next.
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
    """Part ``linear_0.w_0_moment1_0`` into the parameter's name and ``moment1_0``."""
    cut = len(key)
    while (cut := key.rfind("_", 0, cut)) > 0:
        if key[:cut] in names:
            return key[:cut], key[cut + 1 :]
    raise KeyError(key)
