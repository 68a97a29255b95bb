"""Finding pictures in a folder-per-class tree, and checking each one before anything relies on it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.image import PICTURE_SUFFIXES, Header, PictureError, check_pixels
from hubtune.errors import DataError

# What operating systems leave in folders; never a picture, and never worth a word.
_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_READY_MADE = frozenset({"train", "training", "val", "valid", "validate", "validation", "dev", "test"})
_SUFFIXES_OF = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "WEBP": {".webp"},
    "BMP": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
}


@dataclass(frozen=True)
class Picture:
    """A picture that can be read.

    Attributes:
        path: the file.
        name: its path inside the scanned folder, with ``/``.
        sha256: of its bytes.
    """

    path: Path
    name: str
    sha256: str


@dataclass(frozen=True)
class LeftOut:
    """A file that is not used, and why."""

    path: Path
    reason: str


@dataclass
class Scan:
    """What was found in a folder.

    Attributes:
        root: the scanned folder.
        classes: class folder → its pictures, both sorted by name.
        left_out: files that promise to be pictures but cannot be used.
        strays: files that are no pictures.
        renamed: pictures whose extension belongs to another format; they are used.
        animated: pictures with several frames, of which the first is used.
    """

    root: Path
    classes: dict[str, list[Picture]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    renamed: list[Path] = field(default_factory=list)
    animated: list[Path] = field(default_factory=list)


def scan_classes(
    root: Path, *, skip: Path | None = None, advance: Callable[[int, int], None] | None = None
) -> Scan:
    """Look at every file of a folder-per-class tree, once, each to its last byte.

    A class is a folder directly below ``root``; its pictures may lie in folders below it. Hidden and system
    files are passed over. Folders are never entered twice, so links in a circle do no harm.

    Args:
        root: the tree.
        skip: a folder inside it that is not looked at.
        advance: called with the number of files done and of all files.

    Raises:
        DataError: if the tree is missing, has fewer than two classes, or a class without a picture.
    """
    if not root.is_dir():
        raise DataError(
            f"{root} is {'a file' if root.exists() else 'not there'}: give the folder of class folders"
        )
    scan = Scan(root)
    found: list[tuple[str, Path]] = []
    for entry in _entries(root, scan):
        if entry.is_dir():
            if skip is None or not _same(entry, skip):
                scan.classes[_class_name(entry)] = []
                found += ((entry.name, path) for path in _files(entry, scan, skip))
        else:
            scan.strays.append(entry)
    _check_layout(scan, [path for _, path in found])
    for (class_name, _), picture in zip(
        found, _check([path for _, path in found], scan, advance), strict=True
    ):
        if picture is not None:
            scan.classes[class_name].append(picture)
    for class_name, pictures in scan.classes.items():
        if not pictures:
            raise DataError(f"{root / class_name} holds no readable picture: fill the folder, or remove it")
    return scan


def scan_files(root: Path) -> Scan:
    """Look at every picture below a folder, whatever the folders are called; they all go to class ``""``.

    Raises:
        DataError: if the folder is not there.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder of pictures")
    scan = Scan(root)
    pictures = _check(list(_files(root, scan)), scan, None)
    scan.classes[""] = [picture for picture in pictures if picture is not None]
    return scan


def picture_files(folder: Path) -> list[Path]:
    """All files below a folder whose name promises a picture, sorted; none of them is opened."""
    scan = Scan(folder)
    return [path for path in _files(folder, scan) if path.suffix.lower() in PICTURE_SUFFIXES]


def _class_name(folder: Path) -> str:
    if "\n" in folder.name or "\r" in folder.name:
        raise DataError(
            f"The folder name {folder.name!r} has a line break, which a label list cannot hold: rename it"
        )
    return folder.name


def _check_layout(scan: Scan, files: list[Path]) -> None:
    """Say what is wrong with a tree that cannot be a folder per class."""
    names = list(scan.classes)
    root = scan.root
    if not names:
        loose = sum(path.suffix.lower() in PICTURE_SUFFIXES for path in scan.strays)
        what = f"{loose} loose pictures, but no class folder" if loose else "no class folder"
        raise DataError(f"{root} has {what}: put the pictures of each class into a folder of its own")
    lower = {name.lower() for name in names}
    if lower <= _READY_MADE and any(name.startswith("train") for name in lower):
        train = root / next(name for name in names if name.lower().startswith("train"))
        raise DataError(
            f"{root} is divided into {', '.join(names)} already. "
            f"To split its training pictures: hubtune split {train} --test-dir FOLDER"
        )
    if len(names) == 1:
        below = sorted(
            {path.relative_to(root / names[0]).parts[0] for path in files if path.parent != root / names[0]}
        )
        hint = f": did you mean {root / names[0]}?" if len(below) > 1 else "; a classifier needs two"
        raise DataError(f"{root} has only one class folder, {names[0]!r}{hint}")


def _entries(folder: Path, scan: Scan) -> list[Path]:
    """What a folder holds, sorted by name, without hidden and system entries."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # plain names are all that is needed
    except OSError as error:
        scan.left_out.append(LeftOut(folder, f"folder cannot be opened ({error.strerror})"))
        return []
    shown = (name for name in names if not name.startswith(".") and name.lower() not in _SYSTEM_NAMES)
    return [folder / name for name in sorted(shown)]


def _files(folder: Path, scan: Scan, skip: Path | None = None) -> Iterator[Path]:
    """All files below a folder, in the order of their names; a folder reached twice is entered once."""
    seen: set[tuple[int, int]] = set()

    def walk(place: Path) -> Iterator[Path]:
        status = place.stat()
        if (status.st_dev, status.st_ino) in seen or (skip is not None and _same(place, skip)):
            return
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(place, scan):
            if entry.is_dir():
                yield from walk(entry)
            else:
                yield entry

    yield from walk(folder)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _check(
    paths: list[Path], scan: Scan, advance: Callable[[int, int], None] | None
) -> Iterator[Picture | None]:
    """Check files in parallel, in order; ``None`` for what cannot be used, which is noted in ``scan``."""
    # Pillow decodes without holding Python's lock, so threads use all cores.
    with ThreadPoolExecutor(max_workers=min(16, (os.cpu_count() or 1) + 2)) as pool:
        for done, (path, outcome) in enumerate(zip(paths, pool.map(_look, paths), strict=True), start=1):
            if isinstance(outcome, str):
                if path.suffix.lower() in PICTURE_SUFFIXES or not outcome.startswith("not a picture"):
                    scan.left_out.append(LeftOut(path, outcome))
                else:
                    scan.strays.append(path)
                yield None
            elif _links_inside(path, scan.root):
                scan.left_out.append(LeftOut(path, "link to a file of the same tree"))
                yield None
            else:
                header, sha256 = outcome
                suffix = path.suffix.lower()
                if suffix in PICTURE_SUFFIXES and suffix not in _SUFFIXES_OF.get(header.format, {suffix}):
                    scan.renamed.append(path)
                if header.frames > 1 and header.format != "MPO":  # a camera's MPO holds its preview, too
                    scan.animated.append(path)
                yield Picture(path, path.relative_to(scan.root).as_posix(), sha256)
            if advance is not None:
                advance(done, len(paths))


def _look(path: Path) -> tuple[Header, str] | str:
    """A picture's header and SHA-256, or the reason why it cannot be used."""
    if "\n" in str(path) or "\r" in str(path):
        return "the name has a line break, which a list file cannot hold"
    try:
        header = check_pixels(path)
        with path.open("rb") as file:
            return header, hashlib.file_digest(file, "sha256").hexdigest()
    except PictureError as error:
        return error.reason
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _links_inside(path: Path, root: Path) -> bool:
    return path.is_symlink() and path.resolve().is_relative_to(root.resolve())
