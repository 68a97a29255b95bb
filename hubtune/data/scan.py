"""Finding pictures in a folder-per-class tree, and checking each one before anything relies on it."""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from hubtune.data.image import PICTURE_SUFFIXES, Header, PictureError, check_pixels
from hubtune.errors import DataError

# What operating systems leave in folders; never a picture, and never worth a word.
_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_READY_MADE = frozenset({"train", "training", "val", "valid", "validate", "validation", "dev", "test"})
# Formats that go by the names of another.
_KIN = {"MPO": "JPEG", "DIB": "BMP"}
# Files that are given to the threads at once: a million of them would fill the memory.
_PORTION = 4096


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
        left_out: files that promise to be pictures but are not used.
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

    def remarks(self) -> list[str]:
        """What a person should know of the files, one sentence each."""
        found = (
            (self.strays, "is no picture", "are no pictures", "passed over"),
            (
                self.renamed,
                "has another format than its name says",
                "have other formats than their names say",
                "used",
            ),
            (self.animated, "has several frames", "have several frames", "the first is used"),
        )
        said = [
            f"The folder {name!r} counts as a class; if it holds test pictures of the others: "
            f"--test-dir {self.root / name}."
            for name in self.classes
            if name.lower() in _READY_MADE and not name.lower().startswith("train")
        ]
        for paths, singular, plural, then in found:
            if paths:
                names = some([path.name for path in paths])
                verb = singular if len(paths) == 1 else plural
                said.append(f"{counted(len(paths), 'file')} {verb} ({then}): {names}.")
        return said


def scan_classes(
    root: Path, *, skip: Path | None = None, advance: Callable[[int, int], None] | None = None
) -> Scan:
    """Look at every file of a folder-per-class tree, once, each to its last byte.

    A class is a folder directly below ``root``; its pictures may lie in folders below it. Hidden and system
    files are passed over. Links that lead to what the scan reaches anyway are left out, so that links in a
    circle do no harm.

    Args:
        root: the tree.
        skip: a folder inside it that is not looked at.
        advance: called with the number of files done and of all files.

    Raises:
        DataError: if the tree is missing, has fewer than two classes, or a class without a picture.
    """
    walk = _Walk(root, skip)
    scan = walk.scan
    found: list[tuple[str, Path]] = []
    for entry in walk.entries(root):
        if _is_folder(entry):
            if walk.may_enter(entry):
                scan.classes[_class_name(entry)] = []
                found += ((entry.name, path) for path in walk.files(entry))
        elif entry.suffix.lower() in PICTURE_SUFFIXES:
            scan.left_out.append(LeftOut(entry, "lies in no class folder"))
        else:
            scan.strays.append(entry)
    _check_layout(scan)
    checked = _check([path for _, path in found], scan, advance)
    for (class_name, _), picture in zip(found, checked, strict=True):
        if picture is not None:
            scan.classes[class_name].append(picture)
    _check_filled(scan)
    return scan


def scan_files(root: Path) -> Scan:
    """Look at every picture below a folder, whatever the folders are called; they all go to class ``""``.

    Raises:
        DataError: if the folder is not there, or cannot be opened.
    """
    walk = _Walk(root)
    pictures = _check(list(walk.files(root)), walk.scan, None)
    walk.scan.classes[""] = [picture for picture in pictures if picture is not None]
    return walk.scan


def picture_files(folder: Path) -> list[Path]:
    """All files below a folder whose name promises a picture, sorted; none of them is opened.

    Raises:
        DataError: if the folder is not there, or cannot be opened.
    """
    return [path for path in _Walk(folder).files(folder) if path.suffix.lower() in PICTURE_SUFFIXES]


def name_key(name: str) -> tuple[str, str]:
    """What names are sorted by: the same on macOS, which stores another Unicode form than Linux."""
    return unicodedata.normalize("NFC", name), name


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 file``, ``1,200 files``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def some(names: list[str], most: int = 3) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class _Walk:
    """A walk through a folder that sees no file twice, and notes in ``scan`` what it cannot see."""

    def __init__(self, root: Path, skip: Path | None = None) -> None:
        try:
            is_folder = stat.S_ISDIR(root.stat().st_mode)
        except FileNotFoundError as error:
            raise DataError(f"There is no folder {root}: give a folder of pictures") from error
        except OSError as error:
            raise DataError(
                f"{root} cannot be opened ({error.strerror}): give a folder of pictures"
            ) from error
        if not is_folder:
            raise DataError(f"{root} is a file: give a folder of pictures")
        self.scan = Scan(root)
        self._real_root = root.resolve()
        self._skip = _identity(skip) if skip is not None else None
        self._entered = {_identity(root)}

    def entries(self, folder: Path) -> list[Path]:
        """What a folder holds, sorted by name, without hidden and system entries."""
        try:
            names = os.listdir(folder)  # noqa: PTH208  # plain names are all that is needed
        except OSError as error:
            if folder == self.scan.root:
                raise DataError(f"{folder} cannot be opened ({error.strerror}): allow reading it") from error
            self.scan.left_out.append(LeftOut(folder, f"folder cannot be opened ({error.strerror})"))
            return []
        return [folder / name for name in sorted(names, key=name_key) if not _is_hidden(name)]

    def files(self, folder: Path) -> Iterator[Path]:
        """All files below a folder, in the order of their names."""
        for entry in self.entries(folder):
            if not _is_folder(entry):
                if not self._is_link_inside(entry):
                    yield entry
            elif self.may_enter(entry):
                yield from self.files(entry)

    def may_enter(self, folder: Path) -> bool:
        """Whether a folder is one to look at: not the skipped one, and not seen under another name."""
        identity = _identity(folder)
        # The links first, so that each is named.
        if self._is_link_inside(folder) or identity in self._entered or identity == self._skip:
            return False
        self._entered.add(identity)
        return True

    def _is_link_inside(self, path: Path) -> bool:
        """Whether a path is a link to what the walk comes by anyway; it is noted as left out then.

        Links to hidden places are followed: git-annex keeps all files in one.
        """
        # Links that lead nowhere are told from the rest when they are opened.
        if not path.is_symlink() or _identity(path) is None:
            return False
        target = path.resolve()
        if not target.is_relative_to(self._real_root):
            return False
        if any(map(_is_hidden, target.relative_to(self._real_root).parts)):
            return False
        self.scan.left_out.append(LeftOut(path, "link to a place in the same tree"))
        return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _is_folder(path: Path) -> bool:
    # Not Path.is_dir(), which raises where a folder may be listed but not entered.
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # gone, or a link that leads nowhere
    return status.st_dev, status.st_ino


def _class_name(folder: Path) -> str:
    name = folder.name
    if "\n" in name or "\r" in name or not name.strip(" \t"):
        what = "is blank" if not name.strip(" \t") else "has a line break"
        raise DataError(f"The folder name {name!r} {what}, which a label list cannot hold: rename it")
    return name


def _check_layout(scan: Scan) -> None:
    """Say what is wrong with a tree that cannot be a folder per class."""
    names = list(scan.classes)
    root = scan.root
    if not names:
        loose = len(scan.left_out)
        what = f"{counted(loose, 'loose picture')}, but no class folder" if loose else "no class folder"
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
    walk = _Walk(folder)
    while True:
        below = [entry for entry in walk.entries(folder) if _is_folder(entry) and not entry.is_symlink()]
        if len(below) != 1:
            return folder if below else None
        folder = below[0]


def _check_filled(scan: Scan) -> None:
    empty = [name for name, pictures in scan.classes.items() if not pictures]
    if not empty:
        return
    folder = scan.root / empty[0]
    refused = [entry for entry in scan.left_out if entry.path == folder or folder in entry.path.parents]
    why = (
        f" ({counted(len(refused), 'file')} left out, first {refused[0].path.name}: {refused[0].reason})"
        if refused
        else ""
    )
    others = f" The same holds for {some(empty[1:])}." if len(empty) > 1 else ""
    raise DataError(
        f"{folder} holds no picture that can be used{why}: fill the folder, or remove it.{others}"
    )


def _check(
    paths: list[Path], scan: Scan, advance: Callable[[int, int], None] | None
) -> Iterator[Picture | None]:
    """Check files in parallel, in order; ``None`` for what cannot be used, which is noted in ``scan``."""
    for done, (path, outcome) in enumerate(zip(paths, _looks(paths), strict=True), start=1):
        promises = path.suffix.lower() in PICTURE_SUFFIXES
        if isinstance(outcome, str):
            if promises or not outcome.startswith("not a picture"):
                scan.left_out.append(LeftOut(path, outcome))
            else:
                scan.strays.append(path)
            yield None
        else:
            header, sha256 = outcome
            expected = Image.registered_extensions().get(path.suffix.lower(), header.format)
            if promises and _KIN.get(expected, expected) != _KIN.get(header.format, header.format):
                scan.renamed.append(path)
            if header.frames > 1 and header.format != "MPO":  # a camera's MPO holds its preview, too
                scan.animated.append(path)
            yield Picture(path, path.relative_to(scan.root).as_posix(), sha256)
        if advance is not None:
            advance(done, len(paths))


def _looks(paths: list[Path]) -> Iterator[tuple[Header, str] | str]:
    # Pillow decodes without holding Python's lock, so threads use all cores.
    with ThreadPoolExecutor(max_workers=min(16, (os.cpu_count() or 1) + 2)) as pool:
        for start in range(0, len(paths), _PORTION):
            yield from pool.map(_look, paths[start : start + _PORTION])


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
