"""A quick look at a JPEG file, for lists of a million images: three reads, and no object of Pillow."""

import os
import stat

_FIRST_BYTES, _MOST_BYTES = 2**12, 2**16  # of the header: most are short, some hold a preview
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe would block
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, Huffman-coded (ITU-T T.81, table B.1)
_TABLES = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # tables, restart interval, metadata, comment
_SCAN = 0xDA
_MOST_PIXELS = 2**24


def is_plain_jpeg(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a JPEG of 8 bits in grey or colours, with an ordinary header and its last bytes.

    False says nothing: the file may be unusual, damaged or not there.
    """
    if not hasattr(os, "pread"):  # Windows
        return False
    try:
        file = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return False
        header = os.pread(file, _FIRST_BYTES, 0)
        ordinary = _is_ordinary(header)
        if ordinary is None and status.st_size > _FIRST_BYTES:
            ordinary = _is_ordinary(header + os.pread(file, _MOST_BYTES, _FIRST_BYTES))
        return bool(ordinary) and os.pread(file, 2, status.st_size - 2) == b"\xff\xd9"
    except OSError:
        return False
    finally:
        os.close(file)


def _is_ordinary(header: bytes) -> bool | None:
    """Whether the markers up to the first scan are ordinary; ``None`` if they go on behind these bytes."""
    if header[:3] != b"\xff\xd8\xff":
        return False
    place, has_frame, end = 2, False, len(header) - 12
    while place < end:
        marker, length = header[place + 1], header[place + 2] << 8 | header[place + 3]
        if header[place] != 0xFF or length < 2:
            return False
        if marker in _FRAMES:
            height = header[place + 5] << 8 | header[place + 6]
            width = header[place + 7] << 8 | header[place + 8]
            if header[place + 4] != 8 or header[place + 9] not in (1, 3):
                return False
            if has_frame or not 0 < width * height <= _MOST_PIXELS:
                return False
            has_frame = True
        elif marker == _SCAN:
            return has_frame
        elif marker not in _TABLES or header[place + 4 : place + 8] == b"MPF\0":  # several images in one
            return False
        place += 2 + length
    return None
