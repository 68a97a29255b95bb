"""The report of a scan: the images of a source, the files left out, copies, and issues."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hubtune.data.audit.issues import Issue, IssueFile, LabelCheck, find_issues
from hubtune.data.dedup.duplicates import find_groups
from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.images.bit_depth import describe_bits
from hubtune.data.listing import Excluded, ImageEntry, Listing, Progress, no_progress
from hubtune.data.scan.scanner import Scan, inspect_listing
from hubtune.errors import UsageError

LabelChecker = Callable[[Sequence[ImageEntry], Sequence[DuplicateGroup]], LabelCheck]
"""Checks the labels of images, among which there are groups of copies."""


@dataclass(frozen=True, repr=False)
class ScanReport:
    """The result of a scan: groups of copies by their places in :attr:`images`, the severest issues first."""

    source: str
    scan: Scan
    groups: list[DuplicateGroup]
    issues: list[Issue]

    def __repr__(self) -> str:
        """Sizes only: a notebook would show every image."""
        return f"ScanReport({self.source!r}, {len(self.images):,} images, {len(self.issues)} issues)"

    @property
    def classes(self) -> dict[str, list[ImageEntry]]:
        """Class → its images."""
        return self.scan.classes

    @property
    def images(self) -> list[ImageEntry]:
        """All images, class by class."""
        return [image for images in self.classes.values() for image in images]

    @property
    def left_out(self) -> list[Excluded]:
        """Files that are not used, and why."""
        return self.scan.left_out

    @property
    def remarks(self) -> list[str]:
        """What the source itself has to say, one sentence each."""
        return self.scan.notes

    def as_dict(self) -> dict[str, Any]:
        """Return the report as ``hubtune scan --json`` prints it."""
        return {**self.summary(), "files": list(self.files())}

    def summary(self) -> dict[str, Any]:
        """Return the report without the single files, of which there may be a million."""
        return {
            "source": self.source,
            "pictures": len(self.images),
            "classes": self.scan.sizes,
            "findings": [
                {
                    "kind": issue.kind,
                    "title": issue.title,
                    "advice": issue.advice,
                    "groups": [[_item_as_dict(item) for item in group] for group in issue.groups],
                }
                for issue in self.issues
            ],
            "remarks": self.remarks,
        }

    def files(self) -> Iterator[dict[str, Any]]:
        """Yield the facts of each image, and the reason for each file left out."""
        for label, images in self.classes.items():
            for image in images:
                info = image.info
                if info is not None:
                    facts = {name: getattr(info, name) for name in info.__slots__ if name != "fingerprint"}
                    yield {"name": image.name, "path": str(image.path), "label": label, **facts}
        for entry in self.left_out:
            yield {"path": str(entry.path), "unreadable": entry.reason}


def _item_as_dict(item: IssueFile) -> dict[str, Any]:
    return {"name": item.name, "path": str(item.path), "label": item.label, "note": item.note}


def make_scan_report(
    source: str,
    listing: Listing,
    *,
    check_labels: LabelChecker | None = None,
    progress: Progress = no_progress,
) -> ScanReport:
    """Inspect every file of a listing, and report the issues; labels are checked by ``check_labels`` only.

    Raises:
        UsageError: labels of multi-label data are to be checked.
    """
    if check_labels is not None and listing.label_sets is not None:
        raise UsageError(
            f"{source} is multi-label, and a scan by a module looks for wrong classes of pictures with one "
            "each: scan without --module; hubtune audit judges the labels of multi-label pictures"
        )
    scan = inspect_listing(listing, advance=partial(progress, "reading pictures"))
    images = [image for own in scan.classes.values() for image in own]
    if description := describe_bits([image.info.bits for image in images if image.info is not None]):
        scan.notes.append(f"{description} in training.")
    progress("looking for copies", 0, 0)
    groups = find_groups(images)
    labels = check_labels(images, groups) if check_labels is not None and images else None
    return ScanReport(source, scan, groups, find_issues(scan, groups, labels))
