"""Text that a person or another program wrote: lists, tables and names, in UTF-8 or a proved encoding."""

import codecs
import os
import stat
from collections.abc import Callable
from pathlib import Path

from hubtune.errors import DataError, UsageError
from hubtune.text import escaped, format_bytes

MAX_TEXT_BYTES = 512 << 20  # a list of five million lines

# What editors and spreadsheets of a Chinese or a western Windows write.
_GUESSES = ("gbk", "cp1252")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Codecs that read any bytes, or escapes in place of text.
_NO_ENCODINGS = frozenset({"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined", "utf_7"})


def check_encoding(name: str) -> str:
    """Return the name of an encoding if Python can read text in it.

    Raises:
        UsageError: if there is no such encoding.
    """
    try:
        found = codecs.lookup(name).name.replace("-", "_")
        "".encode(name)  # raises LookupError for codecs that do not encode text
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"There is no encoding {name!r}: write utf-8, gbk, big5, shift_jis, cp1252, …"
        ) from error
    if found in _NO_ENCODINGS:
        raise UsageError(f"{name!r} is not an encoding of text files: write utf-8, gbk, cp1252, …")
    return name


def read_text(
    file: Path,
    *,
    encoding: str | None = None,
    is_right: Callable[[str], bool] | None = None,
    limit: int = MAX_TEXT_BYTES,
) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, in UTF-16 with one, or as requested.

    Bytes that are not UTF-8 are read in another encoding only if ``is_right`` accepts that reading and no
    other one. Nothing in such a file says which encoding it has, and a wrong one gives other words.

    Args:
        encoding: the encoding, if a person named it.
        is_right: whether a reading agrees with the facts, for example with the names of files on the disk.
            Bytes kept by ``surrogateescape``, as Python names such files, are a reading as well.
        limit: the largest size in bytes.

    Raises:
        FileNotFoundError, OSError: if the file is missing or cannot be read.
        DataError: if it is not a regular file, too large, or in an unknown encoding.
    """
    content = read_regular_file(file, limit)
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decode(file, content.removeprefix(mark), name)
    if encoding is not None:
        return _decode(file, content, encoding)
    place = None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start
    else:
        # A few Chinese words in GBK are valid UTF-8 as well.
        if content.isascii() or is_right is None or is_right(text):
            return text
    readings = _readings(content)
    if is_right is not None:
        kept = content.decode("utf-8", "surrogateescape")
        right = {reading for reading in [*readings.values(), kept] if is_right(reading)}
        if len(right) == 1:
            return right.pop()
    if place is None:
        return text
    line = content.count(b"\n", 0, place)
    words = {name: escaped(text.split("\n")[line].strip()[:40]) for name, text in readings.items()}
    shown = ", ".join(f"'{word}' in {name}" for name, word in words.items())
    known = f" It reads {shown}." if shown else ""
    options = " or ".join(f"--encoding {name}" for name in readings) or "--encoding NAME"
    raise DataError(
        f"{file} is not plain text in UTF-8 (line {line + 1}).{known} Save it as UTF-8, or name "
        f"its encoding: {options}"
    )


def read_regular_file(file: Path, limit: int) -> bytes:
    """Return the content of a file that is neither a pipe nor a device, and not larger than ``limit`` bytes.

    Raises:
        FileNotFoundError, OSError: if it is missing or cannot be read.
        DataError: if it is something else, or too large.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    with os.fdopen(
        os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise DataError(f"{file} is a pipe or a device: give a file")
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise DataError(
            f"{file} is larger than {format_bytes(limit)}: this is not what it should be, or divide it"
        )
    return content


def _decode(file: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}:{line}: this is not text in {encoding}: save the file as UTF-8") from error


def _readings(content: bytes) -> dict[str, str]:
    """Return encoding → text for the usual encodings that the bytes may be in."""
    readings = {}
    for name in _GUESSES:
        try:
            readings[name] = content.decode(name)
        except UnicodeDecodeError:
            continue
    return readings
