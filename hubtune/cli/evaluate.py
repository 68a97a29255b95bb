"""``hubtune evaluate``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.console import percent, print_json, say, shown
from hubtune.cli.inputs import check_output_file, expand_images, run_or_newest, tidy_path
from hubtune.cli.options import (
    FILE,
    PATH,
    RUN,
    SHARE,
    engine_options,
    parse_weights,
    source_options,
    trust_option,
    weights_option,
)
from hubtune.errors import CheckFailedError, DataError, ModelError, UsageError, writing
from hubtune.log import show_on_stderr
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.inference.unknown_images import UnknownFigures


@click.command()
@click.argument("run", metavar="[RUN]", required=False, type=RUN)
@click.option(
    "--on",
    metavar="LIST",
    help="validate, test, train, a list file, or a folder with a folder per class; default: the test list, "
    "else validation.",
)
@click.option(
    "--module",
    metavar="NAME",
    help="Instead of a run: a pretrained module with its own classes; --on names the list.",
)
@weights_option
@engine_options
@trust_option
@source_options
@click.option("--remap-by-name", is_flag=True, help="Accept a list whose classes are in another order.")
@click.option("--csv", "csv_file", type=FILE, help="Write one row per class.")
@click.option(
    "--predictions", "predictions", type=FILE, help="Write one row per picture: the answer and the class."
)
@click.option(
    "--min-accuracy",
    type=SHARE,
    help="Exit with code 8 if the accuracy is below, 0.8 or 80%.",
)
@click.option(
    "--unknown",
    type=PATH,
    metavar="FOLDER",
    help="Also measure how well pictures of none of the classes, in this folder, are told from known ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    run: Path | str | None,
    on: str | None,
    module: str | None,
    weights: str,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    settings: "SourceSettings",
    remap_by_name: bool,
    csv_file: Path | None,
    predictions: Path | None,
    min_accuracy: float | None,
    unknown: Path | None,
    as_json: bool,
) -> None:
    """Measure a model on a list: accuracy with its 95 % interval, figures per class, what is confused.

    RUN is a run folder or a model folder; default: the newest run. Confidence is compared with accuracy, and
    its error with what chance gives.

    \b
    hubtune evaluate
    hubtune evaluate runs/idol5 --on validate
    hubtune evaluate runs/idol5/best_model --on other/test_list.txt
    hubtune evaluate runs/idol5 --on new_pics/
    hubtune evaluate --predictions answers.csv --min-accuracy 0.8
    hubtune evaluate --unknown holiday_photos/
    hubtune evaluate --module resnet50_imagenet --on ILSVRC2012/val_list.txt
    """
    from hubtune.cli.evaluation_output import print_evaluation, print_unknown, write_classes
    from hubtune.cli.label_evaluation_output import print_label_evaluation, write_label_evaluation_csv
    from hubtune.cli.progress import counting_bar
    from hubtune.evaluation.answer_file import write_answers
    from hubtune.evaluation.label_answer_file import write_label_answers
    from hubtune.evaluation.label_evaluation import LabelEvaluation
    from hubtune.hardware.device import select_device
    from hubtune.runs.lists import describe_trained, find_list, open_list

    show_on_stderr()
    check_output_file(csv_file, "--csv")
    check_output_file(predictions, "--predictions")
    own = None
    if module is None and weights != "official":
        raise UsageError(f"--weights {weights} goes with --module; a run has its own")
    if module is not None:
        if remap_by_name:
            reason = "in a list for a module, numbers are its classes"
            raise UsageError(f"--remap-by-name goes with a run: {reason}")
        listed = _list_for_module(module, run, on)
        select_device(device)
        pretrained = hubtune.Module(module, parse_weights(weights), trust_code=trust_code)
        model = hubtune.pretrained_model(pretrained, engine=engine)
        # Numbers in a list are the module's own classes, whatever names lie beside it.
        dataset, name = open_list(listed, model.labels, settings, names_beside=False), "test"
        source = module
    else:
        own = run_or_newest(run)
        select_device(device)
        model = hubtune.load_model(own, trust_code=trust_code, engine=engine)
        dataset, name = find_list(own, on, model.labels, settings, multi_label=model.card.multi_label)
        source = str(own)
    if unknown is not None and model.card.multi_label:
        raise UsageError("--unknown is for models of one class a picture, and this one is multi-label")
    strangers = None if unknown is None else (_check_threshold(model), [*expand_images([str(unknown)])])
    for remark in dataset.remarks:
        if remark not in dataset.repeated.values():
            say(f"• {shown(remark)}")
    dataset.check_files()  # otherwise each of perhaps a million missing files would get its warning
    with counting_bar("measuring") as advance:
        evaluation = model.evaluate(
            dataset, name, batch_size=batch_size, remap_by_name=remap_by_name, progress=advance
        )
    listed = str(dataset.list_files[name])
    if predictions is not None:
        with writing(predictions):
            paths = [*map(tidy_path, evaluation.answers.paths)]
            if isinstance(evaluation, LabelEvaluation):
                write_label_answers(predictions, replace(evaluation.answers, paths=paths), model.labels)
            else:
                write_answers(predictions, replace(evaluation.answers, paths=paths), model.labels)
        say(f"{plural(len(evaluation.answers.paths), 'row')} written to {shown(predictions)}")
    if csv_file is not None:
        if isinstance(evaluation, LabelEvaluation):
            write_label_evaluation_csv(csv_file, evaluation)
        else:
            write_classes(csv_file, evaluation)
        say(f"{plural(len(model.labels), 'row')} written to {shown(csv_file)}")
    if not evaluation.count:
        raise DataError(f"{listed} has no readable picture")
    trained = None if own is None or name != "test" else describe_trained(own, dataset)
    if name == "train":
        trained = "The model was trained on these pictures: the figure says nothing about new ones"
    measured = None
    if strangers is not None and not isinstance(evaluation, LabelEvaluation):
        measured = _measure_unknown(model, evaluation, *strangers, batch_size)
    if as_json:
        more = {} if measured is None else {"unknown": measured.as_dict()}
        document = {"model": source, "list": listed, **evaluation.details(), **more}
        print_json({**document, "remarks": [*dataset.remarks, *([trained] if trained else [])]})
    else:
        if isinstance(evaluation, LabelEvaluation):
            print_label_evaluation(listed, evaluation)
        else:
            print_evaluation(listed, evaluation)
        if measured is not None:
            print_unknown(measured)
        if trained:
            say(trained)
        if name in dataset.repeated:
            say(dataset.repeated[name])
        if name == "validate" and on in (None, "validate") and was_chosen(model):
            say("Slightly optimistic: the best model was chosen on this list.")
    if min_accuracy is not None and evaluation.accuracy < min_accuracy:
        say(
            f"The accuracy on {shown(listed)} is {percent(evaluation.accuracy)}, below the "
            f"{percent(min_accuracy)} of --min-accuracy: look at what is confused, or train on more pictures"
        )
        click.get_current_context().exit(CheckFailedError.exit_code)


def _check_threshold(model: "hubtune.Model") -> float:
    threshold = model.card.similarity_threshold
    if model.reference is None or threshold is None:
        raise ModelError(
            "--unknown needs a model with features of training pictures, and this one has none: it was made "
            "by an older version, by another program, or with reference: off. Fine-tune it again"
        )
    return threshold


def _measure_unknown(
    model: "hubtune.Model",
    evaluation: "hubtune.Evaluation",
    threshold: float,
    unknown: Sequence[str],
    batch_size: int,
) -> "UnknownFigures":
    from hubtune.cli.progress import counting_bar
    from hubtune.inference.unknown_images import measure_unknown

    assert model.reference is not None
    answers = evaluation.answers
    paths = [*answers.paths, *unknown]
    results = []
    with counting_bar("comparing") as advance:
        for result in model.score([Path(path) for path in paths], batch_size=batch_size):
            results.append(result)
            advance(len(results), len(paths))
    known = len(answers.paths)
    pair = (results[:known], answers.truth.tolist())
    return measure_unknown(model.reference, threshold, model.labels, pair, results[known:])


def was_chosen(model: "hubtune.Model") -> bool:
    """Whether the model was chosen on the validation list; other programs' models were not."""
    from hubtune.train.strategies import TRAINERS

    trainer = TRAINERS.get(model.card.strategy)
    return bool(model.card.step) or (trainer is not None and trainer.chosen_on_validation)


def _list_for_module(module: str, run: Path | str | None, on: str | None) -> str:
    if run is not None:
        raise UsageError(f"Measure either the run {run} or --module {module}")
    if on is None or ("://" not in on and not Path(on).exists()):
        raise UsageError(
            f"--on {on}: no such list file or folder"
            if on
            else "Name the list to measure on: --on val_list.txt"
        )
    return on
