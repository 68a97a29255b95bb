"""Reads the wire format of Protocol Buffers, without schemas: the numbered fields of one message.

The format is described at https://protobuf.dev/programming-guides/encoding/. A message in a message is bytes
here, which the caller reads if it wants to: nothing is read by recursion, however deep a file nests.
"""

from collections.abc import Iterator

_MOST_VARINT_BYTES = 10
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types
_FIXED_SIZES = {_FIXED_64: 8, _FIXED_32: 4}


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field: an unsigned integer for a varint, else bytes.

    Raises:
        ValueError: the message is cut short, or holds what the format does not have.

    Example:
        >>> list(read_fields(bytes.fromhex("08 05 12 02 68 69")))
        [(1, 5), (2, b'hi')]
    """
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _read_varint(message, position)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"a field of the unknown type {kind}")
        if size > len(message) - position:
            raise ValueError("a field is longer than the message that holds it")
        yield number, message[position : position + size]
        position += size


def read_varints(packed: bytes) -> list[int]:
    """Return the integers of a packed repeated field.

    Raises:
        ValueError: the field is cut short.
    """
    values, position = [], 0
    while position < len(packed):
        value, position = _read_varint(packed, position)
        values.append(value)
    return values


def messages(message: bytes, number: int) -> list[bytes]:
    """Return all values of a field of bytes, such as messages and texts.

    Raises:
        ValueError: as for :func:`read_fields`.
    """
    return [value for field, value in read_fields(message) if field == number and isinstance(value, bytes)]


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return an integer of up to 64 bits at a position, and the position behind it."""
    value = 0
    for number, byte in enumerate(data[position : position + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            return value & (2**64 - 1), position + number + 1
    raise ValueError("an integer is cut short or too long")
