"""Strategy `last_stage`: trains the last stage and the head on cached activations of the rest."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import MachineError
from hubtune.inference.engine import start_engine
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import CachedOutputs, FrozenBackbone
from hubtune.inference.predict import ImageScores, mean_rows
from hubtune.inference.program import Subnetwork
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.augment import AugmentSettings
from hubtune.text import format_duration
from hubtune.train.context import RunContext
from hubtune.train.distributed.share import share_extraction
from hubtune.train.evaluator import TrainedModel
from hubtune.train.from_frozen import continue_from_frozen
from hubtune.train.frozen_head import log_idle_engine, start_from_frozen, views_to_try
from hubtune.train.gradient import TrainedPart, drawn_view


def train_last_stage(context: RunContext, classifier: Classifier) -> TrainedModel:
    backbone = activations_backbone(context, classifier, context.config.engine)
    share_extraction(context, backbone, "activations")
    paths = context.paths("train")
    with context.stops_with("Stopped before training began"):
        check_room(context, backbone, views_to_try(context)[:1], solved=None)
        head, state = start_from_frozen(context, classifier)
        views = head.views
        check_room(context, backbone, views, solved=context.folder.best_model)
        backbone.start(views, paths)  # here, so that its seconds do not count as a training step's
        _log_estimate(context, backbone, views)
        part, computing = last_stage_part(context, classifier, backbone, views)
        for _ in context.watch("train", computing, progress="activations"):
            pass
        log_idle_engine(backbone)
    return continue_from_frozen(context, head, part, state, name="the last stage")


def activations_backbone(context: RunContext, classifier: Classifier, engine: str) -> FrozenBackbone:
    """Return the part of a classifier before its last stage."""
    return FrozenBackbone(
        Subnetwork(classifier, classifier.before_last_stage, context.view),
        classifier.state_before_last_stage(),
        module=context.module.backbone.name,
        layer=f"before {classifier.last_stage}",
        wanted=engine,
        cache=context.cache,
        code=context.module.code,
        half=True,
    )


def last_stage_part(
    context: RunContext, classifier: Classifier, backbone: FrozenBackbone, views: Sequence[Preprocessing]
) -> tuple[TrainedPart, Iterator[BackboneOutput]]:
    """Return the last stage with the head, and what computes its input, to be exhausted before training."""
    activations = CachedOutputs(backbone, views, context.paths("train"), **context.loading)

    def prepare(epoch: int, index: int) -> np.ndarray:
        view = drawn_view(context, len(views), epoch, index)
        return activations.row(index, view).astype(np.float32)

    part = TrainedPart(
        classifier.from_last_stage,
        prepare,
        AugmentSettings(),
        partial(_score_activations, context, classifier, backbone, views),
        last_stage_only=True,
    )
    return part, activations.compute()


def _score_activations(
    context: RunContext,
    classifier: Classifier,
    backbone: FrozenBackbone,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
) -> Iterator[ImageScores]:
    tail = start_engine(Subnetwork(classifier, classifier.from_last_stage), [], wanted="paddle")
    outputs = backbone.extract(views, paths, **context.loading)
    probabilities = context.data.answers.probabilities
    while batch := [*islice(outputs, context.config.images_per_step)]:
        rows = [row.astype(np.float32) for output in batch for row in output.rows or ()]
        logits = iter(tail.begin(rows)() if rows else [])
        for output in batch:
            scores = [*islice(logits, len(output.rows or ()))]
            yield ImageScores(output.path, probabilities(mean_rows(scores)) if scores else None, output.error)


def _log_estimate(context: RunContext, backbone: FrozenBackbone, views: Sequence[Preprocessing]) -> None:
    """Log how long the activations will take, unless they are cached already."""
    paths, workers = context.paths("train"), context.config.workers
    pace = backbone.measure(views[0], paths, workers=workers, check=context.stop.check)
    if pace is not None:
        count = len(paths) + len(context.paths("validate"))
        seconds = count * pace.seconds_for(len(views))
        logger.info("%s computes the activations: about %s", backbone.name, format_duration(seconds))


def check_room(
    context: RunContext,
    backbone: FrozenBackbone,
    views: Sequence[Preprocessing | None],
    *,
    solved: Path | None,
) -> None:
    """Refuse activations that the cache has no room for, before time is spent on them.

    ``solved`` is the model of strategy `frozen`. Before the head is solved it is ``None``, and ``views`` is a
    view that needs as little room as any. The activations of the first readable image are computed here.

    Raises:
        MachineError: if the limit is too small, or the cache cannot be written.
    """
    cache, paths = context.cache, context.paths("train")
    count = len(paths) + len(context.paths("validate"))
    size = 0
    for path in paths:
        [output] = backbone.extract([*filter(None, views)], [path], batch_size=1, workers=1)
        if output.rows is not None:
            size = sum(row.nbytes for row in output.rows)
            break
    needed = count * size
    about, instead, margin = "about", f"take the model of strategy frozen: {solved}", 1.1
    if solved is None:  # more and larger views may be chosen
        about, instead, margin = "at least", "take strategy frozen", 4.4
    problem = (
        f"Strategy last_stage stores {about} {needed / 1e6:,.1f} MB, activations of {count:,} pictures in "
        f"{len(views)} view{'s' if len(views) > 1 else ''}"
    )
    if needed > cache.limit:
        raise MachineError(
            f"{problem}, and the cache may take {cache.limit / 1e6:,.1f} MB: set HUBTUNE_CACHE_SIZE="
            f"{-(-round(needed * margin) // 10**9)}GB, or {instead}"
        )
    if not is_writable(cache):
        raise MachineError(
            f"{problem}, and the cache cannot be written ({cache.folder}): set HUBTUNE_HOME to another "
            f"folder, or {instead}"
        )


def is_writable(cache: FeatureCache) -> bool:
    """Whether the cache's folder, or the folder it would be made in, can be written."""
    folder = cache.folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return cache.writable and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
