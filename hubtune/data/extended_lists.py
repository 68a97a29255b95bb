"""Lists of a run and the split of further images: joined, or the further ones alone, divided as before."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset
from hubtune.data.dedup.groups import DuplicateGroup, merge_groups
from hubtune.data.listing import PARTS, ImageEntry, Listing, Progress, SourceFile, no_progress
from hubtune.data.prepare import find_all_groups
from hubtune.data.scan.scanner import Scan, inspect_listing
from hubtune.data.shards.members import file_exists
from hubtune.data.splits.files import Split, read_groups
from hubtune.data.splits.quota import SplitRequest
from hubtune.data.splits.split import images_of, make_split
from hubtune.errors import DataError, UsageError
from hubtune.text import first_few, plural

_GIVEN = ("given", "burst")  # kinds of groups that are not found again by comparing images


def extend_lists(dataset: BaseCVDataset, new: Split, progress: Progress = no_progress) -> Split:
    """Join lists that exist with the split of further images.

    Images stay in their lists. New classes come after those of the data set; classes of equal names are one.
    Of the further images, those that the lists have already, under whatever path, are left out, and those of
    a group with old ones, such as copies, follow these: a model was trained on the old training list, and
    must not be measured on copies of it. Training and validation images with a copy in a later list are left
    out.

    Args:
        dataset: the lists, whose images may be partly gone.
        new: the further images; class names are its ``labels``.

    Raises:
        DataError: if all images of a class of the data set are gone.
        UsageError: if images have several labels.
    """
    _check_single_label(dataset, new)
    gone = _check_present(dataset)
    old = _scan(dataset, progress)
    further = _images_of_split(new)
    known = {(label, image.sha256) for label, images in old.classes.items() for image in images}
    fresh = {
        label: [image for image in images if (label, image.sha256) not in known]
        for label, images in further.items()
    }
    scan = _join(old, fresh)
    groups = find_all_groups(scan, progress=progress)
    scan = _follow(scan, old, groups)
    joined = _split(scan, groups)
    repeated = sum(map(len, further.values())) - sum(map(len, fresh.values()))
    joined.remarks[:] = _remarks(
        gone, repeated, len(joined.left_out) - len(old.left_out), sum(map(len, joined.conflicts))
    )
    return joined


def _remarks(gone: int, repeated: int, left_out: int, conflicts: int) -> list[str]:
    def images(count: int, one: str, many: str) -> list[str]:
        return [f"{plural(count, 'picture')} {one if count == 1 else many}."] * bool(count)

    return [
        *images(gone, "of the old lists is gone", "of the old lists are gone"),
        *images(repeated, "is in the old lists already", "are in the old lists already"),
        *images(
            left_out,
            "with a copy in a later list, old or new, is left out",
            "with a copy in a later list, old or new, are left out",
        ),
        *images(
            conflicts,
            "of different classes is a copy of another one",
            "of different classes are copies of one another",
        ),
    ]


def follow_lists(dataset: BaseCVDataset, new: Split, progress: Progress = no_progress) -> Split:
    """Return the split of further images; those that the lists have, or copies of them, keep their lists.

    A model that was trained on the lists would otherwise be measured on what it was trained on.

    Args:
        dataset: the lists, whose images may be partly or all gone.
        new: the further images.

    Raises:
        UsageError: if images have several labels.
    """
    _check_single_label(dataset, new)
    old = _scan(dataset, progress)
    further = _images_of_split(new)
    scan = _join(old, further)
    groups = find_all_groups(scan, progress=progress)
    followed = _follow(scan, old, groups)
    moved = sum(a.part != b.part for a, b in zip(images_of(scan), images_of(followed), strict=True))
    number_of = {place: n for n, place in enumerate(_places_of_further(scan, old))}
    groups = [
        replace(group, members=members)
        for group in groups
        if len(members := tuple(number_of[place] for place in group.members if place in number_of)) > 1
    ]
    classes = {label: followed.classes[label][len(old.classes.get(label, ())) :] for label in further}
    split = _split(Scan(old.root, classes), groups)
    verb = "is" if moved == 1 else "are"
    remark = f"{plural(moved, 'picture')} {verb} in the list that had the picture, or a copy of it, before."
    split.remarks[:] = [remark] if moved else []
    return split


def _check_single_label(dataset: BaseCVDataset, new: Split) -> None:
    if dataset.label_sets is not None or new.label_sets is not None:
        raise UsageError(
            "Pictures with several labels cannot be added to the lists of a run: put all pictures into one "
            "table or list, and split it"
        )


def _scan(dataset: BaseCVDataset, progress: Progress) -> Scan:
    """Inspect the images of lists that are there."""
    listing = Listing(dataset.image_root, dataset.label_list, _files_of(dataset))
    return inspect_listing(listing, advance=partial(progress, "reading pictures"))


def _join(old: Scan, further: Mapping[str, list[ImageEntry]]) -> Scan:
    """Return a scan whose classes have the old images, and then the further ones; new classes come last."""
    labels = dict.fromkeys([*old.classes, *further])
    return replace(
        old, classes={label: [*old.classes.get(label, []), *further.get(label, [])] for label in labels}
    )


def _split(scan: Scan, groups: Sequence[DuplicateGroup]) -> Split:
    """Return the images in their lists, without those that have copies in later lists."""
    request = SplitRequest(labels={name: name for name in scan.classes})
    return make_split(scan, request, groups=groups).without_leaks()


def _places_of_further(scan: Scan, old: Scan) -> list[int]:
    """Return the places in :func:`images_of` of the images that follow the old ones in each class."""
    counts = {label: len(old.classes.get(label, ())) for label in scan.classes}
    is_old = [n < counts[label] for label, own in scan.classes.items() for n in range(len(own))]
    return [place for place, known in enumerate(is_old) if not known]


def _follow(scan: Scan, old: Scan, groups: Sequence[DuplicateGroup]) -> Scan:
    """Return the scan with further images in the list of the old ones of their group."""
    images = images_of(scan)
    further = {*_places_of_further(scan, old)}
    list_of: dict[int, str | None] = {}
    for group in merge_groups(groups):
        lists = {images[place].part for place in group.members if place not in further}
        # Of several, the first: there, it is left out for its copy in the later one.
        if first := next((name for name in PARTS if name in lists), None):
            list_of.update({place: first for place in group.members if place in further})
    placed = iter([replace(image, part=list_of.get(place, image.part)) for place, image in enumerate(images)])
    return replace(scan, classes={label: [*islice(placed, len(own))] for label, own in scan.classes.items()})


def _check_present(dataset: BaseCVDataset) -> int:
    """Return how many images are gone; refuse a class of which all are."""
    listed, present = Counter[int](), Counter[int]()
    for name in LIST_NAMES:
        for entry in dataset.examples(name):
            listed[entry.label] += 1
            present[entry.label] += file_exists(entry.path)
    lost = [dataset.label_list[label] for label in sorted(listed) if not present[label]]
    if lost:
        raise DataError(
            f"All pictures of {first_few(lost)} are gone, and a model that is trained without them would "
            "forget these classes: bring them back, or train the classes of the new pictures only, --classes "
            "new-only"
        )
    return listed.total() - present.total()


def _files_of(dataset: BaseCVDataset) -> list[SourceFile]:
    groups, labels = read_groups(dataset.lists_folder), dataset.label_list
    files = []
    for name in LIST_NAMES:
        for entry in dataset.examples(name):
            if file_exists(entry.path):
                number = groups.get(entry.path)
                group = None if number is None else f"old {number}"
                path = entry.path.absolute().as_posix()
                files.append(SourceFile(entry.path, path, labels[entry.label], group, name))
    return files


def _images_of_split(split: Split) -> dict[str, list[ImageEntry]]:
    """Return class → its images, with their lists, and with groups that are not found again."""
    group_of: dict[Path, str] = {}
    for number, (images, kind) in enumerate(zip(split.groups, split.group_kinds, strict=True)):
        if kind in _GIVEN:
            group_of.update({image.path: f"new {number}" for image in images})
    result: dict[str, list[ImageEntry]] = {label: [] for label in split.labels}
    for part, images in split.lists.items():
        for image in images:
            name, group = image.path.absolute().as_posix(), group_of.get(image.path)
            result[split.labels[image.label]].append(replace(image, name=name, group=group, part=part))
    return result
