"""Scans of images that are on no disk, and their splits."""

from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import NO_CLASS, ImageEntry
from hubtune.data.scan.scanner import Scan
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split

ROOT = Path("pics")


def split_requests(least, most, largest_share):
    """Arguments of :func:`split_scan`: numbers, shares of so many percent at most."""
    numbers = st.integers(least, most).map(SplitSize)
    shares = st.integers(least, largest_share).map(lambda percent: SplitSize(share=Fraction(percent, 100)))
    sizes, train = st.one_of(numbers, shares), st.one_of(st.none(), st.integers(1, most))
    return st.fixed_dictionaries(
        {"validate": sizes, "test": sizes, "train": train, "seed": st.integers(0, 5)}
    )


REQUESTS = split_requests(0, 25, 99)


def fake_scan(classes):
    """Return a scan of ``pics/<class>/<number>.jpg``: class → number of images, or the checksum of each."""
    scan = Scan(ROOT)
    for name, images in classes.items():
        sums = [f"{name}{number}" for number in range(images)] if isinstance(images, int) else images
        scan.classes[name] = [
            ImageEntry(ROOT / name / f"{number:03}.jpg", NO_CLASS, f"{name}/{number:03}.jpg", str(checksum))
            for number, checksum in enumerate(sums)
        ]
    return scan


def fake_label_scan(labels, images):
    """Return a multi-label scan: the names of the labels, and name → labels of each image, by their names.

    An image with other bytes than its name says is ``(labels, checksum)``.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    rows = {}
    for name, own in images.items():
        own, checksum = own if isinstance(own, tuple) else (own, name)
        rows[name] = (tuple(sorted(numbers[label] for label in own)), checksum)
    sets = LabelSets.of(labels, [own for own, _ in rows.values()])
    scan = Scan(ROOT, {name: [] for name in sets.names}, label_sets=sets)
    for name, (own, checksum) in rows.items():
        entry = ImageEntry(ROOT / name, NO_CLASS, name, checksum)
        scan.classes[sets.names[sets.number_of[own]]].append(entry)
    return scan


def fake_test_folder(*files):
    images = [ImageEntry(Path("test") / name, NO_CLASS, name, checksum) for name, checksum in files]
    return Scan(Path("test"), {"": images})


def split_scan(scan, *, test_scan=None, groups=None, **request):
    return make_split(scan, SplitRequest(**request), test_scan=test_scan, groups=groups)


def near(*groups):
    return [DuplicateGroup(members, "near") for members in groups]


def given_group(*members):
    return DuplicateGroup(members, "given")


def part_of(split):
    return {image.name: part for part, images in split.lists.items() for image in images}
