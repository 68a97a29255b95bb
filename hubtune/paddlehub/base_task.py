"""What PaddleHub's tasks have in common: phases, hooks, and counters of a run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hubtune.errors import UsageError
from hubtune.log import logger
from hubtune.paddlehub.absent import PaddleHubObject
from hubtune.paddlehub.hooks import DEFAULT, EVENTS, TaskHooks
from hubtune.paddlehub.run_states import RunState

_PHASES = {
    "train": "train",
    "dev": "dev",
    "val": "dev",
    "test": "test",
    "predict": "predict",
    "inference": "predict",
}


class BaseTask(PaddleHubObject):
    """Base of :class:`~hubtune.paddlehub.classifier_task.ImageClassifierTask`.

    Attributes:
        hooks: functions that are called at the events of PaddleHub.
        best_score: highest accuracy on the validation list so far; -999 before the first evaluation.
        current_step, current_epoch: those of the latest training step.
        is_best_model_loaded: whether the best model of the latest run is in use.
        config: how the task is trained.
    """

    config: Any

    def __init__(self) -> None:
        """Begin in the phase ``train``, with a hook for each event, which writes PaddleHub's line."""
        self.best_score: float = -999
        self.current_step, self.current_epoch = 0, 1
        self.is_best_model_loaded = False
        self._phases = ["train"]
        self.hooks = TaskHooks()
        for event in EVENTS:
            self.hooks.add(event, DEFAULT, getattr(self, f"_default_{event}"))

    def fire(self, event: str, *arguments: Any) -> None:
        """Call the method of an event, ``_eval_end_event`` and others, which calls the event's hooks."""
        getattr(self, f"_{event}")(*arguments)

    def add_hook(
        self, hook_type: str, name: str | None = None, func: Callable[..., Any] | None = None
    ) -> None:
        """Call a function at an event; errors are those of :class:`~hubtune.paddlehub.hooks.TaskHooks`."""
        self.hooks.add(hook_type, name, func)
        logger.info("Add hook %s:%s successfully", hook_type, name or f"hook_{id(func)}")

    def delete_hook(self, hook_type: str, name: str) -> None:
        """Call a function no more; ``default`` is the task's own, which writes the log line."""
        self.hooks.delete(hook_type, name)
        logger.info("Delete hook %s:%s successfully", hook_type, name)

    def modify_hook(self, hook_type: str, name: str, func: Callable[..., Any]) -> None:
        """Call another function in its place."""
        self.hooks.modify(hook_type, name, func)
        logger.info("Modify hook %s:%s successfully", hook_type, name)

    def hooks_info(self, show_default: bool = False) -> str:
        """Return the names of the hooks."""
        return self.hooks.info(show_default)

    @contextmanager
    def phase_guard(self, phase: str) -> Iterator[None]:
        """Be in a phase for the block: ``train``, ``dev``, ``test`` or ``predict``."""
        before = [*self._phases]
        self.enter_phase(phase)
        try:
            yield
        finally:
            self._phases = before

    def enter_phase(self, phase: str) -> None:
        """Enter a phase; raises UsageError if there is no such phase."""
        if phase not in _PHASES:
            raise UsageError(f"There is no phase {phase!r}: it may be {', '.join(_PHASES)}")
        self._phases.append(_PHASES[phase])

    def exit_phase(self) -> None:
        """Return to the phase before."""
        self._phases = self._phases[:-1]

    @property
    def phase(self) -> str:
        """The phase that the task is in."""
        return self._phases[-1]

    @property
    def is_train_phase(self) -> bool:
        return self.phase == "train"

    @property
    def is_test_phase(self) -> bool:
        return self.phase in ("dev", "test")

    @property
    def is_predict_phase(self) -> bool:
        return self.phase == "predict"

    def _default_build_env_start_event(self) -> None: ...

    def _default_build_env_end_event(self) -> None: ...

    def _default_finetune_start_event(self) -> None:
        logger.info("PaddleHub finetune start")

    def _default_finetune_end_event(self, run_states: Sequence[RunState]) -> None:
        logger.info("PaddleHub finetune finished.")

    def _default_predict_start_event(self) -> None:
        logger.info("PaddleHub predict start")

    def _default_predict_end_event(self, run_states: Sequence[RunState]) -> None:
        logger.info("PaddleHub predict finished.")

    def _default_eval_start_event(self) -> None:
        logger.info("Evaluation on %s dataset start", self.phase)

    # hubtune writes the lines of these events.

    def _default_eval_end_event(self, run_states: Sequence[RunState]) -> None: ...

    def _default_log_interval_event(self, run_states: Sequence[RunState]) -> None: ...

    def _default_save_ckpt_interval_event(self) -> None: ...

    def _default_eval_interval_event(self) -> None: ...

    def _default_run_step_event(self, run_state: RunState) -> None: ...

    def saving(self, checkpoint: Path, step: int) -> None:
        """Report a checkpoint of the run to the log, and to hooks if it is one of the script's interval."""
        logger.info("Saving model checkpoint to %s", checkpoint)
        interval = self.config.save_ckpt_interval
        if interval and step % interval == 0:
            self.fire("save_ckpt_interval_event")


def _event_method(event: str) -> Callable[..., None]:
    def call_hooks(self: BaseTask, *arguments: Any) -> None:
        self.hooks.fire(event, self, *arguments)

    return call_hooks


# Scripts for PaddleHub up to 1.4, which had no hooks, define these methods anew.
for _event in EVENTS:
    setattr(BaseTask, f"_{_event}", _event_method(_event))
