"""Weights from ``.safetensors`` and ``.pdparams`` files, without running anything that is in the file.

A ``.pdparams`` file is a pickle, and unpickling runs what the file says. So it is not unpickled here:
``pickletools`` splits it into opcodes, and a small machine of our own follows the few that weights need.
The machine knows five names (numpy's array and type, and what fills them), each of which stands for a few
checked lines in this file; it has no way to import, to call or to set an attribute of anything else. That is
stricter than a ``pickle.Unpickler`` with an allow-list: the standard one also lets a short file claim
gigabytes (a memo index, a length), hash a tuple nested deep enough to overflow the stack, or change the
objects that it was allowed to see. Data sets that were published as pickles of arrays, such as CIFAR's, are
read by the same machine.
"""

import enum
import math
import os
import pickletools
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open

from hubtune.errors import ModelError
from hubtune.storage.atomic import html_page

# A tensor takes about 30 opcodes: enough for 3,000 tensors, and read in about a quarter of a second.
_MOST_OPCODES = 100_000
_MOST_SAFETENSORS_HEADER = 8 * 2**20
# Ten times what the largest backbone has.
_MOST_TENSORS = 20_000
# numpy 1 has no more; no tensor comes near it.
_MOST_DIMENSIONS = 32

# paddle.save adds a table of the parameters' internal names, which no one needs.
_NAME_TABLE = "StructuredToParameterName@@"

_ADVICE = "Fetch the file again, or from another source."


class _Known(enum.Enum):
    """What a pickle of arrays may name; on the machine's stack these are mere markers."""

    NDARRAY = enum.auto()
    DTYPE = enum.auto()
    RECONSTRUCT = enum.auto()
    FROMBUFFER = enum.auto()
    ENCODE = enum.auto()


_KNOWN = {
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
_SAFETENSORS_DTYPES = frozenset({"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16"})

_PUSH_ARGUMENT = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT BINSTRING SHORT_BINSTRING "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLE_LENGTH = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})

# In the order of the checks; each with what a person would call it.
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive, perhaps PyTorch weights or a packed model"),
    (b"\x1f\x8b", "a gzip archive, which has to be unpacked first"),
    (b"\x89HDF", "an HDF5 file, perhaps Keras weights"),
    (b"version https://git-lfs", "a Git LFS pointer, which only says where the real file is"),
)


class _Refused(Exception):
    """The file asks for something that arrays never need."""


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a weights file by name; the content decides the format, not the file's name.

    Nothing in the file is run, whatever it holds. Memory and time are bounded by the file's size. Arrays
    may be read-only.

    Raises:
        ModelError: the file cannot be read, is damaged, is something else than weights, or asks for
            something that arrays never need.

    Example:
        >>> read_weights(Path("ResNet50_pretrained.pdparams"))["fc.bias"].shape  # doctest: +SKIP
        (1000,)
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise ModelError(f"The weights file {path} is {what}; give the path of a file.")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise ModelError(f"The weights file {path} is empty. {_ADVICE}")
            start = file.read(1024)
            file.seek(0)
            other = _other_kind(start)
            if other is not None:
                raise ModelError(f"The weights file {path} is {other}. {_ADVICE}")
            state = (
                _read_safetensors(path, start, size) if _is_safetensors(start) else _read_pickle(file, size)
            )
    except OSError as error:
        raise ModelError(f"The weights file {path} cannot be read: {error.strerror or error}.") from error
    except _Refused as error:
        raise ModelError(
            f"The weights file {path} is refused, and nothing in it was run: {error}. "
            "Use weights from a source that you trust, best as safetensors."
        ) from None
    except (ValueError, SafetensorError, DeprecationWarning) as error:
        # The last is how pickletools takes odd escapes in a text, where warnings are raised as errors.
        raise ModelError(
            f"The weights file {path} is damaged, cut short or no weights at all ({_short(str(error))}). "
            f"{_ADVICE}"
        ) from error
    if not state:
        raise ModelError(f"The weights file {path} holds no weights. {_ADVICE}")
    return state


def _other_kind(start: bytes) -> str | None:
    page = html_page(start)
    if page is not None:
        return page
    return next((kind for signature, kind in _SIGNATURES if start.startswith(signature)), None)


def _is_safetensors(start: bytes) -> bool:
    # A safetensors file starts with the length of its header (8 bytes, little-endian), a JSON object.
    return start[4:9] == b"\0\0\0\0{"


def _read_safetensors(path: Path, start: bytes, size: int) -> dict[str, np.ndarray]:
    header = int.from_bytes(start[:8], "little")
    if header > size:
        raise ValueError(f"its header should have {header:,} bytes, the file has {size:,}")
    if header > _MOST_SAFETENSORS_HEADER:
        raise _Refused(f"its header claims {header:,} bytes, more than any weights need")
    state = {}
    with safe_open(path, framework="numpy") as tensors:
        names = tensors.keys()
        if len(names) > _MOST_TENSORS:
            raise _Refused(f"it holds more than {_MOST_TENSORS:,} tensors")
        for name in names:
            dtype = tensors.get_slice(name).get_dtype()
            if dtype not in _SAFETENSORS_DTYPES:
                raise _Refused(f"the tensor {_shown(name)} has the type {dtype}, which no backbone uses")
            state[name] = tensors.get_tensor(name)
    return state


def _read_pickle(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    try:
        content = _run(file, size, _MOST_OPCODES)
        if not isinstance(content, dict):
            raise _Refused(f"it holds {_kind(content)} instead of tensors by name")
        if len(content) > _MOST_TENSORS:
            raise _Refused(f"it holds more than {_MOST_TENSORS:,} entries")
        state = {}
        for name, value in content.items():
            if name == _NAME_TABLE:
                continue
            if not isinstance(value, _Array) or value.filled is None:
                raise _Refused(f"its entry {_shown(name)} is {_kind(value)}, not a tensor")
            state[name] = value.filled
        return state
    except (ValueError, DeprecationWarning, _Refused):
        # What it was really made for says more than the first thing that was wrong with it.
        name = _asked_for(file, size, _MOST_OPCODES)
        if name is None:
            raise
        raise _Refused(f"it asks for {_shown(name)}, which arrays never need") from None


def read_plain_pickle(file: BinaryIO, size: int, *, most_opcodes: int) -> dict[str, object]:
    """Return what a pickled dictionary of arrays, texts, numbers and lists holds, without running anything.

    Memory is bounded by a few times the size. Arrays are NumPy's; texts of Python 2 are decoded as latin-1.

    Args:
        file: the pickle, from its start; it must be seekable.
        size: its length in bytes.
        most_opcodes: how many instructions it may have; a number in a list is one, a text two.

    Raises:
        ValueError: it is damaged, no dictionary, or asks for something that plain values never need; the
            message says which, in words that follow the file's name.
        OSError: it cannot be read.
    """
    try:
        content = _run(file, size, most_opcodes)
    except (ValueError, DeprecationWarning, _Refused) as error:
        name = _asked_for(file, size, most_opcodes)
        asked = f"it asks for {_shown(name)}, which arrays never need" if name else _short(str(error))
        refused = name is not None or isinstance(error, _Refused)
        raise ValueError(f"is refused ({asked})" if refused else f"is damaged ({asked})") from None
    if not isinstance(content, dict):
        raise ValueError(f"holds {_kind(content)} instead of a dictionary")
    return {name: value.filled if isinstance(value, _Array) else value for name, value in content.items()}


def _run(file: BinaryIO, size: int, most_opcodes: int) -> object:
    content = _Machine(size, most_opcodes).run(file)
    if file.tell() != size:
        raise ValueError(f"{size - file.tell():,} bytes follow the end of its content")
    return content


def _asked_for(file: BinaryIO, size: int, most_opcodes: int) -> str | None:
    """Return the first name that a pickle asks for and arrays never need, wherever in the file it stands."""
    file.seek(0)
    memo: dict[object, object] = {}
    texts: list[object] = ["", ""]  # the newest last: what STACK_GLOBAL joins
    count = 0
    try:
        while file.tell() < size:  # one pickle may follow another
            for opcode, argument, _ in pickletools.genops(_Bounded(file, size)):  # type: ignore[arg-type]
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
                if name is not None and name not in _KNOWN:
                    return name.replace(" ", ".", 1)
                del texts[:-2]
    except (ValueError, DeprecationWarning):
        return None
    return None


class _Type:
    """The type of an array's numbers."""

    def __init__(self, code: str) -> None:
        self.numpy = np.dtype(f"<{code}")


class _Array:
    """An array of the file: made empty by one opcode, filled by a later one."""

    def __init__(self, filled: np.ndarray | None = None) -> None:
        self.filled = filled


class _Bounded:
    """A file for ``pickletools`` that never tries to read more than there is.

    A plain file sets memory aside for the length that it is asked for, and a few bytes can ask for terabytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.readline = file.readline
        self.tell = file.tell
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))


class _Machine:
    """Follows the opcodes of a pickle on a stack that holds plain values and arrays, and nothing else.

    Raises ``ValueError`` for content that no writer makes, ``_Refused`` for what a writer may have made,
    but not as weights.
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
        """Return what the pickle describes; the file is then behind its last opcode."""
        # Typeshed wants a whole file; read, readline and tell are all that genops calls.
        opcodes = pickletools.genops(_Bounded(file, self._size))  # type: ignore[arg-type]
        for count, (opcode, argument, _) in enumerate(opcodes):
            if count >= self._most_opcodes:
                raise _Refused(f"it has more than {self._most_opcodes:,} instructions")
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
        elif name == "EMPTY_LIST":
            self._stack.append([])
        elif name in ("APPEND", "APPENDS"):
            values = [self._pop()] if name == "APPEND" else self._pop_to_mark()
            target = self._top()
            if not isinstance(target, list):
                raise ValueError("it appends to what is not a list")
            target.extend(values)
        elif name == "EMPTY_DICT":
            self._stack.append({})
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
                raise _Refused("it asks for a name that is not text")
            self._name(f"{module} {attribute}")
        elif name == "REDUCE":
            arguments, function = self._pop(), self._pop()
            self._stack.append(self._reduce(function, arguments))
        elif name == "BUILD":
            state, target = self._pop(), self._top()
            self._build(target, state)
        elif name == "PROTO":
            if not (isinstance(argument, int) and argument <= 5):
                raise ValueError(f"it is a pickle of the unknown version {argument}")
        elif name != "FRAME":  # frames only help to read ahead
            raise _Refused(f"it uses the pickle instruction {name}, which arrays never need")

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
            # Python 3 keeps names that Python 2 wrote as bytes, where it was told to.
            if isinstance(key, bytes):
                self._spend(len(key))
                key = key.decode("latin1")
            # Only text: the hash of a tuple can take for ever, or overflow the stack.
            if not isinstance(key, str):
                raise _Refused(f"it uses {_kind(key)} as the name of an entry")
            target[key] = value

    def _name(self, name: str) -> None:
        known = _KNOWN.get(name)
        if known is None:
            raise _Refused(f"it asks for {_shown(name.replace(' ', '.', 1))}, which arrays never need")
        self._stack.append(known)

    def _reduce(self, function: object, arguments: object) -> object:
        match function, arguments:
            case _Known.DTYPE, (str(code), _, _):
                if code not in _DTYPES:
                    raise _Refused(f"it holds an array of the type {_shown(code)}, not of plain numbers")
                return _Type(code)
            case _Known.RECONSTRUCT, (_Known.NDARRAY, (0,), b"b" | "b"):
                return _Array()
            case _Known.FROMBUFFER, (data, dtype, shape, "C" | "F" as order):
                return _Array(self._array(data, dtype, shape, order))
            case _Known.ENCODE, (str(text), "latin1"):
                return self._encode(text)
            case _Known(), _:
                raise _Refused(f"it calls {function.name.lower()} with arguments that no array has")
        raise _Refused(f"it calls {_kind(function)}")

    def _build(self, target: object, state: object) -> None:
        match target, state:
            case _Type(), (_, "<" | "|", None, None, None, _, _, _):
                return
            case _Array(filled=None), (_, shape, dtype, bool() | 0 | 1 as fortran, data):
                target.filled = self._array(data, dtype, shape, "F" if fortran else "C")
            case _:
                raise _Refused(f"it gives {_kind(target)} a state that no array has")

    def _array(self, data: object, dtype: object, shape: object, order: str) -> np.ndarray:
        if isinstance(data, str):  # as Python 2 wrote it
            data = self._encode(data)
        if not isinstance(dtype, _Type) or not isinstance(data, bytes | bytearray):
            raise _Refused("it holds an array of something else than plain numbers")
        if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
            raise _Refused("it holds an array whose shape is none")
        if not all(isinstance(side, int) and 0 <= side <= self._size for side in shape):
            raise _Refused("it holds an array whose shape claims more than the file has")
        if math.prod(shape) * dtype.numpy.itemsize != len(data):
            raise ValueError("it holds an array whose shape and content differ in size")
        self._spend(len(data))
        return np.frombuffer(data, dtype.numpy).reshape(shape, order="F" if order == "F" else "C")

    def _encode(self, text: str) -> bytes:
        self._spend(len(text))
        return text.encode("latin1")

    def _spend(self, count: int) -> None:
        # A memo can use the same bytes any number of times.
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _Refused("its arrays claim more than the file has")


def _shown(text: str) -> str:
    """A name from the file, for a message: short, and without characters that a terminal would obey."""
    return ascii(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


def _kind(value: object) -> str:
    match value:
        case _Array() | _Type() | _Known():
            return "a part of an array"
        case None:
            return "nothing"
        case bool() | int() | float():
            return "a number"
        case str() | bytes() | bytearray():
            return "text"
        case dict():
            return "a dictionary"
    return "a list"
