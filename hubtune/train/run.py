"""One process's work on a run: from a prepared context to a finished run folder."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import paddle

from hubtune.data.dataset import LIST_NAMES
from hubtune.data.images.bit_depth import common_bits, describe_bits
from hubtune.data.listing import count_by_class, count_by_label, count_unlabelled
from hubtune.evaluation.evaluation import Evaluation
from hubtune.hub.describe import weights_licence
from hubtune.hub.model_card import ModelCard
from hubtune.inference.load_model import load_model
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.schema import RunConfig
from hubtune.report.findings import find
from hubtune.report.model_readme import render_model_readme
from hubtune.report.run_content import MeasuredList, RunLists, write_report
from hubtune.report.run_report import Findings
from hubtune.text import plural
from hubtune.train.calibration import calibrate
from hubtune.train.checkpoint import Checkpoints
from hubtune.train.context import RunContext
from hubtune.train.data_checks import ChangedFiles, hash_images
from hubtune.train.evaluator import (
    Figures,
    TrainedModel,
    begin_evaluation,
    evaluate_list,
    record_evaluation,
    save_model,
)
from hubtune.train.mean_std import settle_mean_std
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.strategies import TRAINERS


def run(context: RunContext) -> dict[str, Any]:
    """Do what is left of a run, and return the content of ``result.json``; a stopped run can be resumed."""
    with context.folder.measure_time():
        measured, result = _train_and_test(context)
    context.callback.finished(result)
    if context.config.report:
        _write_report(context, measured)
    return result


def _train_and_test(context: RunContext) -> tuple[MeasuredList, dict[str, Any]]:
    """Return what the report shows figures of, and the content of ``result.json``."""
    classifier = context.build_classifier()
    _log_start(context, classifier)
    changed = ChangedFiles(context.folder.path, context.data.examples, context.config.workers + 2)
    # The record of sizes and times comes first: it must not miss a change while the headers are checked.
    with context.stops_with("Stopped before training began"):
        changed.check(context.stop.check)
        depths = context.bad_images.check_headers(context.stop.check)
    context = settle_mean_std(replace(context, config=settle_bits(context.config, depths)))
    model = TRAINERS[context.config.strategy.name].train(context, classifier)
    with context.stops_with("Stopped at the end of training; the best model is saved"):
        model = calibrate(context, model)
    measured, metrics = _test(context, model)
    # A stop is ignored from here on: little is left to do, and the result would be lost.
    changed.check(lambda: None)
    context.bad_images.save()
    result = {
        "best_step": model.step,
        "validate": None,
        "test": None,
        **metrics,
        "views": [view.description for view in model.views],
        "cross_validated": model.cross_validated,
        "skipped": context.bad_images.counts(),
        "changed": changed.count,
        "images": {name: len(examples) for name, examples in context.data.examples.items()},
    }
    if isinstance(measured.evaluation, Evaluation) and (attractor := measured.evaluation.attractor):
        result["attractor"] = vars(attractor)
    # One checkpoint stays: if result.json is damaged later, resuming makes it again.
    Checkpoints(context.folder.checkpoints, context.config.keep).prune(1, model.step)
    # From here on, the run counts as finished.
    context.folder.write_result(result)
    context.folder.remove_candidates()
    return measured, result


def settle_bits(config: RunConfig, depths: Sequence[int]) -> RunConfig:
    """Return the configuration with the bits by which 16-bit images are scaled, and log what is unusual.

    ``depths`` are the bits that each of these images uses.
    """
    if config.bits == "auto":
        if description := describe_bits(depths):
            logger.info("%s (-o data.bits=16 changes that)", description)
        return config.model_copy(update={"bits": common_bits(depths)})
    if above := sum(depth > config.bits for depth in depths):
        logger.warning(
            "%d of %s of 16 bits use more than the %d of data.bits: brighter values are cut off; "
            "-o data.bits=%d keeps all",
            *(above, plural(len(depths), "picture"), config.bits, max(depths)),
        )
    return config


def _test(context: RunContext, model: TrainedModel) -> tuple[MeasuredList, Figures]:
    """Measure the model on the test list, and save it with all its figures.

    Returns what the report shows, which is the validation list if there is no test list, and the figures.
    """
    with context.stops_with("Stopped during the test at the end; the best model is saved"):
        started = begin_evaluation(context, "test", model.step)
        test = evaluate_list(context, "test", model.score, model.calibration)
        metrics = model.metrics
        measured = MeasuredList(test)
        if test is None and context.config.report:
            chosen = TRAINERS[context.config.strategy.name].chosen_on_validation
            validate = evaluate_list(context, "validate", model.score, model.calibration)
            measured = MeasuredList(validate, "validate", untouched=not chosen)
    if test is not None:
        record_evaluation(context, "test", test, step=model.step, best=False, started=started)
        # Nothing was chosen on this list; the figures are beside those of validation, which say otherwise.
        metrics = {**metrics, "test": test.as_dict()}
    describe = partial(_describe_model, context)
    save_model(
        context,
        model.classifier,
        model.views,
        model.step,
        metrics,
        model.calibration,
        describe,
        model.program,
    )
    return measured, metrics


def _describe_model(context: RunContext, card: ModelCard) -> str:
    module, data = context.module, context.data
    licence = weights_licence(module.name) if module.weights == "official" else None
    chosen = TRAINERS[context.config.strategy.name].chosen_on_validation
    if (sets := data.label_sets) is None:
        counts = count_by_class(data.labels, data.examples)
        return render_model_readme(card, counts, licence=licence, chosen=chosen)
    return render_model_readme(
        card,
        count_by_label(sets, data.examples),
        licence=licence,
        chosen=chosen,
        sizes={name: len(entries) for name, entries in data.examples.items()},
        unlabelled=count_unlabelled(sets, data.examples),
    )


def _write_report(context: RunContext, measured: MeasuredList) -> None:
    data, folder = context.data, context.folder

    def find_more() -> Findings:
        trust_code, engine = context.module.code is not None, context.config.engine
        best = load_model(folder.best_model, trust_code=trust_code, engine=engine)
        entries = hash_images(data.examples["train"], lambda: None)
        return find(best, entries, data.groups, measured.evaluation, data.label_sets)

    lists = RunLists(data.labels, data.examples, data.remarks, data.groups, data.label_sets)
    write_report(folder.path, lists, measured, find_more)


def _log_start(context: RunContext, classifier: Classifier) -> None:
    # Before any work: a person can stop the run at once if this is not what was meant.
    config, data, module = context.config, context.data, context.module
    trainer = TRAINERS[config.strategy.name]
    logger.info(
        "%s, %s, %s: %s pictures of %s",
        *(module.name, config.strategy.name, paddle.device.get_device()),
        ", ".join(f"{len(data.examples[name]):,} {name}" for name in LIST_NAMES),
        f"{len(data.output_labels)} {'classes' if data.label_sets is None else 'labels, multi-label'}",
    )
    present = {example.label for example in data.examples["train"]}
    if data.label_sets is not None:
        present = {label for number in present for label in data.label_sets.sets[number]}
    missing = [name for number, name in enumerate(data.output_labels) if number not in present]
    if missing:
        what = "classes" if data.label_sets is None else "labels"
        names = ", ".join(missing)
        logger.warning("%s", f"no training picture: {names}; these {what} cannot be learned")
    if config.channels == 4 and not _trains_first_layer(context, classifier):
        logger.warning(
            "strategy %s does not train the first layer, whose weights for the fourth channel start at "
            "zero: it will not be seen. Strategy default_finetune learns it",
            config.strategy.name,
        )
    if trainer.start == "solved_head":
        return  # the other warnings are about training by gradients from the start
    if not data.examples["validate"]:
        logger.warning("no validation list: the model of the last step is kept, not the best one")
        if config.early_stopping or config.average_best:
            logger.warning("without a validation list, early_stopping and average_best do nothing")
    if module.weights is None and trainer.start != "random":
        logger.warning("the module has random weights: this is not fine-tuning, and needs many epochs")
    if config.images_per_step > (count := len(data.examples["train"])):
        logger.warning(
            "batch_size %d is more than the %d training pictures: an epoch is a single step",
            *(config.images_per_step, count),
        )


def _trains_first_layer(context: RunContext, classifier: Classifier) -> bool:
    if not TRAINERS[context.config.strategy.name].sees_augmented:
        return False
    parameters = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
    matched = plan_training(context.config, parameters, context.config.rate).matched
    return not any(rule.frozen for parameter, rule in matched if parameter.name == classifier.adapted)
