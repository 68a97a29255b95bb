"""Formats text for people: escapes, numbers with nouns, sizes, durations and values in messages."""

import math
import os
import re
import shlex
import unicodedata
from typing import Any

_LIMIT = 60
# Parts of names that Python calls not printable: joiners of emoji and scripts, and the wide Chinese space.
_PARTS_OF_NAMES = "\u200c\u200d\u3000"
# scheme:/ is what a path makes of an address; punctuation after one is not a part of it. The numbers keep the
# search quick in a long text.
_ADDRESS = re.compile(
    r"""([a-z][a-z0-9+.-]{1,20}:/+)(\S*@)?([^\s?#]*)([?#]\S*?(?=['")\],.:;…]{0,5}(?:\s|$)))?""", re.IGNORECASE
)
# All but tab and line ends, which a CSV file quotes; and backslashes that would be read as one of these.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\\(?=x[0-9a-f]{2})")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NOT_IN_FILE_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
# Names that Windows keeps for devices.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
# What stands on one line: a character that is as wide as two, or a word, with the punctuation at its ends.
_PIECE = re.compile(
    r"[（“《【]*(?:[\u2e80-\u9fff\uac00-\ud7af\uff10-\uff5a]|[^\s\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef（“《【]+)"
    r"[，。、；：？！）”》】…]*\s*|\S\s*"
)
_WINDOWS = os.name == "nt"
_SAFE_ON_WINDOWS = re.compile(r"[\w@+=:,./\\-]+")
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?:([kmgt])(i)?b?|b)?", re.IGNORECASE)


def escaped(text: str) -> str:
    """Return the text :func:`without_keys`, and with all that a terminal could obey as escapes."""
    shown = without_keys(text)
    return "".join(
        c if c.isprintable() or c in _PARTS_OF_NAMES else c.encode("unicode_escape").decode("ascii")
        for c in shown
    )


def escaped_lines(text: str) -> str:
    """Return a message :func:`escaped`, with its own line breaks."""
    return "\n".join(map(escaped, text.split("\n")))


def without_keys(text: str) -> str:
    """Return the text with its addresses without what may be a key: user, query and fragment."""
    return _ADDRESS.sub(lambda m: f"{m[1]}{'…@' * bool(m[2])}{m[3]}{'?…' * bool(m[4])}", text)


def escape_cell(text: str) -> str:
    """Return text for a cell of a CSV file; :func:`unescape_cell` undoes it.

    A spreadsheet does not take it for a formula, and a terminal finds nothing to obey in it.
    """
    cell = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescape_cell(cell: str) -> str:
    """Return the text of a cell."""
    text = cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


def safe_file_name(text: str) -> str:
    """Return a name for a file or folder, of text, that every system accepts; ``_`` if nothing is left."""
    valid = text.encode("utf-8", errors="replace").decode()
    encoded = _NOT_IN_FILE_NAMES.sub("_", valid).encode()[:120]
    name = encoded.decode("utf-8", errors="ignore").strip(" .") or "_"
    return f"_{name}" if _DEVICE.fullmatch(name) else name


def shell_quoted(text: str) -> str:
    """Return a text as a word for a shell of this system; on Windows, for PowerShell and the prompt alike."""
    if not _WINDOWS:
        return shlex.quote(text)
    return text if _SAFE_ON_WINDOWS.fullmatch(text) else f'"{text}"'


def unset_variable(*names: str) -> str:
    """Return the command that removes environment variables."""
    if _WINDOWS:
        return " & ".join(f"set {name}=" for name in names)
    return f"unset {' '.join(names)}"


def set_variable(name: str, value: str) -> str:
    """Return the command that sets an environment variable for what is run afterwards."""
    return f"set {name}={value}" if _WINDOWS else f"export {name}={value}"


def shortened(text: str) -> str:
    """Return the text escaped, and shortened to 60 characters."""
    return escaped(text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…")


def describe_value(value: Any) -> str:
    """Describe a value, as the end of a sentence."""
    if value is None:
        return "null (nothing)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{shortened(value)}'"
    if isinstance(value, int) and value.bit_length() > 128:  # Python refuses to print thousands of digits
        return "a number of very many digits"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a section of keys"
    return f"an object of the type {type(value).__name__}"


def wrapped(text: str, width: int) -> list[str]:
    """Return a paragraph in lines of at most ``width`` columns of a terminal, where Chinese takes two each.

    Chinese may be broken between any two characters, but not before punctuation that closes, or after what
    opens.
    """
    lines, used = [""], 0
    for piece in _PIECE.findall(text):
        if used + columns(piece.rstrip()) > width and lines[-1].strip():
            lines.append("")
            used = 0
            piece = piece.lstrip()
        lines[-1] += piece
        used += columns(piece)
    return [line.rstrip() for line in lines]


def columns(text: str) -> int:
    """Return the columns of a terminal that a text takes, two for each Chinese character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def format_bytes(count: int) -> str:
    """Return a number of bytes with a unit: ``"1.5 GB"``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}".replace(".0 ", " ")
    return f"{count} bytes"


def parse_bytes(text: str) -> int:
    """Return the bytes of a size as people write it: ``10GB``, ``1.5 GiB``, ``500 MB``, ``1000``.

    Raises:
        ValueError: it is not a size.
    """
    parts = _SIZE.fullmatch(text.strip())
    if parts is None:
        raise ValueError(f"{text!r} is not a size: write 10GB, 500MB or 1.5GiB")
    number, unit, binary = parts.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** " kmgt".index((unit or " ").lower()))


def format_duration(seconds: float) -> str:
    """Return a duration with a unit."""
    if seconds < 100:
        return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def format_share(share: float | None) -> str:
    """Return a share as a percentage, ``80.8 %``; one that does not exist, ``None`` or NaN, as a dash."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 file``, ``1,200 files``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def first_few(names: list[str], most: int = 3) -> str:
    """Return the first few of many names, and the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
