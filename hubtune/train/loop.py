"""The training loop."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import paddle

from hubtune.data.loader import Batch
from hubtune.errors import NumericError, StoppedError
from hubtune.evaluation.metrics import Metrics
from hubtune.log import EVAL, TRAIN, logger
from hubtune.models.classifier import Classifier, run_by_shape
from hubtune.rng import seed_for
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop, StopRequested
from hubtune.train.averaging import MovingAverage
from hubtune.train.checkpoint import Checkpoints, TrainState
from hubtune.train.loss import Loss
from hubtune.train.optimizer import Optimizer

_SECONDS_BETWEEN_CHECKPOINTS = 300.0
_MUCH_WAITING = 0.2  # share of the time above which something should be done


@dataclass(frozen=True)
class LoopSettings:
    """What is done at which step.

    Attributes:
        steps_per_epoch: batches in an epoch.
        total_steps: steps of the whole run.
        eval_interval: steps between evaluations; each epoch's end has one, too.
        log_interval: steps between log lines.
        save_interval: steps between checkpoints; ``None`` for each epoch's end and every five minutes.
        keep_statistics: BatchNorm layers keep their pretrained statistics.
        rate: steps done → learning rate of the next step.
        base_rate: the recipe's.
        seed: of the run.
        micro_batch: pictures that are run at once; ``None`` for the whole batch.
        early_stopping: evaluations without a better one after which training ends; ``None`` for never.
    """

    steps_per_epoch: int
    total_steps: int
    eval_interval: int
    log_interval: int
    save_interval: int | None
    keep_statistics: bool
    rate: Callable[[int], float]
    base_rate: float
    seed: int
    micro_batch: int | None = None
    early_stopping: int | None = None

    def evaluates_after(self, step: int) -> bool:
        """Whether the validation list is evaluated after a step."""
        return step > 0 and (step % self.eval_interval == 0 or step % self.steps_per_epoch == 0)

    def saves_after(self, step: int, seconds: float) -> bool:
        """Whether a checkpoint is due after a step, the latest being so many seconds old."""
        if step == self.total_steps:
            return True
        if self.save_interval is not None:
            return step % self.save_interval == 0
        return step % self.steps_per_epoch == 0 or seconds > _SECONDS_BETWEEN_CHECKPOINTS

    def has_stalled(self, state: TrainState) -> bool:
        """Whether training ends for want of a better evaluation."""
        return self.early_stopping is not None and state.stale >= self.early_stopping


def fit(
    classifier: Classifier,
    forward: Callable[[paddle.Tensor], paddle.Tensor],
    update: Optimizer,
    loss: Loss,
    batches: Iterable[tuple[Batch, np.ndarray]],
    paths: Sequence[Path],
    plan: LoopSettings,
    state: TrainState,
    *,
    evaluate: Callable[[], Metrics | None],
    keep_best: Callable[[Metrics | None], None],
    consider: Callable[[Metrics], None] = lambda metrics: None,
    average: MovingAverage | None = None,
    run: RunFolder,
    stop: Stop,
    observer: Callback,
) -> None:
    """Train from ``state`` to the last step of the plan, keeping the best model on the way.

    Args:
        classifier: the network, on which ``state`` was reached.
        forward: what it makes logits ``[N, num_classes]`` of the batches' arrays with.
        update: what changes its parameters, likewise.
        loss: what is minimised.
        batches: the batches from step ``state.step`` on, each with the targets ``[N, num_classes]`` of its
            readable pictures.
        paths: the training pictures, by the index that batches know them by.
        plan: what is done when.
        state: how far the run has come; brought up to date in place.
        evaluate: measures the network on the validation list; ``None`` where there is none.
        keep_best: saves the network as the best model; called when accuracy is higher than ever before, and,
            without any figure so far, at each evaluation.
        consider: called with the figures of each evaluation, before ``keep_best``.
        average: of the weights; measured and kept in their place.
        run: where checkpoints and history go.
        stop: asked after each step.
        observer: told about each step.

    Raises:
        NumericError: if the loss or a weight is not a finite number; what was saved before it stays.
        StoppedError: if ``stop`` asked for it; a checkpoint was saved.
    """
    checkpoints = Checkpoints(run.checkpoints)
    watch = _Stopwatch(state.step)

    def check_weights() -> None:
        # A gradient may be infinite where the loss is not; what it has spoiled must not be kept.
        for name, tensor in classifier.state().items():
            if not paddle.isfinite(tensor).all():
                _stop_at(f"the weight {name}", state.step, run, plan, [])

    def save() -> None:
        check_weights()
        checkpoints.save(state, classifier, update, average)

    def validate() -> None:
        with nullcontext() if average is None else average.in_place():
            metrics = evaluate()
            # Without a figure the newest model is kept, unless one with a figure is there.
            best = state.best_accuracy is None or (
                metrics is not None and metrics.accuracy > state.best_accuracy
            )
            if metrics is not None:
                _check_finite(metrics.loss, "the validation loss", state.step, run, plan, [])
                log_evaluation("dev", metrics)
                run.history.append({"step": state.step, "list": "validate", **metrics.as_dict()})
                again = state.best_step == state.step > 0
                observer.evaluated("validate", metrics, step=state.step, best=best or again)
                consider(metrics)
            if best:
                state.best_accuracy, state.best_step = metrics.accuracy if metrics else None, state.step
                check_weights()
                keep_best(metrics)
        # A best model that was saved after the checkpoint of a resumed run is met again.
        state.stale = 0 if best or state.step <= state.best_step else state.stale + 1
        state.evaluated = state.step
        classifier.start_training(keep_statistics=plan.keep_statistics)

    try:
        update.begin(state.step)
        classifier.start_training(keep_statistics=plan.keep_statistics)
        if plan.evaluates_after(state.step) and state.evaluated < state.step:
            validate()
        for batch, targets in batches if not plan.has_stalled(state) else ():
            stop.check()
            watch.waited(batch.waited)
            rate = plan.rate(state.step)
            if update.begin(state.step):
                classifier.start_training(keep_statistics=plan.keep_statistics)
            mean, correct = 0.0, 0
            if batch.arrays:
                paddle.seed(seed_for(plan.seed, "step", state.step))  # the same dropout whenever it is run
                shown = [str(paths[index]) for index in batch.indices]
                for cost, right in costs(forward, update, loss, batch.arrays, targets, plan.micro_batch):
                    value = float(cost)
                    _check_finite(value, "the loss", state.step + 1, run, plan, shown)
                    (cost * (update.precision.scale / len(targets))).backward()
                    mean, correct = mean + value / len(targets), correct + right
                update.apply(rate)
                if average is not None:
                    average.update(state.step + 1)
                state.loss_sum += mean * len(targets)
                state.correct += correct
                state.count += len(targets)
            state.step += 1
            mean_loss, accuracy = state.loss_sum / max(1, state.count), state.correct / max(1, state.count)
            observer.advance(len(batch.indices) + len(batch.bad), loss=mean_loss, accuracy=accuracy)
            readable = len(batch.arrays)
            observer.stepped(
                state.step,
                plan.total_steps,
                loss=mean if readable else None,
                accuracy=correct / readable if readable else None,
                rate=rate,
            )
            if state.step % plan.log_interval == 0 or state.step == plan.total_steps:
                speed = watch.steps_per_second(state.step)
                logger.log(
                    TRAIN,
                    "step %d / %d: loss=%.5f acc=%.5f [step/sec: %.2f]",
                    *(state.step, plan.total_steps, mean_loss, accuracy, speed),
                )
                state.loss_sum, state.correct, state.count = 0.0, 0, 0
            if plan.evaluates_after(state.step):
                validate()
            if plan.saves_after(state.step, watch.since_save()) or plan.has_stalled(state):
                save()
                watch.saved()
            if plan.has_stalled(state):
                observer.notice(
                    f"Training ends early, at step {state.step} of {plan.total_steps}: the last "
                    f"{state.stale} evaluations were no better."
                )
                break
        watch.tell_waiting()
        stop.check()
    except StopRequested:
        save()
        raise StoppedError(
            f"Stopped after step {state.step} of {plan.total_steps}; everything is saved",
            stop.exit_code,
            run.path,
        ) from None


def costs(
    forward: Callable[[paddle.Tensor], paddle.Tensor],
    update: Optimizer,
    loss: Loss,
    arrays: Sequence[np.ndarray],
    targets: np.ndarray,
    micro_batch: int | None,
) -> Iterator[tuple[paddle.Tensor, int]]:
    """Run a batch in parts: of each, the summed loss, and how many of its pictures are scored right.

    Args:
        forward: makes logits of pictures.
        update: has the precision that they are computed in.
        loss: what is minimised.
        arrays: the pictures.
        targets: each class's share, ``[N, classes]``.
        micro_batch: pictures in a part; ``None`` for all.
    """
    size = micro_batch or len(arrays)
    for start in range(0, len(arrays), size):
        part = targets[start : start + size]
        with update.precision.cast():
            logits = run_by_shape(forward, arrays[start : start + size])
        right = logits.astype("float32").numpy().argmax(axis=1) == part.argmax(axis=1)
        yield loss(logits, part), int(right.sum())


def _check_finite(
    value: float, what: str, step: int, run: RunFolder, plan: LoopSettings, batch: list[str]
) -> None:
    if not math.isfinite(value):
        _stop_at(what, step, run, plan, batch)


def _stop_at(what: str, step: int, run: RunFolder, plan: LoopSettings, batch: list[str]) -> NoReturn:
    rate = plan.rate(step - 1)
    file = run.write_nan_report({"step": step, "learning_rate": rate, "batch": batch})
    raise NumericError(
        f"{what.capitalize()} is not a finite number at step {step} (learning rate {rate:g}); {file} has "
        f"the details. Try a tenth of the rate: -o train.learning_rate={plan.base_rate / 10:.3g}"
    )


def log_evaluation(name: str, metrics: Metrics) -> None:
    """Write PaddleHub's line for an evaluation; ``name`` is ``dev`` or ``test``."""
    logger.log(
        EVAL, "[%s dataset evaluation result] loss=%.5f acc=%.5f", name, metrics.loss, metrics.accuracy
    )


def log_waiting(share: float) -> None:
    """Say what share of the time was spent waiting for pictures, and what may help if that is much."""
    advice = ""
    if share > _MUCH_WAITING:
        advice = ": more threads may help (-o data.workers=4), smaller pictures, or a faster disk"
    logger.info("waited for pictures %.0f %% of the time%s", 100 * share, advice)


class _Stopwatch:
    """Seconds since the latest log line and the latest checkpoint, and those spent waiting for pictures."""

    def __init__(self, step: int) -> None:
        self._start = self._save = self._log = time.monotonic()
        self._step = step
        self._waited = 0.0

    def waited(self, seconds: float) -> None:
        self._waited += seconds

    def tell_waiting(self) -> None:
        log_waiting(self._waited / max(1e-9, time.monotonic() - self._start))

    def steps_per_second(self, step: int) -> float:
        now = time.monotonic()
        speed = (step - self._step) / max(1e-9, now - self._log)
        self._log, self._step = now, step
        return speed

    def since_save(self) -> float:
        return time.monotonic() - self._save

    def saved(self) -> None:
        self._save = time.monotonic()
