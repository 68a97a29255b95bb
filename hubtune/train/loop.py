"""The training loop."""

import time
from collections.abc import Iterable
from contextlib import nullcontext

from hubtune.errors import StoppedError
from hubtune.log import TRAIN, logger
from hubtune.runs.callbacks import Callback
from hubtune.runs.signals import Stop, StopRequested
from hubtune.train.batches import TrainBatch
from hubtune.train.checkpoint import Checkpointer, TrainState
from hubtune.train.evaluator import Evaluator
from hubtune.train.plan import LoopSettings
from hubtune.train.step import TrainStep

_HIGH_WAITING = 0.2  # share of the time spent waiting above which advice is logged


def fit(
    step: TrainStep,
    batches: Iterable[TrainBatch],
    settings: LoopSettings,
    state: TrainState,
    *,
    evaluator: Evaluator,
    checkpointer: Checkpointer,
    stop: Stop,
    callback: Callback,
) -> None:
    """Train from ``state``, which is updated, to the last step or until early stopping ends the run.

    Raises:
        NumericError: if the loss or a weight is not a finite number; what was saved before stays.
        StoppedError: if a stop was requested; a checkpoint was saved.
    """
    timer = _Timer(state.step)
    try:
        step.start(state.step)
        # A run that stopped between a step and its evaluation makes up for it first.
        if settings.evaluates_after(state.step) and state.evaluated < state.step:
            evaluator.evaluate(state)
        for batch in batches if not evaluator.has_stalled(state) else ():
            # Between steps only, where weights and state belong to the same step.
            if settings.averages_after(state.step):
                stop.check()
            timer.waited += batch.waited
            rate = settings.rate(state.step)
            result = step.run(batch, state.step, rate)
            state.add(result.loss, result.correct, result.count)
            # Unreadable images count as progress, or a bar would never reach its end.
            callback.advance(batch.size, loss=state.mean_loss, accuracy=state.train_accuracy)
            loss, accuracy = result.figures()
            callback.stepped(state.step, settings.total_steps, loss=loss, accuracy=accuracy, rate=rate)
            if settings.logs_after(state.step):
                _log_step(state, settings.total_steps, timer.steps_per_second(state.step))
            if settings.evaluates_after(state.step):
                evaluator.evaluate(state)
            # The last checkpoint has to say that early stopping ended the run, or resuming would train on.
            if checkpointer.is_due(state.step) or evaluator.has_stalled(state):
                # The last one must be there: without it, the end could not be repeated.
                is_last = state.step == settings.total_steps or evaluator.has_stalled(state)
                what = f"the checkpoint of step {state.step}"
                with nullcontext() if is_last else evaluator.context.outlives_full_disk(what):
                    callback.saved(checkpointer.save(state), step=state.step)
            if evaluator.has_stalled(state):
                callback.notice(
                    f"Training ends early, at step {state.step} of {settings.total_steps}: the last "
                    f"{state.stale} evaluations were not better."
                )
                break
        log_waiting(timer.waiting_share())
        # A signal during the last step: the test list would delay the stop.
        stop.check()
    except StopRequested:
        callback.saved(checkpointer.save(state), step=state.step)
        message = f"Stopped after step {state.step} of {settings.total_steps}; everything is saved"
        raise StoppedError(message, stop.exit_code, checkpointer.run) from None


def _log_step(state: TrainState, total_steps: int, speed: float) -> None:
    # The format is PaddleHub 1.x's to the letter, because scripts of its users parse it.
    logger.log(
        TRAIN,
        "step %d / %d: loss=%.5f acc=%.5f [step/sec: %.2f]",
        *(state.step, total_steps, state.mean_loss, state.train_accuracy, speed),
    )
    state.loss_sum, state.correct, state.count = 0.0, 0, 0


def log_waiting(share: float) -> None:
    """Log which share of the time was spent waiting for images; with advice if that is much."""
    advice = ""
    if share > _HIGH_WAITING:
        advice = ": more threads may help (-o data.workers=4), smaller pictures, or a faster disk"
    logger.info("waited for pictures %.0f %% of the time%s", 100 * share, advice)


class _Timer:
    """Seconds since the start and since the latest log line, and seconds spent waiting for images."""

    def __init__(self, step: int) -> None:
        # Not the wall clock, which may be set back while the run goes on.
        self._start = self._logged = time.monotonic()
        self._step = step
        self.waited = 0.0

    def waiting_share(self) -> float:
        return self.waited / max(1e-9, time.monotonic() - self._start)

    def steps_per_second(self, step: int) -> float:
        """Speed since the previous call."""
        now = time.monotonic()
        speed = (step - self._step) / max(1e-9, now - self._logged)
        self._logged, self._step = now, step
        return speed
