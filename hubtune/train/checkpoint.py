"""Checkpoints: everything that a resumed run needs to continue as if it had never stopped."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import paddle
from pydantic import ConfigDict, Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hubtune.errors import ModelError
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.storage.checked_folder import integrity_error, open_checked, write_checked
from hubtune.storage.regular_file import read_json
from hubtune.text import format_bytes
from hubtune.train.averaging import MovingAverage
from hubtune.train.finite import FiniteCheck
from hubtune.train.optimizer import Optimizer, Precision
from hubtune.train.plan import LoopSettings

_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optim.safetensors", "state.json"
_AVERAGE = "average.safetensors"
_Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
_NEWEST = 2  # the newest one may be damaged


@dataclass
class TrainState:
    """Progress of a run: everything that is not in the network or the optimizer.

    Attributes:
        step: steps made.
        evaluated: step of the latest evaluation.
        best_accuracy: highest validation accuracy so far, reached at ``best_step``.
        loss_sum: sum of the losses of ``count`` training images, those since the latest log line.
        correct: those of them that were classified correctly.
        stale: evaluations since the best one.
    """

    # For pydantic: a state may be read from a stranger's file.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    step: _Count = 0
    evaluated: _Count = 0
    best_accuracy: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    best_step: _Count = 0
    loss_sum: Annotated[float, Field(strict=True)] = 0.0
    correct: _Count = 0
    count: _Count = 0
    stale: _Count = 0

    def add(self, loss: float, correct: int, count: int) -> None:
        """Count a step: mean loss, correct and readable images of its batch."""
        self.step += 1
        self.loss_sum += loss * count
        self.correct += correct
        self.count += count

    @property
    def mean_loss(self) -> float:
        return self.loss_sum / max(1, self.count)

    @property
    def train_accuracy(self) -> float:
        return self.correct / max(1, self.count)


class Checkpoints:
    """The folder ``checkpoints/`` of a run, with one checked folder ``step-N`` for each checkpoint."""

    def __init__(self, folder: Path, keep: str = "auto") -> None:
        self.folder, self.keep = folder, keep

    def save(
        self,
        state: TrainState,
        classifier: Classifier,
        optimizer: Optimizer,
        average: MovingAverage | None,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> Path:
        """Write a checkpoint, and prune; if it cannot be written, older ones stay.

        ``check`` is called just before anything is written, and may raise. Returns the checkpoint's folder.
        """
        document = {**vars(state), "precision": vars(optimizer.precision)}
        files = {
            _MODEL: save({name: tensor.numpy() for name, tensor in classifier.training_state().items()}),
            _OPTIMIZER: save(optimizer_state(optimizer.optimizer, classifier)),
            _STATE: (json.dumps(document, indent=1) + "\n").encode(),
        }
        if average is not None:
            files[_AVERAGE] = save({name: tensor.numpy() for name, tensor in average.values.items()})
        check()
        folder = self.folder / f"step-{state.step}"
        write_checked(folder, files)
        self.prune(_NEWEST, state.best_step)
        return folder

    def restore(
        self,
        classifier: Classifier,
        optimizer: Optimizer,
        average: MovingAverage | None,
        *,
        step: int | None = None,
    ) -> TrainState | None:
        """Restore the newest intact checkpoint; returns ``None`` if there is no checkpoint.

        With ``step``, that checkpoint is restored, and newer ones are removed.

        Raises:
            ModelError: if there are checkpoints, but none is intact; or that of ``step`` is not.
        """
        folders = self._folders() if step is None else [self.find(step)]
        for folder in folders:
            reason = integrity_error(folder)
            if reason is not None:
                logger.warning("%s is skipped: %s", folder, reason)
                continue
            try:
                open_checked(folder, _MODEL, _OPTIMIZER, _STATE)
                tensors = load_file(folder / _MODEL)
                moments = load_file(folder / _OPTIMIZER)
                entries = read_json(folder / _STATE)
                precision = TypeAdapter(Precision).validate_python(entries.pop("precision", {}))
                # Another device may compute in another precision.
                if precision.dtype == optimizer.precision.dtype:
                    optimizer.precision = precision
                state = TypeAdapter(TrainState).validate_python(entries)
                if folder.name != f"step-{state.step}":
                    raise ValueError(f"it holds step {state.step}")
                for name, tensor in classifier.training_state().items():
                    tensor.set_value(tensors[name])
                restore_optimizer(optimizer.optimizer, classifier, moments)
                if average is not None:
                    average.restore(load_file(open_checked(folder, _AVERAGE) / _AVERAGE))
            except (SafetensorError, ValueError, TypeError, LookupError, AttributeError) as error:
                raise ModelError(f"{folder} is not a checkpoint of this hubtune: {error}") from error
            for newer in self._folders() if step is not None else ():
                if int(newer.name[5:]) > state.step:
                    shutil.rmtree(newer)
            return state
        if folders:
            raise ModelError(f"No checkpoint in {self.folder} is intact: start a new run")
        return None

    def find(self, step: int) -> Path:
        """Return the folder of a step's checkpoint.

        Raises:
            ModelError: if it is missing or damaged; the message names the steps of others.
        """
        folder = self.folder / f"step-{step}"
        reason = integrity_error(folder) if folder.is_dir() else "there is no such checkpoint"
        if reason is not None:
            others = [other.name[5:] for other in self._folders() if integrity_error(other) is None]
            advice = f"there are those of steps {', '.join(others)}" if others else "start a new run"
            raise ModelError(f"{folder} cannot be used: {reason}; {advice}")
        return folder

    def exist(self) -> bool:
        return bool(self._folders())

    def prune(self, count: int, best_step: int) -> None:
        """Remove checkpoints that ``train.keep`` does not name, and the remains of a killed save.

        Args:
            count: number of the newest ones that stay, if ``train.keep`` does not say how many.
            best_step: of the best evaluation so far; ``best`` keeps the first checkpoint from there on.
        """
        kind, _, number = self.keep.partition(" ")
        folders = self._folders()
        stay = set(folders if kind == "all" else folders[: int(number) if kind == "last" else count])
        if kind == "best":
            stay |= set([folder for folder in folders if int(folder.name[5:]) >= best_step][-1:])
        for folder in (*(folder for folder in folders if folder not in stay), *self.folder.glob(".step-*")):
            shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        folders = [path for path in self.folder.glob("step-*") if path.name[5:].isdecimal()]
        return sorted(folders, key=lambda path: int(path.name[5:]), reverse=True)


@dataclass
class Checkpointer:
    """Saves checkpoints, with everything that they consist of, while a network is trained."""

    checkpoints: Checkpoints
    classifier: Classifier
    optimizer: Optimizer
    settings: LoopSettings
    finite: FiniteCheck
    average: MovingAverage | None = None
    saved_at: float = field(default_factory=time.monotonic, init=False)

    @property
    def run(self) -> Path:
        return self.checkpoints.folder.parent

    def is_due(self, step: int) -> bool:
        return self.settings.saves_after(step, time.monotonic() - self.saved_at)

    def save(self, state: TrainState) -> Path:
        """Save a checkpoint, unless a weight is not a finite number: a resumed run would start from it.

        Returns its folder.
        """
        self.finite.check_weights(self.classifier, state.step)
        self.saved_at = time.monotonic()  # also of one that fails: not every step is to try again
        check = self.finite.folder.check_place
        return self.checkpoints.save(state, self.classifier, self.optimizer, self.average, check=check)

    def warn_of_little_space(self) -> None:
        """Warn if the disk has less room than three checkpoints: the two that are kept, and a new one."""
        tensors = [
            *self.classifier.training_state().values(),
            *(self.average.values.values() if self.average else ()),
        ]
        size = 4 * sum(tensor.size for tensor in tensors) + self.optimizer.moment_bytes
        free = shutil.disk_usage(self.run).free
        if free < 3 * size:
            logger.warning(
                "%s are free where %s is, and three checkpoints take about %s: free some space, or name "
                "another folder, -o run=NAME",
                *(format_bytes(free), self.run, format_bytes(3 * size)),
            )


def optimizer_state(optimizer: paddle.optimizer.Optimizer, classifier: Classifier) -> dict[str, np.ndarray]:
    """Return the optimizer's tensors under the parameters' names in the state dict.

    Paddle names them after counters of the process, which differ between processes.
    """
    names = {tensor.name: name for name, tensor in classifier.named_parameters()}
    moments = {}
    for key, tensor in optimizer.state_dict().items():
        parameter, moment = _part(key, names)
        moments[f"{names[parameter]}/{moment}"] = tensor.numpy()
    return moments


def restore_optimizer(
    optimizer: paddle.optimizer.Optimizer, classifier: Classifier, state: Mapping[str, np.ndarray]
) -> None:
    """Give an optimizer the tensors of :func:`optimizer_state`."""
    parameters = dict(classifier.named_parameters())
    moments, trained = {}, {}
    for key, array in state.items():
        name, moment = key.rsplit("/", 1)
        moments[f"{parameters[name].name}_{moment}"] = paddle.to_tensor(array)
        trained[name] = parameters[name]
    optimizer.set_state_dict(moments)
    # Now, and not at the next step: Paddle would look among these moments for those of parameters, too, that
    # are trained for the first time then.
    optimizer._create_accumulators(paddle.static.default_main_program().global_block(), [*trained.values()])


def _part(key: str, names: Mapping[str, Any]) -> tuple[str, str]:
    """Divide ``linear_0.w_0_moment1_0`` into the parameter's name and ``moment1_0``."""
    cut = len(key)
    while (cut := key.rfind("_", 0, cut)) > 0:
        if key[:cut] in names:
            return key[:cut], key[cut + 1 :]
    raise KeyError(key)
