"""How values from a recipe appear in a message: short, on one line, and with nothing invisible in it."""

from typing import Any

_LIMIT = 60


def escaped(text: str) -> str:
    """Return the text with everything that a terminal would not show as itself (line breaks, control and
    direction characters, halves of characters) written as an escape.

    Example:
        >>> escaped("a\\x1b[2J")
        'a\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def short(text: str) -> str:
    """Return the text escaped, and cut where it is long."""
    return escaped(text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…")


def found(value: Any) -> str:
    """Say what a value is, as the end of a sentence.

    Example:
        >>> found("three"), found(3), found(None)
        ("the text 'three'", 'the number 3', 'null (nothing)')
    """
    if value is None:
        return "null (nothing)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{short(value)}'"
    if isinstance(value, int) and value.bit_length() > 128:  # Python refuses to print thousands of digits
        return "a number of very many digits"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a section of keys"
    return f"an object of the type {type(value).__name__}"
