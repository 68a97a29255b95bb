"""Strategy `frozen`: a linear head on the features of a frozen backbone, solved in closed form."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import DataError, StoppedError
from hubtune.evaluation.metrics import Metrics
from hubtune.hub.model_card import read_card
from hubtune.inference.engine_interface import INT8_ENGINE
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.int8_program import Int8Program
from hubtune.inference.list_features import features_backbone
from hubtune.inference.predict import ImageScores, unit_mean
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.runs.signals import StopRequested
from hubtune.storage.checked_folder import find_checked
from hubtune.text import format_duration
from hubtune.train.checkpoint import Checkpoints, TrainState
from hubtune.train.context import RunContext
from hubtune.train.distributed.share import share_extraction
from hubtune.train.evaluator import (
    FittedCalibration,
    TrainedModel,
    begin_evaluation,
    evaluate_list,
    keep_best_model,
    record_evaluation,
)
from hubtune.train.head_solver import HeadSolver, Solution, head_settings
from hubtune.train.int8_engine import compare_int8, quantized_backbone
from hubtune.train.loop import log_waiting
from hubtune.train.views import first_views

# The engine's idle time is logged above this share of a pass that takes longer than this.
_LONG_SECONDS, _HIGH_WAITING = 2.0, 0.4


def train_frozen(context: RunContext, classifier: Classifier) -> TrainedModel:
    context.folder.history.keep_through(-1)  # entries of an attempt that was killed
    with context.stops_with("Stopped before the head was solved; a resumed run solves it again"):
        model = solve_head(context, classifier)
    # What a stop leaves.
    keep_best_model(context, model.classifier, model.views, None, 0, model.program, model.calibration)
    with context.stops_with("Stopped during validation; the model is saved"):
        started = begin_evaluation(context, "validate", 0)
        metrics = evaluate_list(context, "validate", model.score, model.calibration)
    return model if metrics is None else _keep(context, model, metrics, started)


def start_from_frozen(context: RunContext, classifier: Classifier) -> tuple[TrainedModel, TrainState]:
    """Solve the head, which is the first best model, and return the state that training starts from.

    To replace the model, another one must be better on the validation list by more than a standard error.
    """
    model = solve_head(context, classifier)
    state = TrainState()
    if Checkpoints(context.folder.checkpoints).exist():
        # Those of the run's beginning: an older version chose them by the machine's load.
        return replace(model, views=read_card(context.folder.best_model).views), state
    context.folder.history.keep_through(-1)
    started = begin_evaluation(context, "validate", 0)
    metrics = evaluate_list(context, "validate", model.score, model.calibration)
    if metrics is None:
        raise DataError(
            f"Strategy {context.config.strategy.name} is compared with frozen on the validation list, which "
            "has no readable picture: repair it, or take strategy frozen"
        )
    model = _keep(context, model, metrics, started)
    # The best of many evaluations is better by chance alone, but not by a standard error.
    share = metrics.selection_figure
    state.best_accuracy = share + math.sqrt(share * (1 - share) / metrics.count)
    return model, state


def _keep(context: RunContext, model: TrainedModel, metrics: Metrics, started: float) -> TrainedModel:
    record_evaluation(context, "validate", metrics, step=0, best=True, started=started)
    keep_best_model(context, model.classifier, model.views, metrics, 0, model.program, model.calibration)
    return replace(model, metrics={"validate": metrics.as_dict()})


def solve_head(context: RunContext, classifier: Classifier) -> TrainedModel:
    """Fit the head, choose the views, and install the head in the classifier.

    If a stop is requested while features are computed, the head of those so far is the run's best model.

    Raises:
        StopRequested: if a stop was requested before that could be done.
        StoppedError: if it was done.
    """
    view, wider = views_to_try(context)
    backbone, program = _backbone(context, classifier, view)
    if program is not None:
        wider = None  # which may be of another size than the program's
    solver = HeadSolver(context, backbone, classifier.blocks)
    others = len(context.paths("validate")) + len(context.paths("test"))
    if (seconds := solver.estimate(view, wider, others)) is not None:
        duration = format_duration(seconds)
        logger.info("%s computes the features, to the result: about %s", backbone.name, duration)
    solution = solver.solve(view, wider)
    log_idle_engine(backbone)
    if solution.accuracy is not None:
        logger.info(
            "regularisation %g, acc=%.5f on training pictures that were left out of a fit",
            *(solution.strength, solution.accuracy),
        )
    if program is not None and not solver.is_partial:
        comparison = compare_int8(context, classifier, backbone, solution.views)
        if comparison is not None:
            comparison.log()
    if classifier.second_order is not None and len(solution.weight) == classifier.blocks[0]:
        classifier.take_second_order([])
    classifier.set_head(solution.weight, solution.bias)
    calibration = FittedCalibration(thresholds=solution.thresholds)
    if solver.is_partial:
        if find_checked(context.folder.best_model).exists():
            raise StopRequested  # a model of an earlier attempt, which may be of all pictures, or trained
        keep_best_model(context, classifier, solution.views, None, 0, program, calibration)
        done, count = solver.progress
        raise StoppedError(
            f"Stopped after {done:,} of {count:,} training pictures; the head of these is saved as the best "
            "model, and a resumed run uses all",
            context.stop.exit_code,
            context.folder.path,
        )
    score = partial(_score_features, context, backbone, solution, classifier.width)
    return TrainedModel(
        *(classifier, solution.views, score, 0, {}, solution.accuracy, calibration), program=program
    )


def _backbone(
    context: RunContext, classifier: Classifier, view: Preprocessing
) -> tuple[FrozenBackbone, Int8Program | None]:
    """Return the backbone by the engine of the recipe, and its program if that is in int8."""
    if context.config.engine == INT8_ENGINE:
        take_second_order(context, classifier)
        return quantized_backbone(context, classifier, view)
    backbone = features_backbone_of(context, classifier, context.config.engine)
    share_extraction(context, backbone, "features")
    return backbone, None


def features_backbone_of(context: RunContext, classifier: Classifier, engine: str) -> FrozenBackbone:
    """Return the part of a classifier that computes the features of which the head is solved."""
    take_second_order(context, classifier)
    return features_backbone(
        classifier,
        context.view,
        module=context.module.backbone.name,
        wanted=engine,
        cache=context.cache,
        code=context.module.code,
    )


def take_second_order(context: RunContext, classifier: Classifier) -> None:
    """Add covariances of earlier maps to the features, if the head is a ridge and the backbone names maps."""
    record = context.module.backbone
    if head_settings(context.config).head == "ridge" and record.taps:
        classifier.take_second_order(classifier.find_taps(record.taps, record.input_size))


def views_to_try(context: RunContext) -> tuple[Preprocessing, Preprocessing | None]:
    settings, multiple = head_settings(context.config), context.module.backbone.size_multiple
    return first_views(context.view, settings, fixed=context.config.fit is not None, size_multiple=multiple)


def log_idle_engine(backbone: FrozenBackbone) -> None:
    """Log that the engine waited for images, if it idled for a large share of a longer pass."""
    if backbone.seconds > _LONG_SECONDS and backbone.idle_seconds > _HIGH_WAITING * backbone.seconds:
        log_waiting(backbone.idle_seconds / backbone.seconds)


def _score_features(
    context: RunContext, backbone: FrozenBackbone, solution: Solution, width: int, paths: Sequence[Path]
) -> Iterator[ImageScores]:
    for output in backbone.extract(solution.views, paths, **context.loading):
        if output.rows is None:
            yield ImageScores(output.path, None, output.error)
            continue
        features = unit_mean([row[:width] for row in output.rows])
        scores = context.data.answers.probabilities(solution.logits(output.rows))
        yield ImageScores(output.path, scores, None, features)
