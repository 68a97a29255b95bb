"""What a trained model needs to say how sure it is: a temperature, and features of training images."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest

import numpy as np

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys
from hubtune.evaluation.calibration import fit_temperature
from hubtune.evaluation.thresholds import describe_thresholds, fit_thresholds
from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import Reference, similarity_threshold
from hubtune.log import logger
from hubtune.rng import rng_for
from hubtune.train.context import RunContext
from hubtune.train.data_checks import hash_images
from hubtune.train.evaluator import FittedCalibration, TrainedModel, evaluate_list, save_model
from hubtune.train.gradient import load_best

MOST_IMAGES = 2_000
"""Number of training images whose features a model gets, and of validation images that fit it, at most."""


def calibrate(context: RunContext, model: TrainedModel) -> TrainedModel:
    """Return the model with a temperature, if one helps, and with features of training images.

    A multi-label model gets thresholds, too. What an earlier process of the run fitted stays. Many validation
    images are represented by a sample.
    """
    needs_temperature = model.step > 0 and model.calibration.temperature is None
    # Heads that are solved have their own, by training images that were left out of the fit.
    needs_thresholds = context.data.label_sets is not None and model.step > 0
    needs_thresholds = needs_thresholds and model.calibration.thresholds is None
    if not (needs_temperature or needs_thresholds or context.config.reference):
        return model
    entries = context.data.examples["validate"]
    if len(entries) > MOST_IMAGES:
        chosen = rng_for(context.config.seed, "calibration").permutation(len(entries))[:MOST_IMAGES]
        entries = [entries[index] for index in np.sort(chosen)]
    scores = model.score([entry.path for entry in entries])
    results: Sequence[ImageScores] = [*context.watch("validate", scores, count=len(entries))]
    if needs_temperature:
        model, results = _with_temperature(context, model, entries, results)
    if needs_thresholds:
        model = _with_thresholds(context, model, entries, results)
    if context.config.reference:
        model = _with_reference(context, model, results)
    return model


def _with_temperature(
    context: RunContext,
    model: TrainedModel,
    entries: Sequence[ImageEntry],
    results: Sequence[ImageScores],
) -> tuple[TrainedModel, Sequence[ImageScores]]:
    """Fit a temperature to the scores of validation images, and fold it into the head if it helps.

    On training images, a trained model is right nearly always. Heads that are solved have a temperature
    already, chosen by training images that were left out of the fit. Returns the model, and its scores of the
    images.
    """
    readable = [entry for entry, result in zip(entries, results, strict=True) if result.values is not None]
    if not readable:
        return model, results
    answers = context.data.answers
    logits = np.array([answers.logits(result.values) for result in results if result.values is not None])
    keys = split_keys(hash_images(readable, context.stop.check), context.data.groups)
    truth = np.array([entry.label for entry in readable])
    if (sets := context.data.label_sets) is not None:
        # Each label is a decision between two classes, the second of which has the logit 0.
        logits = np.stack([logits.ravel(), np.zeros(logits.size)], axis=1)
        truth = (~sets.matrix[truth]).astype(int).ravel()
        keys = [key for key in keys for _ in sets.labels]
    fit = fit_temperature(logits, truth, keys)
    logger.info(
        "temperature %.2f on the validation list, 95 %% interval %.2f–%.2f: %s",
        *(fit.temperature, *fit.interval, f"{fit.applied:.2f} applied" if fit.applies else "not applied"),
    )
    if not fit.applies:
        return model, results

    def divide(result: ImageScores) -> ImageScores:
        if result.values is None:
            return result
        return replace(result, values=answers.probabilities(answers.logits(result.values) / fit.applied))

    metrics = evaluate_list(context, "validate", lambda paths: map(divide, model.score(paths)))
    assert metrics is not None  # some can be read
    figures = {**model.metrics, "validate": metrics.as_dict()}
    model.classifier.divide_logits(fit.applied)
    calibration = FittedCalibration(fit.applied)
    save_model(context, model.classifier, model.views, model.step, figures, calibration)
    best = replace(load_best(context, model.views), cross_validated=model.cross_validated)
    return best, [*map(divide, results)]


def _with_thresholds(
    context: RunContext,
    model: TrainedModel,
    entries: Sequence[ImageEntry],
    results: Sequence[ImageScores],
) -> TrainedModel:
    """Fit the threshold of each label to the scores of validation images."""
    sets = context.data.label_sets
    assert sets is not None
    scored = [
        (result.values, sets.matrix[entry.label])
        for entry, result in zip(entries, results, strict=True)
        if result.values is not None
    ]
    if not scored:
        return model
    probabilities, truth = (np.array(part) for part in zip(*scored, strict=True))
    thresholds = fit_thresholds(probabilities, truth).tolist()
    logger.info("thresholds on the validation list: %s", describe_thresholds(sets.labels, thresholds))
    model = replace(model, calibration=replace(model.calibration, thresholds=thresholds))
    metrics = evaluate_list(context, "validate", model.score, model.calibration)
    assert metrics is not None  # some can be read
    return replace(model, metrics={**model.metrics, "validate": metrics.as_dict()})


def _with_reference(context: RunContext, model: TrainedModel, results: Sequence[ImageScores]) -> TrainedModel:
    """Compute features of training images, and the similarity that 95 % of the validation images reach.

    Without validation images, the similarities are those of training images to others.
    """
    entries = hash_images(context.data.examples["train"], context.stop.check)
    if context.data.label_sets is not None:
        # A model knows labels, and not their sets, of which most may be rare.
        entries = [replace(entry, label=0) for entry in entries]
    chosen = choose_images(entries)
    scores = model.score([entry.path for entry in chosen])
    watched = context.watch("train", scores, progress="similarity", count=len(chosen))
    pairs = [
        (entry, result.features)
        for entry, result in zip(chosen, watched, strict=True)
        if result.features is not None
    ]
    if not pairs:
        return model
    known_entries, features = zip(*pairs, strict=True)
    reference = Reference(
        np.array(features).astype(np.float16),
        np.array([entry.label for entry in known_entries]),
        [entry.path.name for entry in known_entries],
    )
    known = [result.features for result in results if result.features is not None]
    if known:
        similarities = reference.similarities(np.array(known))
    else:
        similarities = reference.left_out_similarities(split_keys(known_entries, context.data.groups))
    threshold = similarity_threshold(similarities)
    if threshold is None:  # all training images are copies of one
        return model
    logger.info("similarity to training pictures: of this kind from %.3f", threshold)
    calibration = replace(model.calibration, reference=reference, similarity_threshold=threshold)
    return replace(model, calibration=calibration)


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
