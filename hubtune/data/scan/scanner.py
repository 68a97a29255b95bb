"""Scan a source: inspect each file, and sort the usable images by class."""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import IMAGE_SUFFIXES, is_image
from hubtune.data.listing import Excluded, ImageEntry, Listing, SourceFile, known_as
from hubtune.data.scan.fingerprint import FingerprintFile
from hubtune.data.scan.inspect import ImageInfo, inspect_image
from hubtune.data.scan.scan_cache import FileStamp, Inspection, ScanCache, stamp_file
from hubtune.errors import DataError
from hubtune.text import first_few, plural

# What operating systems leave in folders; never a picture, and never worth a word.
_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_READY_MADE = frozenset({"train", "training", "val", "valid", "validate", "validation", "dev", "test"})
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
    """

    root: Path
    classes: dict[str, list[ImageEntry]] = field(default_factory=dict)
    left_out: list[Excluded] = field(default_factory=list)
    non_images: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    renamed: list[Path] = field(default_factory=list)
    animated: list[Path] = field(default_factory=list)

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
    """Inspect all files of a source, as :func:`inspect_listing`, and check that no class is empty.

    Raises:
        DataError: if a class has no usable image.
    """
    scan = inspect_listing(listing, advance=advance)
    empty = [label for label, images in scan.classes.items() if not images]
    if not empty:
        return scan
    folder = listing.root / empty[0]
    named = {file.path for file in listing.files if file.label == empty[0]}
    refused = [
        entry
        for entry in scan.left_out
        if entry.path in named or entry.path == folder or folder in entry.path.parents
    ]
    why = (
        f" ({plural(len(refused), 'file')} left out, first {known_as(refused[0].path, folder)}: "
        f"{refused[0].reason})"
        if refused
        else ""
    )
    others = f" The same holds for {first_few(empty[1:])}." if len(empty) > 1 else ""
    if os.path.isdir(folder):  # noqa: PTH112  # a table's class name may not be a valid path
        raise DataError(
            f"{folder} holds no picture that can be used{why}: fill the folder, or remove it.{others}"
        )
    raise DataError(f"Class {empty[0]!r} of {listing.root} has no picture that can be used{why}.{others}")


def inspect_listing(listing: Listing, *, advance: Advance | None = None) -> Scan:
    """Inspect all files of a source, each once and to its last byte; classes may stay empty.

    Args:
        listing: the files.
        advance: called after each file.
    """
    scan = Scan(
        listing.root,
        {label: [] for label in listing.labels},
        [*listing.left_out],
        [*listing.non_images],
        [*listing.remarks],
    )
    formats = Image.registered_extensions()
    fingerprints = FingerprintFile()
    numbers = {label: number for number, label in enumerate(listing.labels)}
    inspections = inspect_files([file.path for file in listing.files])
    for done, (file, result) in enumerate(zip(listing.files, inspections, strict=True), start=1):
        path, suffix = file.path, file.path.suffix.lower()
        if isinstance(result, ImageInfo):
            expected = formats.get(suffix, result.format)
            if suffix in IMAGE_SUFFIXES and _usual_format(expected) != _usual_format(result.format):
                scan.renamed.append(path)
            if result.frames > 1 and result.format != "MPO":  # a camera's MPO holds a preview as well
                scan.animated.append(path)
            info = replace(result, fingerprint=fingerprints.append(bytes(result.fingerprint)))
            scan.classes[file.label].append(
                ImageEntry(path, numbers[file.label], file.name, info.sha256, file.group, file.part, info)
            )
        elif suffix in IMAGE_SUFFIXES or not result.startswith("not a picture"):
            scan.left_out.append(Excluded(path, result, unreadable=True))
        else:
            scan.non_images.append(path)
        if advance is not None:
            advance(done, len(listing.files))
    return scan


def _usual_format(format_: str) -> str:
    return _SUFFIX_FORMAT.get(format_, format_)


def inspect_files(paths: Sequence[Path]) -> Iterator[Inspection]:
    """Inspect files in parallel, or take the results from the scan cache; yields them in order.

    If the iterator is closed early, what is done stays in the cache.
    """
    # Threads use all cores, because Pillow decodes without holding Python's lock.
    with ScanCache() as cache, ThreadPoolExecutor(max_workers=min(16, (os.cpu_count() or 1) + 2)) as pool:
        for start in range(0, len(paths), _FILES_PER_BATCH):
            stamps = [(path, stamp_file(path)) for path in paths[start : start + _FILES_PER_BATCH]]
            cached = [cache.get(stamp) for _, stamp in stamps]
            uncached = [entry for entry, result in zip(stamps, cached, strict=True) if result is None]
            futures = [pool.submit(_inspect, path) for path, _ in uncached]
            new: list[tuple[FileStamp, Inspection, bool]] = []
            try:
                for result in cached:
                    if result is None:
                        new.append((uncached[len(new)][1], *futures[len(new)].result()))
                    yield result or new[-1][1]
            finally:
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


def walk_classes(root: Path, *, skip: Path | None = None) -> Listing:
    """List the files of a folder-per-class tree; none of them is opened, but loose ones with unusual names.

    A class is a folder directly below ``root``; its pictures may lie in folders below it. Hidden and system
    files are passed over. Links that lead to what the walk reaches anyway are left out, so that links in a
    circle do no harm.

    Args:
        root: the tree.
        skip: a folder inside it that is not looked at.

    Raises:
        DataError: if the tree is missing, or has fewer than two classes.
    """
    walk = Walk(root, skip)
    listing = walk.listing
    for entry in walk.entries(root):
        path = root / entry.name
        if is_folder(entry):
            if walk.may_enter(path):
                label = class_name(path)
                listing.labels.append(label)
                listing.files += (SourceFile(file, _name(file, root), label) for file in walk.files(path))
        else:
            walk.note_loose(path)
    _check_layout(listing)
    listing.remarks += (
        f"The folder {name!r} counts as a class; if it holds test pictures of the others: "
        f"--test-dir {root / name}."
        for name in listing.labels
        if name.lower() in _READY_MADE and not name.lower().startswith("train")
    )
    return listing


def scan_classes(root: Path, *, skip: Path | None = None, advance: Advance | None = None) -> Scan:
    """Look at every file of a folder-per-class tree: :func:`walk_classes` and :func:`scan_listing`.

    Raises:
        DataError: as they do.
    """
    return scan_listing(walk_classes(root, skip=skip), advance=advance)


def scan_files(root: Path) -> Scan:
    """Look at every picture below a folder, whatever the folders are called; they all go to class ``""``.

    Raises:
        DataError: if the folder is not there, or cannot be opened.
    """
    walk = Walk(root)
    walk.listing.labels = [""]
    walk.listing.files += (SourceFile(path, _name(path, root), "") for path in walk.files(root))
    return inspect_listing(walk.listing)


def walk_images(folder: Path) -> Listing:
    """List the pictures below a folder, whatever its folders are called; they all go to class ``""``.

    Only files are opened whose names promise nothing, for their first bytes.

    Raises:
        DataError: if the folder is not there, or cannot be opened.
    """
    walk = Walk(folder)
    listing = walk.listing
    listing.labels = [""]
    for path in walk.files(folder):
        if is_image(path):
            listing.files.append(SourceFile(path, _name(path, folder), ""))
        else:
            listing.non_images.append(path)
    return listing


def name_key(name: str) -> tuple[str, str]:
    """What names are sorted by: the same on macOS, which stores another Unicode form than Linux."""
    return unicodedata.normalize("NFC", name), name


class Walk:
    """A walk through a folder that sees no file twice, and notes in ``listing`` what it cannot see."""

    def __init__(self, root: Path, skip: Path | None = None) -> None:
        try:
            mode = root.stat().st_mode
        except FileNotFoundError as error:
            raise DataError(f"There is no folder {root}: give a folder of pictures") from error
        except OSError as error:
            raise DataError(
                f"{root} cannot be opened ({error.strerror}): give a folder of pictures"
            ) from error
        if not stat.S_ISDIR(mode):
            raise DataError(f"{root} is a file: give a folder of pictures")
        self.listing = Listing(root)
        self._real_root = root.resolve()
        self._skip = _identity(skip) if skip is not None else None
        self._entered = {_identity(root)}

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What a folder holds, sorted by name, without hidden and system entries."""
        try:
            with os.scandir(folder) as found:  # it knows what is a folder, without a look at each entry
                entries = [entry for entry in found if not _is_hidden(entry.name)]
        except OSError as error:
            if folder == self.listing.root:
                raise DataError(f"{folder} cannot be opened ({error.strerror}): allow reading it") from error
            self.listing.left_out.append(Excluded(folder, f"folder cannot be opened ({error.strerror})"))
            return []
        return sorted(entries, key=lambda entry: name_key(entry.name))

    def files(self, folder: Path) -> Iterator[Path]:
        """All files below a folder, in the order of their names."""
        # Not by recursion: folders may be nested deeper than Python's calls.
        open_ones = [(folder, iter(self.entries(folder)))]
        while open_ones:
            place, entries = open_ones[-1]
            entry = next(entries, None)
            if entry is None:
                open_ones.pop()
                continue
            path = place / entry.name
            if not is_folder(entry):
                if not (entry.is_symlink() and self._is_link_inside(path)):
                    yield path
            elif self.may_enter(path):
                open_ones.append((path, iter(self.entries(path))))

    def note_loose(self, file: Path) -> None:
        """Note a file that lies where class folders are."""
        if is_image(file):
            self.listing.left_out.append(Excluded(file, "lies in no class folder"))
        else:
            self.listing.non_images.append(file)

    def may_enter(self, folder: Path) -> bool:
        """Whether a folder is one to look at: not the skipped one, and not seen under another name."""
        identity = _identity(folder)
        # The links first, so that each is named.
        if self._is_link_inside(folder):
            return False
        if identity is None:
            return True  # nobody may look there, which is said when it is tried
        if identity in self._entered or identity == self._skip:
            return False
        self._entered.add(identity)
        return True

    def _is_link_inside(self, path: Path) -> bool:
        """Whether a path is a link to what the walk comes by anyway, or comes from; it is noted then.

        Links to hidden places are followed: git-annex keeps all files in one.
        """
        # Links that lead nowhere are told from the rest when they are opened.
        if not path.is_symlink() or _identity(path) is None:
            return False
        target = path.resolve()
        if target in self._real_root.parents:
            self.listing.left_out.append(Excluded(path, "link to a folder that this one is in"))
            return True
        if not target.is_relative_to(self._real_root):
            return False
        if any(map(_is_hidden, target.relative_to(self._real_root).parts)):
            return False
        self.listing.left_out.append(Excluded(path, "link to a place in the same tree"))
        return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to where nobody may look
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # gone, or a link that leads nowhere
    return status.st_dev, status.st_ino


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def class_name(folder: Path) -> str:
    name = folder.name
    if "\n" in name or "\r" in name or not name.strip(" \t"):
        what = "is blank" if not name.strip(" \t") else "has a line break"
        raise DataError(f"The folder name {name!r} {what}, which a label list cannot hold: rename it")
    return name


def _check_layout(listing: Listing) -> None:
    """Say what is wrong with a tree that cannot be a folder per class."""
    names, root = listing.labels, listing.root
    if not names:
        loose = len(listing.left_out)
        what = f"{plural(loose, 'loose picture')}, but no class folder" if loose else "no class folder"
        raise DataError(f"{root} has {what}: put the pictures of each class into a folder of its own")
    ready_made = {name.lower(): name for name in names if name.lower() in _READY_MADE}
    training = [name for lower, name in ready_made.items() if lower.startswith("train")]
    if training and len(ready_made) > 1:
        test = f" --test-dir {root / ready_made['test']}" if "test" in ready_made else ""
        raise DataError(
            f"{root} is divided into {', '.join(ready_made.values())} already. "
            f"To split its training pictures: hubtune split {root / training[0]}{test}"
        )
    if len(names) == 1:
        classes = _classes_below(root / names[0])
        hint = f": did you mean {classes}?" if classes else "; a classifier needs two"
        raise DataError(f"{root} has only one class folder, {names[0]!r}{hint}")


def _classes_below(folder: Path) -> Path | None:
    """The first folder, downwards through only folders, that holds several."""
    walk = Walk(folder)
    while True:
        below = [entry for entry in walk.entries(folder) if entry.is_dir(follow_symlinks=False)]
        if len(below) != 1:
            return folder if below else None
        folder /= below[0].name
