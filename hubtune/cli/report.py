"""``hubtune report``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.console import echo, print_json, say, shown
from hubtune.cli.evaluate import was_chosen
from hubtune.cli.inputs import check_output_file, run_or_newest
from hubtune.cli.options import FILE, RUN, engine_options, json_option, trust_option
from hubtune.errors import DataError, ModelError, UsageError
from hubtune.log import show_on_stderr
from hubtune.messages.catalogue import language

if TYPE_CHECKING:
    from hubtune.report.run_content import MeasuredList, RunLists


@click.command()
@click.argument("run", metavar="[RUN]", required=False, type=RUN)
@click.option("-o", "--out", "file", type=FILE, help="The page; default: RUN/report.html.")
@click.option(
    "--on",
    metavar="LIST",
    help="validate, test, train, a list file, or a folder with a folder per class; default: the test list, "
    "else validation.",
)
@click.option(
    "--no-pictures",
    "no_images",
    is_flag=True,
    help="Without pictures, names of files and paths: for a page that is passed on.",
)
@engine_options
@trust_option
@json_option
def command(
    run: Path | str | None,
    file: Path | None,
    on: str | None,
    no_images: bool,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Make the page of a run: how good it is, how sure, what is confused with what, what to do next.

    RUN is a run folder; default: the newest run. Every run gets this page at its end, unless its recipe says
    `report: off`. It is one file that makes no request.

    \b
    hubtune report
    hubtune report runs/idol5 --on new_pics/ -o new_pics.html
    hubtune report runs/idol5 --no-pictures --lang zh -o to_pass_on.html
    """
    from hubtune.hardware.device import select_device
    from hubtune.report.findings import find
    from hubtune.report.run_content import REPORT_FILE, gather_report, save_report
    from hubtune.runs.folder import is_run
    from hubtune.train.data_checks import hash_images

    show_on_stderr()
    if isinstance(run, str) and file is None:
        raise UsageError(f"{run} is in a bucket: name the page, -o FILE.html")
    run = run_or_newest(run)
    if not is_run(run):
        raise ModelError(f"{run} is not a run: name the folder of one, such as runs/NAME")
    file = file or run / REPORT_FILE
    check_output_file(file, "-o")
    select_device(device)
    model = hubtune.load_model(run, trust_code=trust_code, engine=engine)
    lists, measured = _measure(run, on, model, batch_size)
    entries = hash_images(lists.examples["train"], lambda: None)
    findings = find(model, entries, lists.groups, measured.evaluation, lists.label_sets)
    report = gather_report(run, lists, measured, findings)
    save_report(file, report, code=language(), images=not no_images)
    if as_json:
        print_json({"run": str(run), "page": str(file)})
    else:
        echo(shown(file))


def _measure(
    run: Path, on: str | None, model: "hubtune.Model", batch_size: int
) -> "tuple[RunLists, MeasuredList]":
    """Return the run's lists, and the evaluation on one of them or on another list."""
    from hubtune.data.dataset import LIST_NAMES
    from hubtune.data.sources.settings import AS_FOUND
    from hubtune.data.splits.files import read_groups
    from hubtune.report.run_content import MeasuredList, RunLists
    from hubtune.runs.folder import RECIPE_FILE
    from hubtune.runs.lists import count_shared, dataset_of, find_list

    own = dataset_of(hubtune.load_recipe(run / RECIPE_FILE), complete=True)
    examples = {name: own.examples(name) for name in LIST_NAMES}
    lists = RunLists(own.class_names, examples, own.remarks, read_groups(own.lists_folder), own.label_sets)
    if on is None and not (examples["test"] or examples["validate"]):
        return lists, MeasuredList(None)
    dataset, name = find_list(run, on, model.labels, AS_FOUND, multi_label=model.card.multi_label)
    title = name if on is None or on in LIST_NAMES else on
    untouched = title not in LIST_NAMES or name == "test" or (name == "validate" and not was_chosen(model))
    try:
        dataset.check_files()  # otherwise each of perhaps a million missing files would get its warning
    except DataError as error:
        if title not in LIST_NAMES:
            raise
        say(f"{str(error).rstrip('.')}. The page is made without them")
        return lists, MeasuredList(None, title, untouched)
    evaluation = model.evaluate(dataset, name, batch_size=batch_size)
    trained = 0 if title in LIST_NAMES else count_shared(run, dataset, "train")
    if title not in LIST_NAMES and was_chosen(model):
        untouched = not count_shared(run, dataset, "validate")
    return lists, MeasuredList(evaluation, title, untouched, trained)
