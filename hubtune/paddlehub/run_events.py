"""What happens in a run, as events of PaddleHub: hooks, the task's counters and its log lines."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hubtune.errors import MachineError
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.metrics import Metrics
from hubtune.paddlehub.run_states import RunState, evaluation_states, step_state
from hubtune.runs.callbacks import Callback
from hubtune.train.curve_logger import FORMATS, CurveWriter

_PHASES = {"train": "train", "validate": "dev", "test": "test"}
_FIGURES = {"loss": "Loss", "accuracy": "acc"}


def curve_writers() -> list[Callback]:
    """Return a writer of curves with PaddleHub's tags, ``Loss_train``, …, if its package is installed."""
    for name in FORMATS:
        try:
            return [CurveWriter(name, _tag_of)]
        except MachineError:
            continue
    return []


def _tag_of(name: str, figure: str) -> str:
    return f"{_FIGURES.get(figure, figure)}_{_PHASES[name]}"


class RunEvents(Callback):
    """Calls the hooks of a task while it is trained.

    Attributes:
        states: those of the steps of the latest epoch.
    """

    def __init__(self, task: Any, steps_per_epoch: int) -> None:
        self._task, self._steps_per_epoch = task, steps_per_epoch
        self.states: list[RunState] = []
        self._since_log: list[RunState] = []
        self._started = time.monotonic()
        self._batch_size = 0

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._batch_size = images

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        task, now = self._task, time.monotonic()
        self._leave_evaluation()
        task.current_step, task.max_train_steps = step, total
        task.current_epoch = (step - 1) // self._steps_per_epoch + 1
        if (step - 1) % self._steps_per_epoch == 0:
            self.states = []
        if loss is not None and accuracy is not None:
            state = step_state(loss, accuracy, self._batch_size, now - self._started)
            self.states.append(state)
            self._since_log.append(state)
            if step % task.task.config.log_interval == 0:
                task.fire("log_interval_event", self._since_log)
                self._since_log = []
            task.fire("run_step_event", state)
        self._started = now

    def evaluating(self, name: str, *, step: int) -> None:
        self._leave_evaluation()
        if not self._task.task.dataset.examples(name):
            return
        if name == "validate" and step and step % self._task.task.config.eval_interval == 0:
            self._task.fire("eval_interval_event")
        self._task.enter_phase(_PHASES[name])
        self._task.fire("eval_start_event")
        self._started = time.monotonic()

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        task = self._task
        if best:
            task.best_score = metrics.accuracy
        seconds = time.monotonic() - self._started
        states = evaluation_states(cast(Evaluation, metrics), task.task.config.images_per_step, seconds)
        task.fire("eval_end_event", states)
        self._leave_evaluation()
        self._started = time.monotonic()

    def _leave_evaluation(self) -> None:
        # One of a list without readable images ends without a figure.
        if not self._task.is_train_phase:
            self._task.exit_phase()

    def saved(self, checkpoint: Path, *, step: int) -> None:
        self._task.saving(checkpoint, step)

    def finished(self, result: Mapping[str, Any]) -> None:
        self._task.is_best_model_loaded = True
