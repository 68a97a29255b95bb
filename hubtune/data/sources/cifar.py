"""CIFAR-10 and CIFAR-100 as they are published → PNG files, a folder per class.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html: a few pickles of Python 2, each a dictionary with an array
``data`` (uint8, ``[N, 3072]``, a row per image: 32 rows of 32 values of red, then green, then blue) and a
list of labels; the class names are in a file of their own. PNG keeps every value.
"""

import hashlib
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hubtune.data.label_names import labels_text
from hubtune.data.list_files import LABEL_LIST, TEST_LIST, TRAIN_LIST, encode, list_text
from hubtune.data.listing import ImageEntry, Progress, name_key, no_progress
from hubtune.data.sources.archive import unpack
from hubtune.errors import DataError
from hubtune.storage.cache_folder import build_once, source_folder
from hubtune.storage.pickle_reader import read_plain_pickle
from hubtune.storage.regular_file import read_regular
from hubtune.text import escaped, plural

_PIXELS = 3 * 32 * 32
# The largest file, the training images of CIFAR-100, has 155 MB.
_MOST_BYTES = 2**28
# Python 2 wrote one operation per value; the largest file has 200,000.
_MOST_OPCODES = 1_000_000
_ADVICE = "get it again from https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)"


class _Kind(NamedTuple):
    """The file names of a data set, and the keys of their content; the last batch is the test list."""

    name: str
    meta: str
    names_key: str
    labels_key: str
    batches: tuple[str, ...]


_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_KINDS = (
    _Kind("CIFAR-10", "batches.meta", "label_names", "labels", _BATCHES),
    _Kind("CIFAR-100", "meta", "fine_label_names", "fine_labels", ("train", "test")),
)


class CifarImages(NamedTuple):
    """The images as PNG files by class and name, which starts from the folder ``train`` or ``test``."""

    name: str
    classes: list[str]
    train: list[ImageEntry]
    test: list[ImageEntry]


def is_cifar(names: Collection[str]) -> bool:
    """Whether the names of the files in a folder are those of CIFAR: its meta file and a batch."""
    return any(kind.meta in names and kind.batches[0] in names for kind in _KINDS)


def cifar_folder(source: Path, progress: Progress = no_progress) -> Path:
    """Return the folder with CIFAR's files; an archive is unpacked into the cache, as by :func:`unpack`."""
    if source.is_dir():
        return source
    if not source.exists():
        raise DataError(f"There is no {source}: give CIFAR's folder, or its .tar.gz")
    folder = unpack(source, progress).folder
    metas = {kind.meta for kind in _KINDS}
    return next((path.parent for path in sorted(folder.rglob("*")) if path.name in metas), folder)


def cached_cifar(folder: Path, progress: Progress = no_progress) -> Path:
    """Extract the images into the cache, once, and return the folder with their lists.

    Training images that are byte-equal to a test image are in no list. Errors are those of :func:`extract`,
    and a MachineError if the cache cannot be written.
    """
    files = [folder / name for kind in _KINDS for name in (kind.meta, kind.batches[0])]
    stats = [(file.name, file.stat()) for file in files if file.exists()]
    identity = [str(folder.resolve()), *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)]

    def build(target: Path) -> None:
        images = extract(folder, target / "files", progress)
        tested = {image.sha256 for image in images.test}
        train = [image for image in images.train if image.sha256 not in tested]
        for file, part, entries in ((TRAIN_LIST, "train", train), (TEST_LIST, "test", images.test)):
            lines = list_text((f"{part}/{image.name}", image.label) for image in entries)
            (target / "files" / file).write_bytes(encode(lines))
        (target / "files" / LABEL_LIST).write_bytes(encode(labels_text(images.classes)))

    return build_once(source_folder("cifar", folder.name, "\0".join(identity)), build) / "files"


def extract(source: Path, folder: Path, progress: Progress = no_progress) -> CifarImages:
    """Write the images below a folder, as ``train/<class>/<batch>_<row>.png`` and ``test/<class>/…``.

    No more than one batch is in memory.

    Raises:
        DataError: if a file is missing, damaged or not one of CIFAR's.
        OSError: if the folder cannot be written.
    """
    kind, classes = _identify(source)
    lists: dict[str, list[ImageEntry]] = {"train": [], "test": []}
    for done, batch in enumerate(kind.batches, 1):
        part = "test" if batch == kind.batches[-1] else "train"
        lists[part] += _write_batch(source / batch, kind, classes, folder / part)
        progress("writing pictures, by batch", done, len(kind.batches))
    if missing := {*range(len(classes))} - {image.label for image in lists["train"]}:
        raise DataError(f"{source} holds no training picture of class {classes[min(missing)]!r}; {_ADVICE}")
    for images in lists.values():
        images.sort(key=lambda image: (image.label, name_key(image.name)))
    return CifarImages(kind.name, classes, **lists)


def _identify(source: Path) -> tuple[_Kind, list[str]]:
    kinds = [kind for kind in _KINDS if (source / kind.meta).is_file()]
    if len(kinds) != 1:
        what = "the names of two data sets" if kinds else "no batches.meta (CIFAR-10) or meta (CIFAR-100)"
        raise DataError(
            f"{source} holds {what}: give the folder cifar-10-batches-py or cifar-100-python, or its .tar.gz"
        )
    [kind] = kinds
    missing = [name for name in kind.batches if not (source / name).is_file()]
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)} of {kind.name}: {_ADVICE}")
    meta = source / kind.meta
    names = _read(meta).get(kind.names_key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{meta} has no list {kind.names_key!r}: it is not of {kind.name}; {_ADVICE}")
    # They become folders.
    if strange := [name for name in names if not re.fullmatch(r"(?a)(?=.{1,100}$)\w([\w -]*\w)?", name)]:
        raise DataError(
            f"{meta}: the class name '{escaped(strange[0][:100])}' cannot be a folder's; {_ADVICE}"
        )
    if len({name.casefold() for name in names}) < max(2, len(names)):
        raise DataError(f"{meta} does not name two or more different classes; {_ADVICE}")
    return kind, names


def _write_batch(file: Path, kind: _Kind, classes: list[str], root: Path) -> list[ImageEntry]:
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
    pixels, labels = _images(file, kind, classes)
    entries = []
    for row, (values, label) in enumerate(zip(pixels, labels, strict=True)):
        name = f"{classes[label]}/{file.name}_{row:05}.png"
        png = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0))).save(png, "PNG")
        (root / name).write_bytes(png.getvalue())
        entries.append(ImageEntry(root / name, label, name, hashlib.sha256(png.getvalue()).hexdigest()))
    return entries


def _images(file: Path, kind: _Kind, classes: list[str]) -> tuple[np.ndarray, list[int]]:
    """Return the images of a batch, ``[N, 3, 32, 32]``, and their labels."""
    content = _read(file)
    pixels, labels = content.get("data"), content.get(kind.labels_key)
    problem = ""
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        problem = f"has no {kind.labels_key if isinstance(pixels, np.ndarray) else 'data'!r}"
    elif pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXELS or not len(pixels):
        shape = list(pixels.shape)[:8]
        problem = f"has data of {pixels.dtype} and shape {shape} in place of uint8 and [N, {_PIXELS}]"
    elif len(labels) != len(pixels):
        problem = f"has {plural(len(pixels), 'picture')}, but {len(labels):,} labels"
    elif strange := [label for label in labels if type(label) is not int or not 0 <= label < len(classes)]:
        problem = f"has the label {escaped(repr(strange[0]))}, which is not one of 0 to {len(classes) - 1}"
    if problem:
        raise DataError(f"{file} {problem}: it is not a batch of {kind.name}; {_ADVICE}")
    assert isinstance(pixels, np.ndarray) and isinstance(labels, list)
    return pixels.reshape(-1, 3, 32, 32), labels


def _read(file: Path) -> dict[str, object]:
    try:
        content = read_regular(file, _MOST_BYTES)
        return read_plain_pickle(io.BytesIO(content), len(content), most_opcodes=_MOST_OPCODES)
    except ValueError as error:
        raise DataError(f"{file} {error}; {_ADVICE}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from error
