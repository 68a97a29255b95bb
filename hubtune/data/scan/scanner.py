"""Scan a source: inspect each file, and sort the usable images by class."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from PIL import Image

from hubtune.data.images.decode import ImageError
from hubtune.data.images.formats import count_formats, is_convertible
from hubtune.data.images.verify import IMAGE_SUFFIXES
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import Excluded, ImageEntry, Listing, known_as
from hubtune.data.scan.fingerprint import FingerprintFile
from hubtune.data.scan.inspect import ImageInfo, inspect_image
from hubtune.data.scan.scan_cache import FileStamp, Inspection, ScanCache, stamp_file
from hubtune.data.shards.read_ahead import ReadAhead
from hubtune.data.sources.folder import walk_classes
from hubtune.data.sources.folder_walk import walk_files
from hubtune.errors import DataError
from hubtune.hardware.cpu import cores
from hubtune.text import escaped, first_few, plural

# Formats whose files usually carry another format's suffix.
_SUFFIX_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}
_FILES_PER_BATCH = 4096  # handed to the threads at once; futures of a million files would fill the memory

Advance = Callable[[int, int], None]
"""Progress callback: number of files done, number of all files."""

FILE_NOTES = {
    "strays": ("is not a picture", "are not pictures", "ignored"),
    "renamed": ("has another format than its name says", "have other formats than their names say", "used"),
    "animated": ("has several frames", "have several frames", "the first is used"),
}
"""Kind of file → what one is, what several are, and what becomes of them."""


@dataclass
class Scan:
    """Result of scanning a source.

    Attributes:
        root: the scanned folder.
        classes: class → its images, in the order of the source; a folder's are sorted by name.
        left_out: files that look like images but are not used.
        non_images: files that are not images.
        notes: remarks of the source itself, one sentence each.
        renamed: images with another format's suffix; they are used.
        animated: images with several frames; the first is used.
        label_sets: the labels of multi-label data; ``classes`` are then their sets.
    """

    root: Path
    classes: dict[str, list[ImageEntry]] = field(default_factory=dict)
    left_out: list[Excluded] = field(default_factory=list)
    non_images: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    renamed: list[Path] = field(default_factory=list)
    animated: list[Path] = field(default_factory=list)
    label_sets: LabelSets | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Class, or label of multi-label data → number of its images."""
        if self.label_sets is None:
            return {label: len(own) for label, own in self.classes.items()}
        counts = [len(own) for own in self.classes.values()]
        sums = counts @ self.label_sets.matrix
        return dict(zip(self.label_sets.labels, sums.tolist(), strict=True))

    def unusual_files(self) -> dict[str, list[Path]]:
        """Files of each kind of :data:`FILE_NOTES`."""
        return {"strays": self.non_images, "renamed": self.renamed, "animated": self.animated}

    def remarks(self) -> list[str]:
        """Remarks about the source and its files, one sentence each."""
        remarks = list(self.notes)
        for kind, paths in self.unusual_files().items():
            if paths:
                one, many, use = FILE_NOTES[kind]
                names = first_few([known_as(path, self.root) for path in paths])
                verb = one if len(paths) == 1 else many
                remarks.append(f"{plural(len(paths), 'file')} {verb} ({use}): {names}.")
        return remarks


def scan_listing(listing: Listing, *, advance: Advance | None = None) -> Scan:
    """Inspect a source as :func:`inspect_listing`; raise DataError if a class has no usable image."""
    scan = inspect_listing(listing, advance=advance)
    if scan.label_sets is not None and any(scan.classes.values()):
        return _without_empty_sets(scan, scan.label_sets)
    empty = [label for label, images in scan.classes.items() if not images]
    if not empty:
        return scan
    folder = listing.root / empty[0]
    named = {file.path for file in listing.files if file.label == empty[0]}
    refused = [entry for entry in scan.left_out if entry.path in named or entry.path.is_relative_to(folder)]
    formats = count_formats(entry.reason for entry in refused)
    unknown = [entry for entry in refused if not is_convertible(entry.reason)]
    why = ""
    if unknown:
        first = f"{known_as(unknown[0].path, folder)}: {unknown[0].reason}"
        why = f" ({plural(len(unknown), 'file')} left out, first {first})"
    others = f" The same is true of {first_few(empty[1:])}." if len(empty) > 1 else ""
    if os.path.isdir(folder):  # noqa: PTH112  # a table's class name may not be a valid path
        advice = "; ".join(formats) or "fill the folder, or remove it"
        raise DataError(f"{folder} has no picture that can be used{why}: {advice}.{others}")
    advice = "".join(f": {text}" for text in formats)
    raise DataError(
        f"Class '{escaped(empty[0])}' of {listing.root} has no picture that can be used{why}{advice}.{others}"
    )


def _without_empty_sets(scan: Scan, label_sets: LabelSets) -> Scan:
    """Remove the sets of labels that no usable image has: their labels may be those of others."""
    used = [
        (own, images) for own, images in zip(label_sets.sets, scan.classes.values(), strict=True) if images
    ]
    remaining = LabelSets.of(label_sets.labels, [own for own, _ in used])
    classes = {
        name: [replace(image, label=number) for image in images]
        for number, (name, (_, images)) in enumerate(zip(remaining.names, used, strict=True))
    }
    return replace(scan, classes=classes, label_sets=remaining)


def inspect_listing(listing: Listing, *, advance: Advance | None = None) -> Scan:
    """Inspect all files of a source, each once and to its last byte; classes may stay empty."""
    noted = ([*listing.left_out], [*listing.non_images], [*listing.remarks])
    classes: dict[str, list[ImageEntry]] = {label: [] for label in listing.labels}
    scan = Scan(listing.root, classes, *noted, label_sets=listing.label_sets)
    formats = Image.registered_extensions()
    fingerprints = FingerprintFile()
    numbers = {label: number for number, label in enumerate(listing.labels)}
    inspections = inspect_files([file.path for file in listing.files])
    for done, (file, result) in enumerate(zip(listing.files, inspections, strict=True), start=1):
        path, suffix = file.path, file.path.suffix.lower()
        if isinstance(result, ImageInfo):
            usual = _SUFFIX_FORMAT.get(result.format, result.format)
            expected = formats.get(suffix, usual)
            if suffix in IMAGE_SUFFIXES and _SUFFIX_FORMAT.get(expected, expected) != usual:
                scan.renamed.append(path)
            if result.frames > 1 and result.format != "MPO":  # a camera's MPO holds a preview as well
                scan.animated.append(path)
            info = replace(result, fingerprint=fingerprints.append(bytes(result.fingerprint)))
            scan.classes[file.label].append(
                ImageEntry(path, numbers[file.label], file.name, info.sha256, file.group, file.part, info)
            )
        elif suffix in IMAGE_SUFFIXES or not result.startswith("not a picture") or is_convertible(result):
            scan.left_out.append(Excluded(path, result, unreadable=True))
        else:
            scan.non_images.append(path)
        if advance is not None:
            advance(done, len(listing.files))
    return scan


def inspect_files(paths: Sequence[Path]) -> Iterator[Inspection]:
    """Inspect files in parallel, or take the results from the scan cache; yields them in order.

    If the iterator is closed early, what is done stays in the cache.
    """
    # Threads use all cores, because Pillow decodes without holding Python's lock.
    with ScanCache() as cache, ThreadPoolExecutor(max_workers=min(16, cores() + 2)) as pool:
        for start in range(0, len(paths), _FILES_PER_BATCH):
            stamps = [(path, stamp_file(path)) for path in paths[start : start + _FILES_PER_BATCH]]
            cached = [cache.get(stamp) for _, stamp in stamps]
            uncached = [entry for entry, result in zip(stamps, cached, strict=True) if result is None]
            ahead = ReadAhead([path for path, _ in uncached], [range(len(uncached))])
            futures: list[Future[tuple[Inspection, bool]]] = []
            new: list[tuple[FileStamp, Inspection, bool]] = []
            try:
                ahead.start()
                for place, (path, _) in enumerate(uncached):
                    ahead.reach(place, lambda: sum(1 for _ in takewhile(Future.done, futures)))  # noqa: B023
                    futures.append(pool.submit(_inspect, path))
                for result in cached:
                    if result is None:
                        new.append((uncached[len(new)][1], *futures[len(new)].result()))
                    yield result or new[-1][1]
            finally:
                ahead.close()
                for future in futures:
                    future.cancel()
                cache.put((stamp, result) for stamp, result, permanent in new if permanent)


def _inspect(path: Path) -> tuple[Inspection, bool]:
    """Inspect a file; also whether the result is permanent, which an error of a network drive is not."""
    if "\n" in str(path) or "\r" in str(path):
        return "the name has a line break, which a list file cannot hold", False
    try:
        return inspect_image(path), True
    except ImageError as error:
        cause = error.__cause__
        temporary = isinstance(cause, MemoryError) or (isinstance(cause, OSError) and bool(cause.errno))
        return error.reason, not temporary


def scan_classes(root: Path, *, skip: Path | None = None, advance: Advance | None = None) -> Scan:
    """Inspect all files of a folder-per-class tree: :func:`walk_classes` and :func:`scan_listing`."""
    return scan_listing(walk_classes(root, skip=skip), advance=advance)


def scan_files(root: Path) -> Scan:
    """Inspect all images below a folder, whatever its folders are called; they all go to class ``""``."""
    return inspect_listing(walk_files(root))
