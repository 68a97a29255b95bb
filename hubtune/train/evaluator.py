"""Evaluation during training: measure the model, keep the best one, notice when it no longer improves."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.evaluation.metrics import Metrics
from hubtune.evaluation.thresholds import DEFAULT_THRESHOLD
from hubtune.hub.file_names import CODE_FILE
from hubtune.hub.model_card import ModelCard, read_card
from hubtune.inference.evaluate import evaluate_scores
from hubtune.inference.int8_program import Int8Program
from hubtune.inference.model_folder import write_model
from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import REFERENCE_FILE, Reference
from hubtune.log import EVAL, logger
from hubtune.models.classifier import Classifier
from hubtune.report.model_readme import README_FILE
from hubtune.runs.folder import RECIPE_FILE
from hubtune.train.averaging import BestWeights, MovingAverage
from hubtune.train.checkpoint import TrainState
from hubtune.train.context import RunContext
from hubtune.train.finite import FiniteCheck

Scorer = Callable[[Sequence[Path]], Iterator[ImageScores]]
"""Image files → the scores of each, in order."""

Figures = dict[str, dict[str, Any]]
"""Name of a list → its metrics, as the model folder has them."""


@dataclass(frozen=True)
class FittedCalibration:
    """How a model says how sure it is.

    Attributes:
        temperature: that was folded into the head after training; ``None`` if there was none.
        reference: features of training images; ``None`` if the model has none.
        similarity_threshold: images that are less similar to all of these are of another kind.
        thresholds: of a multi-label model, the probability from which an image has each label; ``None``: 0.5.
    """

    temperature: float | None = None
    reference: Reference | None = None
    similarity_threshold: float | None = None
    thresholds: Sequence[float] | None = None


@dataclass(frozen=True)
class TrainedModel:
    """The classifier that a trainer returns.

    Attributes:
        views: the ways in which it looks at each image.
        step: training steps it was reached after; 0 for a head that was solved in closed form.
        cross_validated: accuracy on the training list by cross-validation; ``None`` if there was none.
        calibration: how the model says how sure it is.
        program: the network in int8 that the scores are of; ``None`` if they are the classifier's.
    """

    classifier: Classifier
    views: list[Preprocessing]
    score: Scorer
    step: int
    metrics: Figures
    cross_validated: float | None = None
    calibration: FittedCalibration = FittedCalibration()
    program: Int8Program | None = None


def evaluate_list(
    context: RunContext, name: str, score: Scorer, calibration: FittedCalibration = FittedCalibration()
) -> Evaluation | LabelEvaluation | None:
    """Evaluate a model on a list; ``None`` if the list is empty or none of its images can be read.

    If the model has features of training images, the answers have the most similar one of each image.
    """
    examples = context.data.examples[name]
    if not examples:
        return None
    results = context.watch(name, score(context.paths(name)))
    evaluation = evaluate_scores(
        *(results, [example.label for example in examples]),
        *(context.data.output_labels, calibration.reference),
        members=context.data.targets.members,
        thresholds=calibration.thresholds,
    )
    if not evaluation.count:
        logger.warning("none of the %d %s pictures can be read: no figure", len(examples), name)
        return None
    return evaluation


def save_model(
    context: RunContext,
    classifier: Classifier,
    views: Sequence[Preprocessing],
    step: int,
    metrics: Figures,
    calibration: FittedCalibration = FittedCalibration(),
    describe: Callable[[ModelCard], str] | None = None,
    program: Int8Program | None = None,
) -> None:
    """Write the run's best model; if it cannot be written, the one before stays.

    ``describe`` returns its ``README.md``; ``program`` is its network in int8, if it has one.
    """
    context.folder.check_place()
    module, data = context.module, context.data
    thresholds = list(calibration.thresholds or [DEFAULT_THRESHOLD] * len(data.output_labels))
    card = ModelCard(
        architecture=module.backbone.name if module.code is None else CODE_FILE,
        hidden_units=context.config.hidden_units,
        taps=[] if classifier.second_order is None else list(classifier.second_order.taps),
        labels=data.output_labels,
        preprocessing=views[0],
        further_views=list(views[1:]),
        module=module.name,
        module_sha256=module.weights_sha256,
        strategy=context.config.strategy.name,
        step=step,
        metrics=metrics,
        temperature=calibration.temperature,
        similarity_threshold=calibration.similarity_threshold,
        engine=None if program is None else program.name,
        multi_label=data.label_sets is not None,
        thresholds=[] if data.label_sets is None else thresholds,
    )
    further = dict(module.code_files)
    if program is not None:
        further |= program.files
    if calibration.reference is not None:
        further[REFERENCE_FILE] = calibration.reference.encode()
    if describe is not None:
        further[README_FILE] = describe(card).encode(errors="backslashreplace")
    write_model(context.folder.best_model, classifier, card, further)


def keep_best_model(
    context: RunContext,
    classifier: Classifier,
    views: Sequence[Preprocessing],
    metrics: Metrics | None,
    step: int,
    program: Int8Program | None = None,
    calibration: FittedCalibration = FittedCalibration(),
) -> None:
    """Write the run's best model with its figures on the validation list, and log them."""
    figures = {} if metrics is None else {"validate": metrics.as_dict()}
    save_model(context, classifier, views, step, figures, calibration, program=program)
    suffix = "" if metrics is None else f" [best {metrics.selection_name}={metrics.selection_figure:.5f}]"
    logger.log(EVAL, "best model saved to %s%s", context.folder.best_model, suffix)


def log_evaluation(name: str, metrics: Metrics, batch_size: int, seconds: float) -> None:
    """Write PaddleHub's line for an evaluation; ``name`` is ``dev``, ``test`` or ``train``."""
    speed = math.ceil(metrics.count / batch_size) / max(1e-9, seconds)
    line = "[%s dataset evaluation result] loss=%.5f acc=%.5f%s [step/sec: %.2f]"
    further = "" if metrics.mean_ap is None else f" mAP={metrics.mean_ap:.5f}"
    logger.log(EVAL, line, name, metrics.loss, metrics.accuracy, further, speed)


def begin_evaluation(context: RunContext, name: str, step: int) -> float:
    """Report to the callback that a list is about to be measured; returns the time, seconds."""
    context.callback.evaluating(name, step=step)
    return time.monotonic()


def record_evaluation(
    context: RunContext, name: str, metrics: Metrics, *, step: int, best: bool, started: float
) -> None:
    """Log an evaluation, append it to the run's history, and report it to the callback.

    ``started`` is the time of :func:`begin_evaluation`.
    """
    seconds = time.monotonic() - started
    log_evaluation("dev" if name == "validate" else name, metrics, context.config.images_per_step, seconds)
    context.folder.check_place()
    with context.outlives_full_disk(f"the line of step {step} in metrics.jsonl"):
        context.folder.history.append({"step": step, "list": name, **metrics.as_dict()})
    context.callback.evaluated(name, metrics, step=step, best=best)


@dataclass
class Evaluator:
    """Evaluates a network on the validation list while it is trained by gradients.

    Attributes:
        score: scores images by the network as it is then.
        finite: ends the run if a figure or a weight is not finite.
        average: of the weights; evaluated and kept in their place.
    """

    context: RunContext
    classifier: Classifier
    views: Sequence[Preprocessing]
    score: Scorer
    finite: FiniteCheck
    average: MovingAverage | None = None

    @cached_property
    def _best_weights(self) -> BestWeights | None:
        count = self.context.config.average_best
        return None if count is None else BestWeights(self.context.folder.candidates, count)

    def evaluate(self, state: TrainState) -> None:
        """Evaluate the network, and keep it if it is the best so far; ``state`` is updated."""
        with nullcontext() if self.average is None else self.average.in_place():
            started = begin_evaluation(self.context, "validate", state.step)
            metrics = evaluate_list(self.context, "validate", self.score)
            # Without a figure the newest model is kept, unless one with a figure is there.
            best = state.best_accuracy is None or (
                metrics is not None and metrics.selection_figure > state.best_accuracy
            )
            if metrics is not None:
                self.finite.check(metrics.loss, "the validation loss", state.step)
                again = state.best_step == state.step > 0
                record_evaluation(
                    *(self.context, "validate", metrics),
                    step=state.step,
                    best=best or again,
                    started=started,
                )
                if self._best_weights is not None:
                    weights = {name: tensor.numpy() for name, tensor in self.classifier.state().items()}
                    self._best_weights.add(state.step, metrics.selection_figure, weights)
            if best:
                self.finite.check_weights(self.classifier, state.step)
                with self.context.outlives_full_disk(f"the best model, of step {state.step},"):
                    keep_best_model(self.context, self.classifier, self.views, metrics, state.step)
                    state.best_accuracy = metrics.selection_figure if metrics else None
                    state.best_step = state.step
        # A resumed run repeats evaluations whose best model was saved after the checkpoint.
        state.stale = 0 if best or state.step <= state.best_step else state.stale + 1
        state.evaluated = state.step

    def has_stalled(self, state: TrainState) -> bool:
        patience = self.context.config.early_stopping
        return patience is not None and state.stale >= patience

    def average_best(self, state: TrainState) -> None:
        """Keep the average of the best checkpoints if it beats the best single one."""
        mean = None if self._best_weights is None else self._best_weights.mean()
        if mean is None:
            return
        for name, tensor in self.classifier.state().items():
            tensor.set_value(mean[name])
        metrics = evaluate_list(self.context, "validate", self.score)
        if metrics is None or state.best_accuracy is None:
            return
        figure = metrics.selection_figure
        better = figure > state.best_accuracy
        logger.info(
            "mean of the best weights: %s=%.5f%s",
            *(metrics.selection_name, figure),
            "" if better else ", not better than the best model, which stays",
        )
        if better:
            state.best_accuracy, state.best_step = figure, state.step
            keep_best_model(self.context, self.classifier, self.views, metrics, state.step)

    def restore_best(self, state: TrainState) -> None:
        """Update a checkpoint's state with a best model that this run saved after it.

        One that is lost is written again by evaluating the checkpoint, or refused by a ``ModelError``.
        """
        folder = self.context.folder
        try:
            card = read_card(folder.best_model)
        except ModelError as error:
            if state.best_step == state.step > 0:
                logger.warning("%s: it is written again, from the checkpoint of step %d", error, state.step)
                state.evaluated, state.best_accuracy = state.step - 1, None
            elif state.best_accuracy is not None:
                again = f"begin again by hubtune finetune {folder.path / RECIPE_FILE} -o run=runs/NAME"
                if (folder.checkpoints / f"step-{state.best_step}").is_dir():
                    again = f"continue from the step of its weights, --resume --checkpoint {state.best_step}"
                raise ModelError(f"{error}; it was the model of step {state.best_step}: {again}") from error
            return
        if card.step > state.step and "validate" in card.metrics:
            figures = card.metrics["validate"]
            state.best_accuracy = figures.get("mean_ap", figures["accuracy"])
            state.best_step = card.step
