"""``hubtune evaluate``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.console import echo, figures, print_json, say, shown
from hubtune.cli.options import (
    PATH,
    engine_options,
    parse_weights,
    source_options,
    trust_option,
    weights_option,
)
from hubtune.cli.training_inputs import list_overrides
from hubtune.errors import DataError, UsageError
from hubtune.log import show_on_stderr

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings


@click.command()
@click.argument("run", required=False, type=PATH)
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
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    run: Path | None,
    on: str | None,
    module: str | None,
    weights: str,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    settings: "SourceSettings",
    remap_by_name: bool,
    as_json: bool,
) -> None:
    """Measure a model on a list: accuracy with its 95 % interval, loss, and top-5 with more than 5 classes.

    RUN is a run folder or a model folder; default: the newest run.

    \b
    hubtune evaluate
    hubtune evaluate runs/idol5 --on validate
    hubtune evaluate runs/idol5/best_model --on other/test_list.txt
    hubtune evaluate runs/idol5 --on new_pics/
    hubtune evaluate --module resnet50_imagenet --on ILSVRC2012/val_list.txt
    """
    from hubtune.hardware.device import select_device
    from hubtune.runs.folder import newest_run

    show_on_stderr()
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
        dataset, name = _open_list(listed, model.labels, settings, names_beside=False), "test"
        source = module
    else:
        if run is None:
            run = newest_run()
            say(f"Newest run: {shown(run)}")
        select_device(device)
        model = hubtune.load_model(run, trust_code=trust_code, engine=engine)
        dataset, name = find_list(run, on, model, settings)
        source = str(run)
    for remark in dataset.remarks:
        if remark not in dataset.repeated.values():
            say(f"• {shown(remark)}")
    dataset.check_files()  # otherwise each of perhaps a million missing files would get its warning
    metrics = model.evaluate(dataset, name, batch_size=batch_size, remap_by_name=remap_by_name)
    listed = str(dataset.list_files[name])
    if not metrics.count:
        raise DataError(f"{listed} has no readable picture")
    if as_json:
        print_json({"model": source, "list": listed, **metrics.as_dict(), "remarks": dataset.remarks})
        return
    echo(f"{shown(listed)}: {figures(metrics)}, loss {metrics.loss:.4f}")
    if name in dataset.repeated:
        say(dataset.repeated[name])
    if name == "validate" and on in (None, "validate") and was_chosen(model):
        say("Slightly optimistic: the best model was chosen on this list.")


def was_chosen(model: "hubtune.Model") -> bool:
    """Whether the model was chosen on the validation list; other programs' models were not."""
    from hubtune.train.strategies import TRAINERS

    trainer = TRAINERS.get(model.card.strategy)
    return bool(model.card.step) or (trainer is not None and trainer.chosen_on_validation)


def _list_for_module(module: str, run: Path | None, on: str | None) -> str:
    if run is not None:
        raise UsageError(f"Measure either the run {run} or --module {module}")
    if on is None or ("://" not in on and not Path(on).exists()):
        raise UsageError(
            f"--on {on}: no such list file or folder"
            if on
            else "Name the list to measure on: --on val_list.txt"
        )
    return on


def _open_list(
    on: str, names: Sequence[str], settings: "SourceSettings", *, names_beside: bool = True
) -> "hubtune.BaseCVDataset":
    """Return a list file, or all images of another source, as a test list for a model's classes."""
    from hubtune.data.dataset import label_file_beside
    from hubtune.data.source_dataset import SourceDataset
    from hubtune.data.sources.open import FILE_SUFFIXES

    file = Path(on)
    if not file.is_file() or file.suffix.lower() in FILE_SUFFIXES:
        return SourceDataset(on, names, settings=settings)
    label_file = label_file_beside(file) if names_beside else None
    return hubtune.BaseCVDataset(
        file.parent,
        test_list_file=file.name,
        encoding=settings.encoding,
        labels_are=settings.labels_are,
        label_list_file=label_file,
        label_list=None if label_file else names,
    )


def find_list(
    run: Path, on: str | None, model: "hubtune.Model", settings: "SourceSettings"
) -> tuple["hubtune.BaseCVDataset", str]:
    """Return the data set of what ``--on`` names, by default of the run, and the name of the list in it."""
    from hubtune.data.dataset import LIST_NAMES
    from hubtune.runs.folder import RECIPE_FILE, is_run
    from hubtune.task import dataset_of

    if on is not None and on not in LIST_NAMES:
        if "://" not in on and not Path(on).exists():
            raise UsageError(
                f"--on {on}: no such list file or folder; or name a list of the run: validate, test or train"
            )
        return _open_list(on, model.labels, settings), "test"
    if not is_run(run):
        raise UsageError(f"{run} is a model without lists: name a list file, --on test_list.txt")
    dataset = dataset_of(hubtune.load_recipe(run / RECIPE_FILE, list_overrides(settings)), complete=True)
    name = on or ("test" if dataset.list_files["test"] else "validate")
    if dataset.list_files[name] is None:
        what = f"{name} list" if on else "test and no validation list"
        raise DataError(f"{run} has no {what}: name another, --on train, or a list file")
    return dataset, name
