"""Follows the opcodes of a pickle without running anything.

``pickletools`` splits the file into opcodes, and the machine follows the few that arrays need. It knows five
names (numpy's array and type, and what fills them), each of which stands for a few checked lines here; it
cannot import, call or set an attribute of anything else. That is stricter than a ``pickle.Unpickler`` with
an allow-list: the standard one also lets a short file claim gigabytes (a memo index, a length), hash a tuple
nested deep enough to overflow the stack, or change the objects that it was allowed to see.
"""

import enum
import math
import pickletools
from typing import BinaryIO

import numpy as np

from hubtune.text import escaped

# numpy 1 has no more; no tensor comes near it.
_MOST_DIMENSIONS = 32

# The names that a pickle of arrays may ask for; on the machine's stack they are only markers.
_Known = enum.Enum("_Known", ["NDARRAY", "DTYPE", "RECONSTRUCT", "FROMBUFFER", "ENCODE"])
_KNOWN_NAMES = {
    "numpy ndarray": _Known.NDARRAY,
    "numpy dtype": _Known.DTYPE,
    "numpy.core.multiarray _reconstruct": _Known.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Known.RECONSTRUCT,
    "numpy.core.numeric _frombuffer": _Known.FROMBUFFER,
    "numpy._core.numeric _frombuffer": _Known.FROMBUFFER,
    "_codecs encode": _Known.ENCODE,
}

# bfloat16 has no type of its own in numpy: Paddle writes it as u2.
_DTYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2"})

_PUSH_ARGUMENT = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT BINSTRING SHORT_BINSTRING "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLE_LENGTH = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})


class RefusedError(Exception):
    """The file asks for something that arrays never need."""


class PickledArray:
    """An array of the file: made empty by one opcode, filled by a later one."""

    def __init__(self, filled: np.ndarray | None = None) -> None:
        self.filled = filled


class _BoundedFile:
    """A file for ``pickletools`` that never reads more than there is.

    A plain file allocates memory for the requested length, and a few bytes can request terabytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.readline = file.readline
        self.tell = file.tell
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))


class PickleMachine:
    """Follows the opcodes of a pickle on a stack that holds plain values and arrays, and nothing else.

    Raises ``ValueError`` for content that no writer produces, ``RefusedError`` for valid pickles that are not
    arrays or plain values.
    """

    def __init__(self, size: int, most_opcodes: int) -> None:
        self._size = size
        self._most_opcodes = most_opcodes
        # Each byte of the file may be used once as a text's encoding and once as an array's content.
        self._bytes_left = 2 * size
        self._stack: list[object] = []
        self._outer: list[list[object]] = []  # the stacks below each MARK
        self._memo: dict[object, object] = {}

    def run(self, file: BinaryIO) -> object:
        """Return the pickled value; the file is then positioned after the last opcode."""
        # Typeshed wants a whole file; read, readline and tell are all that genops calls.
        opcodes = pickletools.genops(_BoundedFile(file, self._size))  # type: ignore[arg-type]
        for count, (opcode, argument, _) in enumerate(opcodes):
            if count >= self._most_opcodes:
                raise RefusedError(f"it has more than {self._most_opcodes:,} instructions")
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        return self._pop()

    def _step(self, name: str, argument: object) -> None:
        if name in _PUSH_ARGUMENT:
            self._stack.append(argument)
        elif name in _GET:
            if argument not in self._memo:
                raise ValueError("it refers to a value that it does not hold")
            self._stack.append(self._memo[argument])
        elif name in _PUT:
            self._memo[argument] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in _TUPLE_LENGTH:
            items = [self._pop() for _ in range(_TUPLE_LENGTH[name])]
            self._stack.append(tuple(reversed(items)))
        elif name in _PUSH_CONSTANT:
            self._stack.append(_PUSH_CONSTANT[name])
        elif name == "MARK":
            self._outer.append(self._stack)
            self._stack = []
        elif name in ("TUPLE", "LIST"):
            values = self._pop_to_mark()
            self._stack.append(tuple(values) if name == "TUPLE" else values)
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in ("APPEND", "APPENDS"):
            values = [self._pop()] if name == "APPEND" else self._pop_to_mark()
            target = self._top()
            if not isinstance(target, list):
                raise ValueError("it appends to what is not a list")
            target.extend(values)
        elif name == "DICT":
            values = self._pop_to_mark()
            self._stack.append({})
            self._set_items(values)
        elif name == "SETITEM":
            value, key = self._pop(), self._pop()
            self._set_items([key, value])
        elif name == "SETITEMS":
            self._set_items(self._pop_to_mark())
        elif name in ("GLOBAL", "INST"):
            self._name(str(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = self._pop(), self._pop()
            if not (isinstance(module, str) and isinstance(attribute, str)):
                raise RefusedError("it asks for a name that is not text")
            self._name(f"{module} {attribute}")
        elif name == "REDUCE":
            arguments = self._pop()
            self._stack.append(self._reduce(self._pop(), arguments))
        elif name == "BUILD":
            state = self._pop()
            self._build(self._top(), state)
        elif name == "PROTO":
            if not (isinstance(argument, int) and argument <= 5):
                raise ValueError(f"it is a pickle of the unknown version {argument}")
        elif name != "FRAME":  # frames only help to read ahead
            raise RefusedError(f"it uses the pickle instruction {name}, which arrays never need")

    def _top(self) -> object:
        if not self._stack:
            raise ValueError("its instructions do not fit together")
        return self._stack[-1]

    def _pop(self) -> object:
        top = self._top()
        self._stack.pop()
        return top

    def _pop_to_mark(self) -> list[object]:
        if not self._outer:
            raise ValueError("its instructions do not fit together")
        values, self._stack = self._stack, self._outer.pop()
        return values

    def _set_items(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(values) % 2:
            raise ValueError("its instructions do not fit together")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Python 3 can write names that Python 2 wrote as text as bytes.
            if isinstance(key, bytes):
                self._spend(len(key))
                key = key.decode("latin1")
            # Only text: the hash of a nested tuple can take forever, or overflow the stack.
            if not isinstance(key, str):
                raise RefusedError(f"it uses {describe_kind(key)} as the name of an entry")
            target[key] = value

    def _name(self, name: str) -> None:
        known = _KNOWN_NAMES.get(name)
        if known is None:
            raise RefusedError(f"it asks for {quote(name.replace(' ', '.', 1))}, which arrays never need")
        self._stack.append(known)

    def _reduce(self, function: object, arguments: object) -> object:
        match function, arguments:
            case _Known.DTYPE, (str(code), _, _):
                if code not in _DTYPES:
                    raise RefusedError(f"it holds an array of the type {quote(code)}, not of plain numbers")
                return np.dtype(f"<{code}")
            case _Known.RECONSTRUCT, (_Known.NDARRAY, (0,), b"b" | "b"):
                return PickledArray()
            case _Known.FROMBUFFER, (data, dtype, shape, "C" | "F" as order):
                return PickledArray(self._array(data, dtype, shape, order))
            case _Known.ENCODE, (str(text), "latin1"):
                return self._encode(text)
            case _Known(), _:
                raise RefusedError(f"it calls {function.name.lower()} with arguments that no array has")
        raise RefusedError(f"it calls {describe_kind(function)}")

    def _build(self, target: object, state: object) -> None:
        match target, state:
            case np.dtype(), (_, "<" | "|", None, None, None, _, _, _):
                return
            case PickledArray(filled=None), (_, shape, dtype, bool() | 0 | 1 as fortran, data):
                target.filled = self._array(data, dtype, shape, "F" if fortran else "C")
            case _:
                raise RefusedError(f"it gives {describe_kind(target)} a state that no array has")

    def _array(self, data: object, dtype: object, shape: object, order: str) -> np.ndarray:
        if isinstance(data, str):  # as Python 2 wrote it
            data = self._encode(data)
        if not isinstance(dtype, np.dtype) or not isinstance(data, bytes | bytearray):
            raise RefusedError("it holds an array of something else than plain numbers")
        if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
            raise RefusedError("it holds an array whose shape is none")
        if not all(isinstance(side, int) and 0 <= side <= self._size for side in shape):
            raise RefusedError("it holds an array whose shape claims more than the file has")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError("it holds an array whose shape and content differ in size")
        self._spend(len(data))
        return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")

    def _encode(self, text: str) -> bytes:
        self._spend(len(text))
        return text.encode("latin1")

    def _spend(self, count: int) -> None:
        # A memo can use the same bytes any number of times.
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise RefusedError("its arrays claim more than the file has")


def foreign_name(file: BinaryIO, size: int, most_opcodes: int) -> str | None:
    """Return the first name in a pickle that arrays never need; ``None`` if there is none."""
    file.seek(0)
    memo: dict[object, object] = {}
    texts: list[object] = ["", ""]  # the newest last: what STACK_GLOBAL joins
    count = 0
    try:
        while file.tell() < size:  # one pickle may follow another
            for opcode, argument, _ in pickletools.genops(_BoundedFile(file, size)):  # type: ignore[arg-type]
                count += 1
                if count > most_opcodes:
                    return None
                name = None
                if opcode.name in ("GLOBAL", "INST"):
                    name = str(argument)
                elif opcode.name == "STACK_GLOBAL":
                    name = f"{texts[-2]} {texts[-1]}" if all(texts[-2:]) else None
                elif opcode.name in _GET:
                    texts.append(memo.get(argument, ""))
                elif opcode.name in _PUT or opcode.name == "MEMOIZE":
                    memo[len(memo) if opcode.name == "MEMOIZE" else argument] = texts[-1]
                elif isinstance(argument, str):
                    texts.append(argument)
                if name is not None and name not in _KNOWN_NAMES:
                    return name.replace(" ", ".", 1)
                del texts[:-2]
    except (ValueError, DeprecationWarning):
        return None
    return None


def quote(text: str) -> str:
    """Return a name from a file for a message: short, and without control characters."""
    return f"'{escaped(clipped(text))}'"


def clipped(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


def describe_kind(value: object) -> str:
    """Return what a value on the machine's stack is, for a message."""
    kinds = {
        "a part of an array": PickledArray | np.dtype | _Known,
        "nothing": type(None),
        "a number": bool | int | float,
        "text": str | bytes | bytearray,
        "a dictionary": dict,
    }
    return next((words for words, kind in kinds.items() if isinstance(value, kind)), "a list")
