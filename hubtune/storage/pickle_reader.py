"""Reads arrays and plain values from pickles without running anything that is in the file.

Unpickling runs what the file says; :class:`~hubtune.storage.pickle_machine.PickleMachine` does not. Besides
weights it reads data sets that were published as pickles of arrays, such as CIFAR's.
"""

from typing import BinaryIO

import numpy as np

from hubtune.storage.pickle_machine import (
    PickledArray,
    PickleMachine,
    RefusedError,
    clipped,
    describe_kind,
    foreign_name,
    quote,
)

# paddle.save adds a table of the parameters' internal names, which nobody needs.
_NAME_TABLE = "StructuredToParameterName@@"


def read_tensor_pickle(
    file: BinaryIO, size: int, *, most_opcodes: int, most_tensors: int
) -> dict[str, np.ndarray]:
    """Return the arrays of a pickled dictionary by name, as ``paddle.save`` writes it.

    The file must be seekable; the pickle fills all of its ``size`` bytes.

    Raises:
        RefusedError: it asks for something that arrays never need, or holds something else.
        ValueError: it is damaged. ``DeprecationWarning`` means the same, where warnings are errors:
            pickletools warns of odd escapes in a text.
        OSError: it cannot be read.
    """
    content = _follow(file, size, most_opcodes)
    if not isinstance(content, dict):
        raise RefusedError(f"it holds {describe_kind(content)} instead of tensors by name")
    if len(content) > most_tensors:
        raise RefusedError(f"it holds more than {most_tensors:,} entries")
    state = {}
    for name, value in content.items():
        if name == _NAME_TABLE:
            continue
        if not isinstance(value, PickledArray) or value.filled is None:
            raise RefusedError(f"its entry {quote(name)} is {describe_kind(value)}, not a tensor")
        state[name] = value.filled
    return state


def read_plain_pickle(file: BinaryIO, size: int, *, most_opcodes: int) -> dict[str, object]:
    """Return the content of a pickled dictionary of arrays, texts, numbers and lists.

    Memory is at most a few times the size. Arrays are NumPy's; texts of Python 2 are decoded as latin-1. The
    arguments are those of :func:`read_tensor_pickle`; a number in a list takes one instruction, a text two.

    Raises:
        ValueError: it is damaged, not a dictionary, or asks for something that plain values never need; the
            message continues a sentence that starts with the file's name.
        OSError: it cannot be read.
    """
    try:
        content = _follow(file, size, most_opcodes)
    except RefusedError as error:
        raise ValueError(f"is refused ({error})") from None
    except (ValueError, DeprecationWarning) as error:
        raise ValueError(f"is damaged ({clipped(str(error))})") from None
    if not isinstance(content, dict):
        raise ValueError(f"holds {describe_kind(content)} instead of a dictionary")
    return {
        name: value.filled if isinstance(value, PickledArray) else value for name, value in content.items()
    }


def _follow(file: BinaryIO, size: int, most_opcodes: int) -> object:
    """Return the value of a pickle that fills the whole file."""
    try:
        content = PickleMachine(size, most_opcodes).run(file)
        if file.tell() != size:
            raise ValueError(f"{size - file.tell():,} bytes follow the end of its content")
        return content
    except (ValueError, DeprecationWarning, RefusedError):
        # The purpose of the file says more than the first thing that was wrong with it.
        name = foreign_name(file, size, most_opcodes)
        if name is None:
            raise
        raise RefusedError(f"it asks for {quote(name)}, which arrays never need") from None
