"""``hubtune split``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hubtune.cli.console import print_json, say, shown
from hubtune.cli.feature_module import features_by, load_module
from hubtune.cli.named_data import bring_dataset
from hubtune.cli.options import (
    COUNT,
    DIR,
    FILE,
    PATH,
    RUN,
    json_option,
    source_options,
    trust_option,
    weights_option,
)
from hubtune.cli.split_output import print_counts, print_fold_counts, print_remarks, quote_path, say_repair
from hubtune.errors import UsageError
from hubtune.storage.address import check_path

if TYPE_CHECKING:
    from hubtune.data.splits.files import Split
    from hubtune.data.splits.quota import SplitRequest


@click.command()
@click.argument("source", metavar="[PICTURES]", required=False)
@click.option("--val", default="20%", metavar="N", help="Validation pictures per class: 20, or 0.2, or 20%.")
@click.option("--test", default="0", metavar="N", help="Test pictures per class, likewise.")
@click.option("--train", type=COUNT, metavar="N", help="Training pictures per class; default: all the rest.")
@click.option(
    "--folds",
    type=click.IntRange(2, 100),
    metavar="K",
    help="Write lists for K-fold cross-validation in place of one validation list.",
)
@click.option(
    "--group-by",
    metavar="COLUMN|PATTERN",
    help="Keep groups of pictures in one list: by a column of the table that PICTURES is, or by a regular "
    "expression over the pictures' names, such as 'patient\\d+'.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another seed gives another split.")
@click.option("--labels", type=FILE, help="Display names: `folder name` a line.")
@click.option(
    "--test-dir",
    type=DIR,
    help="Test pictures from a separate folder: DIR/<class>.jpg, DIR/<class>_2.jpg or DIR/<class>/*.",
)
@click.option(
    "--from",
    "lists",
    type=PATH,
    metavar="LISTS",
    help="Check the lists in a folder for leaks instead of making lists; exit code 8 if there are any.",
)
@click.option(
    "--out",
    type=RUN,
    metavar="DIR",
    help="Where the lists go; default: beside PICTURES. With --from: write lists without the leaks there.",
)
@click.option(
    "--module",
    metavar="NAME",
    help="Also keep pictures of the same thing in one list, by this module's features (`hubtune hub list`).",
)
@weights_option
@trust_option
@source_options
@click.option("--force", is_flag=True, help="Replace lists with other content.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    source: str | None,
    lists: Path | None,
    out: Path | str | None,
    folds: int | None,
    weights: str,
    trust_code: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Divide PICTURES into lists: a folder with a folder for each class, an archive, a table, an address.

    Every picture is read once; unreadable ones are named and left out. Copies of a picture, resized, cropped
    or compressed again, stay in one list. The same pictures and seed give the same lists on every machine.

    \b
    hubtune split pics/ --val 20
    hubtune split pics/ --val 10 --test 20 --seed 1
    hubtune split pics/ --val 20% --test-dir dataset/test --labels names.txt
    hubtune split pics/ --folds 5 --group-by '(patient\\d+)'
    hubtune split labels.csv --group-by patient
    hubtune split pics/ --module mobilenet_v2_imagenet
    hubtune split --from datasets/flowers
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.prepare import split_source
    from hubtune.data.sources.naming import lists_folder

    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, place in sources.items() if place is ParameterSource.COMMANDLINE}
    if lists is not None:
        from hubtune.cli.split_check import check_lists_in
        from hubtune.data.dataset import ListDataset

        _refuse_beside_from(given)
        out = _local(out, "with --from")
        settings = options["settings"]
        dataset = ListDataset(lists, encoding=settings.encoding, labels_are=settings.labels_are)
        check_lists_in(dataset, group_by=options["group_by"], out=out, force=force, as_json=as_json)
        return
    if folds:
        out = _local(out, "with --folds")
    if source is None:
        raise UsageError("Name the pictures: hubtune split pics/, or lists to be checked: --from LISTS")
    source = bring_dataset(source)
    request = _make_request(given, folds=folds, **options)
    request.check(source)
    network = load_module(request.module, weights, trust_code)
    with working_bar("opening") as progress:
        split = split_source(source, request, features=features_by(network, progress), progress=progress)
    if isinstance(out, str):
        _write_to_bucket(split, source, out, force, as_json)
        return
    folder = lists_folder(source) if out is None else out
    divided, files = _write(split, folder, folds=folds, force=force)
    if as_json:
        print_json({"files": [str(file) for file in files], **split.as_dict(divided)})
        return
    say(f"{shown(source)} is {shown(split.taken_for)}")
    _print(split, divided, folder, files)
    # Lists in the default folder are found by the name of the pictures alone.
    what = quote_path(source if out is None else folder)
    say(f"Next: hubtune finetune {what}" + (f" --folds {folds}" if folds else ""))


def _local(out: Path | str | None, where: str) -> Path | None:
    if isinstance(out, str):
        check_path(out, f"--out, {where}")
    return None if out is None else Path(out)


def _write_to_bucket(split: "Split", source: str, address: str, force: bool, as_json: bool) -> None:
    from hubtune.data.splits.bucket_files import write_to_bucket

    names = write_to_bucket(split, address, force=force)
    if as_json:
        print_json({"files": [f"{address}/{name}" for name in names], **split.as_dict()})
        return
    say(f"{shown(source)} is {shown(split.taken_for)}")
    print_counts(split)
    print_remarks(split, "split.json has them all")
    say(f"\nWritten to {shown(address)}: {', '.join(names)}")
    say(f"Next: hubtune finetune RECIPE -o data.base={address}")


def _make_request(given: set[str], *, val: str, test: str, **fields: Any) -> "SplitRequest":
    """Return what the options ask for; ``given`` are the names of those on the command line."""
    from hubtune.data.splits.quota import SplitRequest, SplitSize

    for name in ("val", "train"):
        if {"folds", name} <= given:
            raise UsageError(f"--folds divides all pictures outside the test list: remove --{name}")
    explicit = {name: name in given for name in ("val", "test")}
    return SplitRequest(SplitSize.parse(val), SplitSize.parse(test), explicit=explicit, **fields)


def _write(
    split: "Split", folder: Path, *, folds: int | None, force: bool
) -> tuple[list["Split"], list[Path]]:
    """Write a split or its folds; return the folds, if any, and the files."""
    from hubtune.data.splits.files import write_folds
    from hubtune.data.splits.kfold import fold_splits

    if not folds:
        return [], split.write(folder, force=force)
    divided = fold_splits(split, folds, seed=split.options["seed"])
    return divided, write_folds(divided, folder, split.options, force=force)


def _print(split: "Split", divided: list["Split"], folder: Path, files: list[Path]) -> None:
    from hubtune.data.splits.files import fold_name

    if divided:
        print_fold_counts(divided)
        each = ", ".join(dict.fromkeys(file.name for file in files))
        names = f"{fold_name(1)} to {fold_name(len(divided))}, each with {each}"
    else:
        print_counts(split)
        names = ", ".join(file.relative_to(folder).as_posix() for file in files)
    print_remarks(split, "split.json has them all")
    say(f"\nWritten to {quote_path(folder)}: {names}")
    if split.leaks and not divided:
        say_repair(folder)


def _refuse_beside_from(given: set[str]) -> None:
    """Refuse options that change lists, as ``--from`` checks lists as they are."""
    for name in "source val test train folds seed labels test_dir module weights".split():
        if name in given:
            what = "PICTURES" if name == "source" else f"--{name.replace('_', '-')}"
            raise UsageError(f"--from checks lists as they are: remove {what}")
