"""What a source of pictures names, before any file of it is opened."""

from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.scan.inspect import ImageInfo

PARTS = ("train", "validate", "test")
"""The lists that a data set may be divided into."""

NO_CLASS = -1
"""Label of an image whose class is not known."""


def known_as(path: Path, root: Path) -> str:
    """How a person is told of a file: by its path inside a folder, with ``/``, or else as it is."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A file that is not used, and why.

    Attributes:
        path: the file.
        reason: in a few words.
        unreadable: whether it was opened, and is no picture that can be used.
    """

    path: Path
    reason: str
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a source names as a picture of a class.

    Attributes:
        path: the file.
        name: how the source calls it: its path inside a folder or an archive, with ``/``.
        label: its class, by the name of a class folder, or as a table says.
        group: what the source says it belongs to (a patient, a plant, a film); such pictures stay together.
        part: the list that the source puts it into, one of :data:`PARTS`.
    """

    path: Path
    name: str
    label: str
    group: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image on its way from a source, through the lists, into training.

    Attributes:
        path: the file; absolute, or relative to the current folder.
        label: the place of its class among the class names, from 0; :data:`NO_CLASS` if not known yet.
        name: its path inside the source, with ``/``, or as its source calls it.
        sha256: of the file's bytes, in hexadecimal; empty until they are read.
        group: the group of images that its source assigns it to; these stay in one list.
        part: the list that its source assigns it to, one of :data:`PARTS`.
        info: the result of inspecting the file; ``None`` if it was not inspected.
    """

    path: Path
    label: int
    name: str = ""
    sha256: str = ""
    group: str | None = None
    part: str | None = None
    info: ImageInfo | None = None


@dataclass
class Listing:
    """All files of a source.

    Attributes:
        root: the folder that the names start from.
        labels: the classes, in the order of their labels.
        files: what is to be looked at, in the order of ``labels`` and of names.
        left_out: files that promise to be pictures but are not used.
        strays: files that are no pictures.
        remarks: what a person should know, one sentence each.
    """

    root: Path
    labels: list[str] = field(default_factory=list)
    files: list[SourceFile] = field(default_factory=list)
    left_out: list[Excluded] = field(default_factory=list)
    non_images: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
