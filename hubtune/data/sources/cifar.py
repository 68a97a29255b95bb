"""CIFAR-10 and CIFAR-100 as they are published → a folder a class, and lists.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html: a few pickles that Python 2 wrote, each a dictionary with an
array ``data`` (uint8, ``[N, 3072]``, a row a picture: 32 rows of 32 values of red, then green, then blue) and
a list of labels; the classes' names are in a file of their own. Pictures become PNG files, which keep every
value.
"""

import gzip
import hashlib
import io
import re
import secrets
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from hubtune.data.listing import NO_CLASS, ImageEntry
from hubtune.data.scan.scanner import Scan, name_key
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.storage.atomic import replacing_folder
from hubtune.text import plural

Read = Callable[[BinaryIO, int], dict[str, object]]
"""Returns the dictionary in a pickle (file, length in bytes) without running it; raises ``ValueError``."""

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
# The largest file, the training pictures of CIFAR-100, has 155 MB; each archive holds less than 190 MB.
_MOST_BYTES = 2**28
_GZIP = b"\x1f\x8b"
_UNREADABLE = (OSError, EOFError, zlib.error, tarfile.TarError)
_ADVICE = "get it again from https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)"


@dataclass(frozen=True)
class _Kind:
    """What the files of a data set are called, and what is in them."""

    name: str
    meta: str
    names_key: str
    labels_key: str
    train: tuple[str, ...]
    test: str

    @property
    def batches(self) -> tuple[str, ...]:
        return (*self.train, self.test)


_KINDS = (
    _Kind(
        "CIFAR-10",
        "batches.meta",
        "label_names",
        "labels",
        tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test_batch",
    ),
    _Kind("CIFAR-100", "meta", "fine_label_names", "fine_labels", ("train",), "test"),
)
_WANTED = frozenset(name for kind in _KINDS for name in (kind.meta, *kind.batches))


@dataclass(frozen=True)
class _File:
    """A file of CIFAR's, in a folder or an archive.

    Attributes:
        name: without a folder.
        where: for messages.
        size: bytes.
        open: opens it; one in an archive only before the next one is looked at.
    """

    name: str
    where: Path
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        name: ``CIFAR-10`` or ``CIFAR-100``.
        classes: their names, in the order of the labels.
        counts: list (``train``, ``validate``, ``test``) → number of pictures.
        left_out: number of training pictures that are in no list, as they are test pictures, too.
        remarks: what a person should know, one sentence each.
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    left_out: int
    remarks: tuple[str, ...]


def convert(
    source: Path,
    folder: Path,
    *,
    read: Read,
    validate: str = "10%",
    seed: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write the pictures and lists of CIFAR-10 or CIFAR-100.

    The folder gets ``train/<class>/<batch>_<row>.png``, ``test/<class>/…``, the list files, the label list in
    CIFAR's own order, and ``split.json``. It is there whole or not at all. Validation pictures are drawn from
    the training pictures of every class; the test list is CIFAR's own. No more than one batch is in memory.

    Args:
        source: the folder of the published files, or the archive as it was downloaded, which is not unpacked.
        folder: where the data set goes; it must not be there yet, or be empty.
        read: reads a pickle.
        validate: validation pictures per class: ``500``, ``0.1`` or ``10%``.
        seed: another seed gives other validation pictures.
        advance: called with the number of batches done and of all batches.

    Raises:
        DataError: if a file is missing, damaged or something else.
        UsageError: if the folder holds something already, or ``validate`` is no amount.
        MachineError: if the folder cannot be written to.
    """
    SplitSize.parse(validate)
    folder = folder.resolve()
    _check_free(folder)
    kind, classes = _look(source, read)
    unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.new"
    try:
        with replacing_folder(folder, unfinished):
            return _write(source, unfinished, kind, classes, read, validate, seed, advance)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written ({error.strerror or error}): free some space, or choose another one"
        ) from error


def _check_free(folder: Path) -> None:
    try:
        occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise MachineError(f"{folder} cannot be opened ({error.strerror}): choose another folder") from error
    if occupied:
        raise UsageError(f"{folder} holds something already: choose a new folder, or empty this one")


def _look(source: Path, read: Read) -> tuple[_Kind, list[str]]:
    """Find out which data set it is, and check that it is complete before anything is written."""
    metas = {}
    present = set()
    for file in _files(source):
        present.add(file.name)
        for kind in _KINDS:
            if file.name == kind.meta:
                metas[kind] = _content(file, read)
    if len(metas) != 1:
        what = "the names of two data sets" if metas else "no batches.meta (CIFAR-10) or meta (CIFAR-100)"
        raise DataError(
            f"{source} holds {what}: give the folder cifar-10-batches-py or cifar-100-python, or its .tar.gz"
        )
    kind, meta = next(iter(metas.items()))
    missing = [name for name in kind.batches if name not in present]
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)} of {kind.name}: {_ADVICE}")
    return kind, _class_names(source / kind.meta, meta.get(kind.names_key), kind)


def _class_names(where: Path, names: object, kind: _Kind) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where} has no list {kind.names_key!r}: it is not of {kind.name}; {_ADVICE}")
    for name in names:
        # They become folders.
        if not re.fullmatch(r"\w([\w -]*\w)?", name, re.ASCII) or len(name) > 100:
            raise DataError(f"{where}: the class name {name[:100]!a} cannot be a folder's; {_ADVICE}")
    if len({name.casefold() for name in names}) < max(2, len(names)):
        raise DataError(f"{where} does not name two or more different classes; {_ADVICE}")
    return names


def _write(
    source: Path,
    folder: Path,
    kind: _Kind,
    classes: list[str],
    read: Read,
    validate: str,
    seed: int,
    advance: Callable[[int, int], None] | None,
) -> Converted:
    train, test = Scan(folder / "train", {name: [] for name in classes}), Scan(folder / "test", {"": []})
    for root, name in product((train.root, test.root), classes):
        (root / name).mkdir(parents=True)
    done = 0
    for file in _files(source):
        if file.name not in kind.batches:
            continue
        scan = test if file.name == kind.test else train
        for name, image in _save_batch(file, kind, classes, scan.root, read):
            scan.classes[name if scan is train else ""].append(image)
        done += 1
        if advance is not None:
            advance(done, len(kind.batches))
    for name, images in train.classes.items():
        if not images:
            raise DataError(f"{source} holds no training picture of class {name!r}; {_ADVICE}")
    for images in (*train.classes.values(), *test.classes.values()):
        images.sort(key=lambda image: name_key(image.name))  # not as the archive has its files
    split = make_split(train, validate=SplitSize.parse(validate), seed=seed, test_scan=test)
    options = {"source": str(source), "validate": validate, "seed": seed}
    write_split(split, folder, options)
    return Converted(
        kind.name,
        tuple(classes),
        {name: len(images) for name, images in split.lists.items()},
        len(split.left_out),
        tuple(split.remarks),
    )


def _save_batch(
    file: _File, kind: _Kind, classes: list[str], root: Path, read: Read
) -> list[tuple[str, ImageEntry]]:
    """Write a batch's pictures; returns each with its class."""
    pixels, labels = _images(file.where, _content(file, read), kind, classes)
    return [
        (classes[label], _save(values, root, f"{classes[label]}/{file.name}_{row:05}.png"))
        for row, (values, label) in enumerate(zip(pixels, labels, strict=True))
    ]


def _images(
    where: Path, content: dict[str, object], kind: _Kind, classes: list[str]
) -> tuple[np.ndarray, list[int]]:
    """The pictures ``[N, 3, 32, 32]`` of a batch, and their labels."""
    pixels, labels = content.get("data"), content.get(kind.labels_key)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        lacking = kind.labels_key if isinstance(pixels, np.ndarray) else "data"
        raise DataError(f"{where} has no {lacking!r}: it is no batch of {kind.name}; {_ADVICE}")
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXELS or not len(pixels):
        raise DataError(
            f"{where}: data has the type {pixels.dtype} and the shape {list(pixels.shape)[:8]} in place of "
            f"uint8 and [N, {_PIXELS}]: it is no batch of {kind.name}"
        )
    if len(labels) != len(pixels):
        raise DataError(
            f"{where} has {plural(len(pixels), 'picture')}, but {len(labels):,} labels; {_ADVICE}"
        )
    for row, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < len(classes):
            raise DataError(
                f"{where}: the label of row {row} is none from 0 to {len(classes) - 1}; {_ADVICE}"
            )
    return pixels.reshape(-1, *_SHAPE), labels


def _save(values: np.ndarray, root: Path, name: str) -> ImageEntry:
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0))).save(png, "PNG")
    content = png.getvalue()
    path = root / name
    path.write_bytes(content)
    return ImageEntry(path, NO_CLASS, name, hashlib.sha256(content).hexdigest())


def _content(file: _File, read: Read) -> dict[str, object]:
    if file.size > _MOST_BYTES:
        raise DataError(f"{file.where} has {file.size:,} bytes, more than any file of CIFAR; {_ADVICE}")
    try:
        with file.open() as opened:
            return read(opened, file.size)
    except ValueError as error:
        raise DataError(f"{file.where} {error}; {_ADVICE}") from error
    except _UNREADABLE as error:
        raise _unreadable(file.where, error) from error


def _files(source: Path) -> Iterator[_File]:
    """The files in a folder or an archive that have names of CIFAR's.

    Raises:
        DataError: if the source cannot be read.
    """
    try:
        if source.is_dir():
            for name in sorted(_WANTED):
                path = source / name
                if path.is_file():
                    yield _File(name, path, path.stat().st_size, partial(_opened, path))
        else:
            with source.open("rb") as packed:
                yield from _archived(source, packed)
    except FileNotFoundError as error:
        raise DataError(f"There is no {source}: give CIFAR's folder, or its .tar.gz") from error
    except _UNREADABLE as error:
        raise _unreadable(source, error) from error


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _archived(source: Path, packed: BinaryIO) -> Iterator[_File]:
    # Some browsers unpack what is called .gz while they download it.
    is_gzip = packed.read(len(_GZIP)) == _GZIP
    packed.seek(0)
    stream = _Limited(source, gzip.GzipFile(fileobj=packed) if is_gzip else packed)
    seen = set()
    # As a stream, whose members are read in their order and never written anywhere.
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            name = PurePosixPath(member.name).name
            if name not in _WANTED or not member.isreg():
                continue
            if name in seen:
                raise DataError(f"{source} holds two files called {name}; {_ADVICE}")
            seen.add(name)
            yield _File(name, source / name, member.size, partial(_unpacked, archive, member))


def _unpacked(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    file = archive.extractfile(member)
    assert file is not None  # only folders and the like have no content
    return io.BytesIO(file.read())


class _Limited:
    """A stream that ends where no archive of CIFAR's is as long: a few bytes can unpack to gigabytes."""

    def __init__(self, source: Path, stream: BinaryIO | gzip.GzipFile) -> None:
        self._source = source
        self._stream = stream
        self._left = _MOST_BYTES

    def read(self, count: int) -> bytes:
        content = self._stream.read(count)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"{self._source} unpacks to more than any archive of CIFAR; {_ADVICE}")
        return content


def _unreadable(where: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{where} cannot be read ({error.strerror})")
    return DataError(f"{where} is damaged, cut short or no archive ({error}); {_ADVICE}")
