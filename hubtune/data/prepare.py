"""Preparation of a data set: from a source of images to a split, or to a report of its issues."""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hubtune.data.audit.scan_report import LabelChecker, ScanReport, make_scan_report
from hubtune.data.dedup.duplicates import find_bursts, find_groups
from hubtune.data.dedup.groups import DuplicateGroup, check_keys, extract_keys, groups_by_key
from hubtune.data.listing import WORDS, ImageEntry, Listing, Progress, name_key, no_progress
from hubtune.data.scan.scanner import Scan, scan_files, scan_listing
from hubtune.data.sources.cifar import cifar_folder, extract
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.data.sources.table_columns import ColumnError
from hubtune.data.splits.files import Split, write_split
from hubtune.data.splits.quota import NOTHING, SplitRequest, SplitSize
from hubtune.data.splits.split import images_of, make_split
from hubtune.errors import MachineError, UsageError
from hubtune.storage.atomic import replacing_folder
from hubtune.storage.new_folder import check_unoccupied
from hubtune.text import escaped, plural

Features = Callable[[Sequence[Path]], np.ndarray]
"""Computes the features of images, ``[N, width]``; rows of nan for those that cannot be read."""

DEFAULT_SPLIT = {"validate": "10%", "test": "20%"}
"""Sizes of the lists that are made for training on a source without any."""

DEFAULT_REQUEST = SplitRequest(
    SplitSize.parse(DEFAULT_SPLIT["validate"]), SplitSize.parse(DEFAULT_SPLIT["test"])
)


def split(
    source: str | os.PathLike[str],
    val: float | str = "20%",
    test: float | str = 0,
    *,
    train: int | None = None,
    seed: int = 0,
    group_by: str | None = None,
    labels: str | os.PathLike[str] | Mapping[str, str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
    features: Features | None = None,
    parts: Mapping[str, str] | None = None,
    as_classes: bool = False,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels_are: str | None = None,
) -> Split:
    """Divide the images of a source into training, validation and test lists, as ``hubtune split`` does.

    Every image is read once; unreadable ones are left out. Copies of an image, resized, cropped or compressed
    again, stay in one list. The same images and seed give the same lists on every machine. Nothing is written
    before :meth:`Split.write`.

    Args:
        source: a folder with a folder for each class, an archive, a table, a list, an address; see
            :func:`~hubtune.data.sources.open.open_source`.
        val: validation images per class: ``20``, or a share, ``0.2`` or ``"20%"``.
        test: test images per class, likewise.
        train: training images per class; ``None`` for all the rest.
        seed: another seed gives another split.
        group_by: a column of the table that the source is, or else a regular expression over the images'
            names; images with the same value, or the same match, stay in one list.
        labels: class folder → display name, in the order of the labels, or a file with them.
        test_dir: a separate folder of test images, named after their class or in folders named so, in place
            of ``test``.
        features: computes features by which images of the same thing are found and stay in one list, for
            example ``partial(hubtune.inference.label_errors.compute_features, module)``.
        parts, as_classes, encoding, columns, labels_are: what the source does not say with certainty: see
            :class:`~hubtune.data.sources.settings.SourceSettings`.

    Returns:
        The lists, the groups of images that stay in one list, the files that were left out, and remarks.

    Raises:
        DataError: if the source is missing or damaged, or a class has no usable image.
        UsageError: if a size is malformed, options contradict one another, or ``group_by`` makes no groups.
        MachineError: if a remote source cannot be fetched, or the cache cannot be written.

    Example:
        >>> split = hubtune.split("pics/", val=20, test="10%")  # doctest: +SKIP
        >>> split.write("lists")  # doctest: +SKIP
    """
    request = SplitRequest(
        SplitSize.parse(val),
        SplitSize.parse(test),
        train,
        seed,
        group_by=group_by,
        labels=labels if labels is None or isinstance(labels, Mapping) else Path(labels),
        test_dir=None if test_dir is None else Path(test_dir),
        settings=SourceSettings(parts or {}, as_classes, encoding, columns or {}, labels_are),
        explicit={"val": val != "20%", "test": test != 0},
    )
    return split_source(os.fspath(source), request, features=features)


def scan(
    source: str | os.PathLike[str],
    *,
    check_labels: LabelChecker | None = None,
    parts: Mapping[str, str] | None = None,
    as_classes: bool = False,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels_are: str | None = None,
) -> ScanReport:
    """Inspect every image of a source, and report its issues, as ``hubtune scan`` does.

    Every file is read to its last byte; the next scan reads only new or changed files. Nothing is written,
    moved or removed in the source.

    Args:
        source: as of :func:`split`.
        check_labels: checks the labels by features, for example
            ``partial(hubtune.inference.label_errors.check_labels, module)``.
        parts, as_classes, encoding, columns, labels_are: as of :func:`split`.

    Returns:
        The images of each class, the files that were left out, groups of copies, and the issues, most severe
        first.

    Raises:
        HubtuneError: as :func:`~hubtune.data.sources.open.open_source`.
    """
    text = os.fspath(source)
    settings = SourceSettings(parts or {}, as_classes, encoding, columns or {}, labels_are)
    return make_scan_report(text, open_source(text, settings=settings), check_labels=check_labels)


def split_source(
    source: str,
    request: SplitRequest = DEFAULT_REQUEST,
    *,
    features: Features | None = None,
    progress: Progress = no_progress,
) -> Split:
    """Divide a source as :func:`split` does, by default into the lists that are made for training.

    With ``request.folds`` there is no validation list. Errors are those of :func:`split`.
    """
    request.check(source)
    listing, pattern = _open_grouped(source, request, progress)
    if listing.label_sets is not None and request.test_dir is not None:
        raise UsageError(
            "--test-dir tells one class of a picture by its folder or name, and these pictures have several "
            "labels: name the test pictures in the table or lists, or give --test"
        )
    parts = {file.part for file in listing.files}
    for option, part in (("val", "validate"), ("test", "test")):
        if request.explicit.get(option) and part in parts:
            listing.remarks.append(
                f"The source has a {WORDS[part]} list of its own; --{option} changes nothing."
            )
    if request.folds:
        # Cross-validation uses validation images like any others; a file may be in both lists.
        files = [replace(file, part="train") if file.part == "validate" else file for file in listing.files]
        listing = replace(listing, files=[*dict.fromkeys(files)])
        request = replace(request, validate=NOTHING)
    test_scan = None if request.test_dir is None else scan_files(request.test_dir)
    own_scan = scan_listing(listing, advance=partial(progress, "reading pictures"))
    groups = find_all_groups(own_scan, test_scan, pattern=pattern, features=features, progress=progress)
    made = make_split(own_scan, request, test_scan=test_scan, groups=groups)
    return replace(made, options=request.options(source), taken_for=listing.taken_for)


def _open_grouped(source: str, request: SplitRequest, progress: Progress) -> tuple[Listing, str | None]:
    """Open a source, check ``group_by`` before any image is read, and return it if it is a pattern."""
    open_it = partial(
        open_source, source, settings=request.settings, skip=request.test_dir, progress=progress
    )
    group_by = request.group_by
    if group_by is None:
        return open_it(), None
    try:
        listing = open_it(group_column=group_by)
    except ColumnError as error:
        listing = open_it()
        try:
            extract_keys([file.name for file in listing.files], group_by)
        except UsageError as reason:
            raise UsageError(f"{reason}. {error}") from reason
        return listing, group_by
    names = [file.name for file in listing.files]
    check_keys([file.group for file in listing.files], f"The column '{escaped(group_by)}'", names)
    return listing, None


def find_all_groups(
    scan: Scan,
    test_scan: Scan | None = None,
    *,
    pattern: str | None = None,
    features: Features | None = None,
    progress: Progress = no_progress,
) -> list[DuplicateGroup]:
    """Return copies, the groups of the source, those of a pattern over names, and those by features.

    Raises:
        UsageError: if the pattern makes no groups.
    """
    images = images_of(scan, test_scan)
    progress("looking for copies", 0, 0)
    copies = find_groups(images, partial(progress, "comparing pictures"))
    groups = [*copies, *groups_by_key([image.group for image in images])]
    if features is not None:
        groups += find_bursts(features([image.path for image in images]))
    if pattern is not None:
        keys = extract_keys([image.name for image in images], pattern)
        groups += groups_by_key(keys)
        if None in keys:
            scan.notes.append(
                f"--group-by '{pattern}' matches {len(keys) - keys.count(None):,} of "
                f"{plural(len(keys), 'picture')}; the others are in no group."
            )
    return groups


def convert_cifar(
    source: Path, folder: Path, request: SplitRequest, progress: Progress = no_progress
) -> tuple[str, Split]:
    """Write the images and lists of CIFAR-10 or CIFAR-100; return the name of the data set, and its split.

    The folder, which must be new or empty, is written completely or not at all: the images as of
    :func:`~hubtune.data.sources.cifar.extract`, the list files, the label list in CIFAR's own order, and
    ``split.json``. Validation images are drawn from the training images of every class by the ``request``;
    the test list is CIFAR's own.

    Raises:
        DataError: if a file is missing, damaged or not one of CIFAR's.
        UsageError: if the folder is not empty.
        MachineError: if the folder cannot be written.
    """
    folder = folder.resolve()
    check_unoccupied(folder)
    files = cifar_folder(source, progress)
    unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.new"
    options = {"source": str(source), "validate": request.validate.text, "seed": request.seed}
    try:
        with replacing_folder(folder, unfinished):
            images = extract(files, unfinished, progress)
            of_class: dict[str, list[ImageEntry]] = {name: [] for name in images.classes}
            for image in images.train:
                of_class[images.classes[image.label]].append(image)
            tests = sorted(images.test, key=lambda image: name_key(image.name))
            test_scan = Scan(unfinished / "test", {"": tests})
            made = make_split(Scan(unfinished / "train", of_class), request, test_scan=test_scan)
            write_split(made, unfinished, options)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written ({error.strerror or error}): free some space, or choose another one"
        ) from error
    return images.name, made
