"""``hubtune split``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.answers import trust_option, weights_option
from hubtune.cli.console import print_json, print_table, say, shown
from hubtune.cli.found import found_as_dict, print_found, quoted, say_how_to_repair
from hubtune.cli.seen import network_of
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune.data.listing import Listing
    from hubtune.data.scan.scanner import Scan
    from hubtune.data.splits.files import Split


@click.command()
@click.argument("pictures", required=False)
@click.option(
    "--val",
    default="20%",
    show_default=True,
    metavar="N",
    help="Validation pictures per class: 20, or 0.2, or 20%.",
)
@click.option(
    "--test", default="0", show_default=True, metavar="N", help="Test pictures per class, likewise."
)
@click.option(
    "--train",
    type=click.IntRange(min=1),
    metavar="N",
    help="Training pictures per class; default: all the rest.",
)
@click.option(
    "--folds",
    type=click.IntRange(2, 100),
    metavar="K",
    help="Write lists for K-fold cross-validation in place of one validation list.",
)
@click.option(
    "--group-by",
    metavar="COLUMN|PATTERN",
    help="What keeps pictures together besides being copies: a column of the table that PICTURES is, or a "
    "regular expression over the pictures' names, such as 'patient\\d+'.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another seed gives another split.",
)
@click.option(
    "--labels", type=click.Path(path_type=Path), metavar="FILE", help="Display names: `folder name` a line."
)
@click.option(
    "--test-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Test pictures from a folder of their own: DIR/<class>.jpg, DIR/<class>_2.jpg or DIR/<class>/*.",
)
@click.option(
    "--from",
    "lists",
    type=click.Path(path_type=Path),
    metavar="LISTS",
    help="Check a folder's lists for leaks, in place of making some; exit code 8 if there are any.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the lists go; default: beside PICTURES. With --from: write lists without the leaks there.",
)
@click.option(
    "--module",
    metavar="NAME",
    help="Also keep pictures of one thing together, by what this module sees (`hubtune hub list` shows all).",
)
@weights_option
@trust_option
@click.option("--force", is_flag=True, help="Replace lists with other content.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(
    context: click.Context,
    pictures: str | None,
    val: str,
    test: str,
    train: int | None,
    folds: int | None,
    group_by: str | None,
    seed: int,
    labels: Path | None,
    test_dir: Path | None,
    lists: Path | None,
    out: Path | None,
    module: str | None,
    weights: str,
    trust_code: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Divide PICTURES into lists: a folder with a folder for each class, an archive, a table, an address.

    Every picture is read once; what cannot be read is listed and left out. Copies of a picture, resized,
    cropped or saved anew, stay in one list. The same pictures and seed give the same lists on every machine.

    \b
    hubtune split pics/ --val 20
    hubtune split pics/ --val 10 --test 20 --seed 1
    hubtune split pics/ --val 20% --test-dir dataset/test --labels names.txt
    hubtune split pics/ --folds 5 --group-by '(patient\\d+)'
    hubtune split labels.csv --group-by patient
    hubtune split pics/ --module mobilenet_v2_imagenet
    hubtune split --from datasets/flowers
    """
    from hubtune.cli.lists import (
        groups_of,
        opened,
        opened_in_groups,
        place_of_lists,
        scanned,
        without_validation,
    )
    from hubtune.data.scan.scanner import scan_files
    from hubtune.data.splits.class_names import read_display_names
    from hubtune.data.splits.files import fold_name, write_folds, write_split
    from hubtune.data.splits.kfold import fold_splits
    from hubtune.data.splits.quota import NOTHING, SplitSize
    from hubtune.data.splits.split import make_split

    given = {name for name in context.params if _is_given(context, name)}
    if lists is not None:
        from hubtune.cli.split_check import check_lists

        _refuse_beside_from(given)
        check_lists(lists, group_by=group_by, out=out, force=force, as_json=as_json)
        return
    if pictures is None:
        raise UsageError("Name the pictures: hubtune split pics/, or lists to be checked: --from LISTS")
    validate, tested = SplitSize.parse(val), SplitSize.parse(test)
    _check_options(given, pictures, tested=bool(tested), test_dir=test_dir)
    network = network_of(module, weights, trust_code)
    pattern = None
    if group_by is None:
        listing = opened(pictures, skip=test_dir)
    else:
        listing, pattern = opened_in_groups(pictures, group_by, skip=test_dir)
    _note_own_lists(listing, given)
    if folds:
        listing = without_validation(listing)
    test_scan = scan_files(test_dir) if test_dir is not None else None
    scan = scanned(listing)
    split = make_split(
        scan,
        validate=NOTHING if folds else validate,
        test=tested,
        train=train,
        seed=seed,
        labels=read_display_names(labels, list(scan.classes)) if labels else None,
        test_scan=test_scan,
        groups=groups_of(scan, test_scan, pattern=pattern, network=network),
    )
    options = {
        "pictures": pictures,
        "validate": None if folds else val,
        "test": test,
        "train": train,
        "folds": folds,
        "group_by": group_by,
        "module": module,
        "seed": seed,
        "labels": str(labels) if labels else None,
        "test_dir": str(test_dir) if test_dir else None,
    }
    folder = place_of_lists(pictures) if out is None else out
    if folds:
        divided = fold_splits(split, folds, seed=seed)
        files = write_folds(divided, folder, options, force=force)
    else:
        divided = [split]
        files = write_split(split, folder, options, force=force)
    if as_json:
        print_json(_document(split, divided if folds else [], scan, files))
        return
    print_table(_fold_lines(divided) if folds else _lines(split), total=True)
    print_found(split, "split.json has them all")
    names = [file.relative_to(folder).as_posix() for file in files]
    if folds:
        names = [f"{fold_name(1)} to {fold_name(folds)}, each with {', '.join(_names_in(files, folder))}"]
    say(f"\nWritten to {quoted(folder)}: {', '.join(names)}")
    if split.leaks and not folds:
        say_how_to_repair(folder)
    # With lists of the default place, the pictures alone lead to them.
    what = quoted(pictures if out is None else folder)
    say(f"Next: hubtune finetune {what}" + (f" --folds {folds}" if folds else ""))


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _check_options(given: set[str], pictures: str, *, tested: bool, test_dir: Path | None) -> None:
    """Refuse what contradicts itself."""
    for name in ("val", "train"):
        if {"folds", name} <= given:
            raise UsageError(f"--folds divides all that is not for the test: leave --{name} away")
    if test_dir is None:
        return
    if tested:
        raise UsageError("--test and --test-dir both say where test pictures come from: give one of them")
    if "://" not in pictures and Path(pictures).resolve().is_relative_to(test_dir.resolve()):
        raise UsageError(
            f"--test-dir {test_dir} holds {pictures} itself: give a folder of test pictures only"
        )


def _note_own_lists(listing: "Listing", given: set[str]) -> None:
    """Note which options make no difference, because the source has lists of its own."""
    from hubtune.data.splits.leakage import WORDS

    parts = {file.part for file in listing.files}
    for name, part in (("val", "validate"), ("test", "test")):
        if name in given and part in parts:
            listing.remarks.append(
                f"The source has a {WORDS[part]} list of its own; --{name} changes nothing."
            )


def _refuse_beside_from(given: set[str]) -> None:
    """Lists that are checked are as they are."""
    for name in (
        "pictures",
        "val",
        "test",
        "train",
        "folds",
        "seed",
        "labels",
        "test_dir",
        "module",
        "weights",
    ):
        if name in given:
            what = "PICTURES" if name == "pictures" else f"--{name.replace('_', '-')}"
            raise UsageError(f"--from checks lists as they are: leave {what} away")


def _names_in(files: Sequence[Path], folder: Path) -> list[str]:
    return list(dict.fromkeys(file.name for file in files if file.is_relative_to(folder)))


def _document(
    split: "Split", folds: "Sequence[Split]", scan: "Scan", files: Sequence[Path]
) -> dict[str, Any]:
    """The result as JSON has it."""
    parted = {"folds": [fold.counts() for fold in folds]} if folds else {}
    return {
        "files": [str(file) for file in files],
        "classes": dict(zip(split.folders, split.labels, strict=True)),
        "counts": split.counts(),
        **parted,
        **found_as_dict(split),
        "random_split_leaks": {name: round(number, 2) for name, number in split.random_leaks.items()},
        "left_out": [{"path": str(e.path), "reason": e.reason} for e in split.left_out],
        "strays": [str(path) for path in scan.non_images],
        "remarks": split.remarks,
    }


def _names(split: "Split") -> list[str]:
    """The classes as a person may read them."""
    return [
        shown(folder if folder == label else f"{folder} ({label})")
        for folder, label in zip(split.folders, split.labels, strict=True)
    ]


def _lines(split: "Split") -> list[list[str]]:
    """A row a class, a column a list."""
    counts = split.counts()
    totals = Counter[str]()
    for row in counts.values():
        totals.update(row)
    columns = [name for name in (*split.lists, "left_over") if name == "train" or totals[name]]
    return [
        ["class", *(column.replace("_", " ") for column in columns)],
        *(
            [name, *(f"{row[column]:,}" for column in columns)]
            for name, row in zip(_names(split), counts.values(), strict=True)
        ),
        ["total", *(f"{totals[column]:,}" for column in columns)],
    ]


def _fold_lines(folds: "Sequence[Split]") -> list[list[str]]:
    """A row a class, a column a fold, for what it holds out."""
    columns = [(f"fold {number}", fold.counts(), "validate") for number, fold in enumerate(folds, 1)]
    if folds[0].lists["test"]:
        columns.append(("test", folds[0].counts(), "test"))
    return [
        ["held out", *(name for name, _, _ in columns)],
        *(
            [name, *(f"{counts[folder][part]:,}" for _, counts, part in columns)]
            for folder, name in zip(folds[0].folders, _names(folds[0]), strict=True)
        ),
        ["total", *(f"{sum(row[part] for row in counts.values()):,}" for _, counts, part in columns)],
    ]
