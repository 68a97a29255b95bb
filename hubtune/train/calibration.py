"""What a trained model needs to say how sure it is: a temperature, and features of training images."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys
from hubtune.evaluation.calibration import fit_temperature
from hubtune.inference.predict import ImageScores, softmax
from hubtune.inference.reference import Reference, similarity_threshold
from hubtune.log import logger
from hubtune.rng import rng_for
from hubtune.train.context import RunContext
from hubtune.train.data_checks import hash_images
from hubtune.train.evaluator import FittedCalibration, TrainedModel, evaluate_list, save_model
from hubtune.train.gradient import load_best

MOST_IMAGES = 2_000
"""Number of training images whose features a model gets, and of validation images that fit it, at most."""

# Probabilities that underflowed to 0 have finite logarithms.
_LEAST = 1e-300


def calibrate(context: RunContext, model: TrainedModel) -> TrainedModel:
    """Return the model with a temperature, if one helps, and with features of training images.

    A model that has a temperature already, which an earlier process of the run fitted, keeps it. Many
    validation images are represented by a sample.
    """
    needs_temperature = model.step > 0 and model.calibration.temperature is None
    if not (needs_temperature or context.config.reference):
        return model
    entries = context.data.examples["validate"]
    if len(entries) > MOST_IMAGES:
        chosen = rng_for(context.config.seed, "calibration").permutation(len(entries))[:MOST_IMAGES]
        entries = [entries[index] for index in np.sort(chosen)]
    scores = model.score([entry.path for entry in entries])
    results = [*context.watch("validate", scores, count=len(entries))]
    if needs_temperature:
        model = _with_temperature(context, model, entries, results)
    if context.config.reference:
        model = _with_reference(context, model, results)
    return model


def _with_temperature(
    context: RunContext,
    model: TrainedModel,
    entries: Sequence[ImageEntry],
    results: Sequence[ImageScores],
) -> TrainedModel:
    """Fit a temperature to the scores of validation images, and fold it into the head if it helps.

    On training images, a trained model is right nearly always. Heads that are solved have a temperature
    already, chosen by training images that were left out of the fit.
    """
    entries = [entry for entry, result in zip(entries, results, strict=True) if result.values is not None]
    if not entries:
        return model
    logits = np.array([_logits(result.values) for result in results if result.values is not None])
    keys = split_keys(hash_images(entries, context.stop.check), context.data.groups)
    fit = fit_temperature(logits, np.array([entry.label for entry in entries]), keys)
    logger.info(
        "temperature %.2f on the validation list, 95 %% interval %.2f–%.2f: %s",
        *(fit.temperature, *fit.interval, f"{fit.applied:.2f} applied" if fit.applies else "not applied"),
    )
    if not fit.applies:
        return model

    def divided(paths: Sequence[Path]) -> Iterator[ImageScores]:
        for result in model.score(paths):
            if result.values is not None:
                result = replace(result, values=softmax(_logits(result.values) / fit.applied))
            yield result

    metrics = evaluate_list(context, "validate", divided)
    assert metrics is not None  # some can be read
    figures = {**model.metrics, "validate": metrics.as_dict()}
    model.classifier.divide_logits(fit.applied)
    calibration = FittedCalibration(fit.applied)
    save_model(context, model.classifier, model.views, model.step, figures, calibration)
    return replace(load_best(context, model.views), cross_validated=model.cross_validated)


def _with_reference(context: RunContext, model: TrainedModel, results: Sequence[ImageScores]) -> TrainedModel:
    """Compute features of training images, and the similarity that 95 % of the validation images reach.

    Without validation images, the similarities are those of training images to others.
    """
    chosen = choose_images(hash_images(context.data.examples["train"], context.stop.check))
    scores = model.score([entry.path for entry in chosen])
    watched = context.watch("train", scores, progress="similarity", count=len(chosen))
    pairs = [
        (entry, result.features)
        for entry, result in zip(chosen, watched, strict=True)
        if result.features is not None
    ]
    if not pairs:
        return model
    entries, features = zip(*pairs, strict=True)
    reference = Reference(
        np.array(features).astype(np.float16),
        np.array([entry.label for entry in entries]),
        [entry.path.name for entry in entries],
    )
    known = [result.features for result in results if result.features is not None]
    if known:
        similarities = reference.similarities(np.array(known))
    else:
        similarities = reference.left_out_similarities(split_keys(entries, context.data.groups))
    threshold = similarity_threshold(similarities)
    if threshold is None:  # all training images are copies of one
        return model
    logger.info("similarity to training pictures: of this kind from %.3f", threshold)
    calibration = FittedCalibration(model.calibration.temperature, reference, threshold)
    return replace(model, calibration=calibration)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Return logits with these probabilities: a softmax does not change if they are shifted."""
    return np.log(np.maximum(probabilities, _LEAST))


def choose_images(entries: Sequence[ImageEntry], most: int = MOST_IMAGES) -> list[ImageEntry]:
    """Choose ``most`` images by their content, the same number of each class where it has enough.

    Of byte-equal images, the first counts. An image without a SHA-256, which cannot be read, is left out.
    """
    by_label: dict[int, dict[str, ImageEntry]] = defaultdict(dict)
    for entry in entries:
        if entry.sha256:
            by_label[entry.label].setdefault(entry.sha256, entry)
    turns = zip_longest(*([own[key] for key in sorted(own)] for _, own in sorted(by_label.items())))
    return [*islice((entry for entry in chain.from_iterable(turns) if entry is not None), most)]
