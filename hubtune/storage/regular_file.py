"""Reads files from outside: a pipe, a device or a file without an end is refused, not waited for."""

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

MOST_LIST_BYTES = 2**28  # three million images
MOST_DOCUMENT_BYTES = 2**24

# Opening a pipe would wait for its writer, and a terminal could become that of the process.
_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def open_regular(path: Path) -> BufferedReader:
    """Open a file for its bytes; raises ``OSError`` for others than regular ones, too."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _FLAGS))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a device or a pipe, and must be a file", str(path))
    return file


def read_regular(path: Path, most: int = MOST_DOCUMENT_BYTES) -> bytes:
    """Read a file; raises ``OSError`` as :func:`open_regular`, or if it has more than ``most`` bytes."""
    with open_regular(path) as file:
        # Some files of the system have no end, and the size 0. Python takes the memory before it reads.
        room = min(most, 2 * os.fstat(file.fileno()).st_size + 2**20)
        content = file.read(room + 1) or b""
    if len(content) > room:
        raise OSError(errno.EFBIG, f"it has more than {room:,} bytes", str(path))
    return content


def read_json(path: Path, most: int = MOST_DOCUMENT_BYTES) -> Any:
    """Read JSON as :func:`read_regular`; raises ``ValueError`` if it is none."""
    try:
        return json.loads(read_regular(path, most))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
