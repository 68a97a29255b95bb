"""Scans of images that are on no disk, and their splits."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.listing import NO_CLASS, ImageEntry
from hubtune.data.scan.scanner import Scan
from hubtune.data.splits.files import Split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split

ROOT = Path("pics")
SPLIT_SIZES = st.one_of(
    st.integers(0, 25).map(SplitSize),
    st.integers(0, 99).map(lambda percent: SplitSize(share=Fraction(percent, 100))),
)
REQUESTS = st.fixed_dictionaries(
    {
        "validate": SPLIT_SIZES,
        "test": SPLIT_SIZES,
        "train": st.one_of(st.none(), st.integers(1, 25)),
        "seed": st.integers(0, 5),
    }
)
"""Requests as arguments of :func:`split_scan`, for Hypothesis."""


def fake_scan(classes: Mapping[str, int | Sequence[object]]) -> Scan:
    """Return a scan of ``pics/<class>/<number>.jpg``: class → number of images, or the checksum of each."""
    scan = Scan(ROOT)
    for name, images in classes.items():
        sums = [f"{name}{number}" for number in range(images)] if isinstance(images, int) else images
        scan.classes[name] = [
            ImageEntry(ROOT / name / f"{number:03}.jpg", NO_CLASS, f"{name}/{number:03}.jpg", str(checksum))
            for number, checksum in enumerate(sums)
        ]
    return scan


def fake_test_folder(*files: tuple[str, str]) -> Scan:
    """Return a scan of a test folder: name and checksum of each image."""
    images = [ImageEntry(Path("test") / name, NO_CLASS, name, checksum) for name, checksum in files]
    return Scan(Path("test"), {"": images})


def split_scan(
    scan: Scan,
    *,
    test_scan: Scan | None = None,
    groups: Sequence[DuplicateGroup] | None = None,
    **request: Any,
) -> Split:
    """Split a scan; ``request`` has the fields of :class:`SplitRequest`."""
    return make_split(scan, SplitRequest(**request), test_scan=test_scan, groups=groups)


def near(*groups: tuple[int, ...]) -> list[DuplicateGroup]:
    """Return groups of near-copies."""
    return [DuplicateGroup(members, "near") for members in groups]


def given_group(*members: int) -> DuplicateGroup:
    """Return a group of the source."""
    return DuplicateGroup(members, "given")


def names_in(split: Split) -> dict[str, list[str]]:
    """Return the names of the images in each list."""
    return {part: [image.name for image in images] for part, images in split.lists.items()}


def part_of(split: Split) -> dict[str, str]:
    """Return the list of each image by its name."""
    return {image.name: part for part, images in split.lists.items() for image in images}
