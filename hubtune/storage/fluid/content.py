"""Reads the tensors in the files of a folder, of a tar archive, or in one file."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from hubtune.errors import ModelError
from hubtune.storage.fluid.files import GZIP, is_tar, read_files
from hubtune.storage.fluid.program import DESCRIPTION_FILE, PROGRAM_FILE
from hubtune.storage.fluid.tensor import MAGIC, Readable, read_tensor
from hubtune.storage.pickle_machine import clipped, quote
from hubtune.storage.regular_file import MOST_DOCUMENT_BYTES, open_regular, read_regular

_START_BYTES = 512
_DOCUMENTS = (PROGRAM_FILE, DESCRIPTION_FILE)


@dataclass
class Content:
    """What a path holds, by the names of its files.

    Attributes:
        tensors: those in each file that starts as Paddle's tensors do.
        documents: programs and descriptions of modules.
        others: names of all other files.
    """

    tensors: dict[str, list[np.ndarray]] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def is_archive(path: Path) -> bool:
    """Return whether a file is a tar archive or gzipped.

    Raises:
        OSError: it cannot be read.
    """
    start = _start_of(path)
    return is_tar(start) or start.startswith(GZIP)


def is_tensors(path: Path) -> bool:
    """Return whether a file starts as Paddle's tensors do.

    Raises:
        OSError: it cannot be read.
    """
    return _start_of(path).startswith(MAGIC)


def read_tensor_files(path: Path, *, excluded: re.Pattern[str]) -> Content:
    """Read a folder, an archive, or a file of tensors with the program beside it.

    Files whose names match ``excluded`` are not read.

    Raises:
        ModelError: it cannot be read, or is damaged.
    """
    content = Content()
    try:
        if path.is_dir() or is_archive(path):
            for name, size, stream in read_files(path):
                if not excluded.fullmatch(name):
                    _read_file(content, name, size, stream)
            return content
        with open_regular(path) as file:
            _read_file(content, path.name, path.stat().st_size, file)
        program = path.with_name(PROGRAM_FILE)
        if program.is_file():
            content.documents[PROGRAM_FILE] = read_regular(program)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(
            f"{path} cannot be used as weights: {error}. Fetch it again, or from another source."
        ) from error
    return content


def _start_of(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_START_BYTES)


def _read_file(content: Content, name: str, size: int, stream: Readable) -> None:
    if PurePosixPath(name).name in _DOCUMENTS:
        if size > MOST_DOCUMENT_BYTES:
            raise ValueError(f"it has {size:,} bytes, more than any program")
        content.documents[name] = stream.read(size)
        return
    start = stream.read(min(size, len(MAGIC)))
    if start != MAGIC:
        content.others.append(name)
        return
    resumed = _Resumed(start, stream)
    tensors = content.tensors[name] = []
    try:
        while size:
            tensor, size = read_tensor(resumed, size)
            tensors.append(tensor)
    except ValueError as error:
        raise ValueError(f"the parameter {quote(name)} is damaged ({clipped(str(error))})") from error


class _Resumed:
    """A stream whose first bytes have been read already."""

    def __init__(self, start: bytes, stream: Readable) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int) -> bytes:
        start, self._start = self._start[:size], self._start[size:]
        return start + self._stream.read(size - len(start))
