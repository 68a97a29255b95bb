"""Text that a person or another program wrote: lists, tables and names, in UTF-8 or a proved encoding."""

import codecs
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hubtune.errors import DataError, UsageError
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular
from hubtune.text import escaped

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What Windows writes in China, the West, Taiwan, Japan, Korea and Russia.
_USUAL = ("gbk", "cp1252", "big5", "shift_jis", "euc_kr", "cp1251")
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


def read_encoded_text(
    file: Path,
    *,
    encoding: str | None = None,
    is_right: Callable[[str], bool] | None = None,
) -> str:
    """Read a text file in UTF-8, with or without a mark, in UTF-16 or UTF-32 with one, or as requested.

    Bytes that are not UTF-8 are read in another encoding only if ``is_right`` accepts that reading and no
    other one. Nothing in such a file says which encoding it has, and a wrong one gives other words.

    Args:
        encoding: the encoding, if a person named it.
        is_right: whether a reading agrees with the facts, for example with the names of files on the disk.
            Bytes escaped by ``surrogateescape``, as Python names such files, are a reading as well.

    Raises:
        OSError: if the file is missing, no regular file, too large, or cannot be read.
        DataError: if its encoding is unknown.
    """
    content = read_regular(file, MOST_LIST_BYTES)
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
        if "\0" in text:
            raise DataError(
                f"{file} is not plain text: it has zero bytes. If it is UTF-16: --encoding utf-16-le, or "
                "utf-16-be"
            )
        # A few Chinese words in GBK are valid UTF-8 as well.
        if content.isascii() or is_right is None or is_right(text):
            return text
    readings = likely_readings(content)
    if is_right is not None:
        as_named = content.decode("utf-8", "surrogateescape")
        right = {reading for reading in [*readings.values(), as_named] if is_right(reading)}
        if len(right) == 1:
            return right.pop()
    if place is None:
        return text
    line = content.count(b"\n", 0, place)
    known, options = question_of_encoding(
        {name: text.split("\n")[line].strip() for name, text in readings.items()}
    )
    raise DataError(
        f"{file} is not plain text in UTF-8 (line {line + 1}).{known} Save it as UTF-8, or name "
        f"its encoding: {options} (in Python, encoding=…)"
    )


def question_of_encoding(readings: Mapping[str, str]) -> tuple[str, str]:
    """Return a sentence with how bytes read in each encoding, if there is one, and the first options."""
    shown = ", ".join(f"'{escaped(text[:40])}' in {name}" for name, text in readings.items())
    options = " or ".join(f"--encoding {name}" for name in [*readings][:2]) or "--encoding NAME"
    options += ", …" * (len(readings) > 2)
    return (f" It reads {shown}." if shown else ""), options


def _decode(file: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}:{line}: this is not text in {encoding}: save the file as UTF-8") from error


def likely_readings(content: bytes, encodings: Sequence[str] = _USUAL) -> dict[str, str]:
    """Return encoding → text, for each encoding that can be read."""
    readings = {}
    for name in encodings:
        try:
            readings[name] = content.decode(name)
        except UnicodeDecodeError:
            continue
    return readings
