"""Writes files as Paddle 1 did, by the description of the format, and by Paddle itself."""

import struct
import tarfile
from pathlib import Path

import numpy as np
import paddle
from paddle.base import core

TYPES = {"bool": 0, "int16": 1, "int32": 2, "int64": 3, "float16": 4, "float32": 5, "float64": 6, "uint8": 20}


def varint(number):
    """An unsigned integer, or a negative one as 64 bits."""
    number %= 2**64
    data = b""
    while number > 0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def field(number, value):
    """A field of a message: an integer, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def description(kind, shape):
    return field(1, kind) + b"".join(field(2, side) for side in shape)


def tensor_bytes(array=None, *, desc=None, values=None, levels=(), version=0):
    """A tensor in Paddle's format; the parts can be given otherwise than they should be."""
    desc = description(TYPES[array.dtype.name], array.shape) if desc is None else desc
    lod = b"".join(
        struct.pack("<Q", 8 * len(level)) + struct.pack(f"<{len(level)}Q", *level) for level in levels
    )
    start = struct.pack("<IQ", version, len(levels)) + lod + struct.pack("<Ii", 0, len(desc)) + desc
    return start + (array.tobytes() if values is None else values)


def write_parameters(folder, tensors):
    """Write a file for each, by hand."""
    for name, array in tensors.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tensor_bytes(np.asarray(array)))
    return folder


def save_parameters(folder, tensors):
    """Write a file for each, by Paddle."""
    for name, array in tensors.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        paddle.save(paddle.to_tensor(array), str(folder / name), use_binary_format=True)
    return folder


def save_combined(file, tensors):
    """Write all to one file by Paddle, in the order of their names as Paddle 1 did."""
    names = sorted(tensors)
    owners = [paddle.to_tensor(tensors[name]) for name in names]  # their values live as long as they
    values = [owner.value().get_tensor() for owner in owners]
    core.save_combine_func(values, names, str(file), True, False, False)
    return file


def program_bytes(names):
    """A ``__model__`` whose persistent variables have these names."""

    def variable(name, kind=7, persistent=1):
        return field(3, field(1, name.encode()) + field(2, field(1, kind)) + field(3, persistent))

    variables = [variable("feed", 9), variable("fetch", 10), variable("image", persistent=0)]
    return field(1, field(1, 0) + field(2, 0) + b"".join([*variables, *map(variable, names)]))


def module_bytes(name):
    """A ``module_desc.pb`` of PaddleHub 1 with a module's name."""

    def table(**entries):
        texts = (field(1, key.encode()) + field(2, value) for key, value in entries.items())
        return field(6, b"".join(field(2, text) for text in texts))

    info = table(author=field(5, b"paddlepaddle"), name=field(5, name.encode()))
    return field(3, table(name_prefix=field(5, b"@HUB_"), module_info=info))


def pack(folder, archive):
    """Pack a folder as ``tar`` does: with its name."""
    with tarfile.open(archive, "w:gz" if archive.suffix in (".gz", ".tgz") else "w") as tar:
        tar.add(folder, Path(folder).name)
    return archive


def static_state(backbone, network):
    """The values of a network, under the names that it had in Paddle 1's programs."""
    state = network.state_dict()
    return {backbone.static_names.variable(key): value.numpy() for key, value in state.items()}
