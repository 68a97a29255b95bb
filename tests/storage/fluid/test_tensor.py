"""Paddle's format of tensors: what Paddle writes is read to the bit, what nobody writes is refused."""

import io
import struct

import numpy as np
import paddle
import pytest
from support.fluid import TYPES, description, field, save_combined, save_parameters, tensor_bytes, varint

from hubtune.storage.fluid.tensor import MAGIC, read_tensor

ARRAYS = {
    "weights": np.arange(24, dtype="float32").reshape(2, 3, 2, 2) / 7,
    "double": np.linspace(-1, 1, 6).reshape(3, 2),
    "half": np.array([1.5, -2.5], "float16"),
    "step": np.array([45], "int64"),
    "scalar": np.array(3.0, "float32"),
    "flags": np.array([True, False]),
    "bytes": np.arange(5, dtype="uint8"),
    "small": np.array([[-3]], "int32"),
}


def read(data, size=None):
    return read_tensor(io.BytesIO(data), len(data) if size is None else size)


def assert_equal(array, expected):
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(array, expected)


def test_what_paddle_writes_is_read_and_equals_the_description_of_the_format(tmp_path):
    save_parameters(tmp_path, ARRAYS)
    for name, expected in ARRAYS.items():
        data = (tmp_path / name).read_bytes()
        assert data == tensor_bytes(expected), name
        assert data.startswith(MAGIC)
        array, left = read(data)
        assert left == 0
        assert_equal(array, expected)


def test_a_file_of_several_is_read_one_after_the_other(tmp_path):
    data = save_combined(tmp_path / "all", ARRAYS).read_bytes()
    stream, left = io.BytesIO(data), len(data)
    for name in sorted(ARRAYS):
        array, left = read_tensor(stream, left)
        assert_equal(array, ARRAYS[name])
    assert left == 0


def test_levels_of_detail_are_passed_over_and_packed_dimensions_are_read():
    array = ARRAYS["double"]
    assert_equal(read(tensor_bytes(array, levels=[(0, 2, 3), (0, 1)]))[0], array)
    packed = field(1, TYPES["float64"]) + field(2, b"".join(varint(side) for side in array.shape))
    assert_equal(read(tensor_bytes(array, desc=packed))[0], array)


FLOAT = TYPES["float32"]
SHORT = b"\0" * 8
HOSTILE = {
    "dimensions beyond memory": (
        tensor_bytes(desc=description(FLOAT, [2**40, 2**20]), values=SHORT),
        "follow",
    ),
    "a product beyond 64 bits": (
        tensor_bytes(desc=description(FLOAT, [2**33, 2**33]), values=SHORT),
        "follow",
    ),
    "negative dimensions": (tensor_bytes(desc=description(FLOAT, [-1, -2]), values=SHORT), "impossible"),
    "many dimensions": (tensor_bytes(desc=description(FLOAT, [1] * 200), values=SHORT), "impossible"),
    "an unknown type": (tensor_bytes(desc=description(99, [2]), values=SHORT), "the type 99"),
    "a type of text": (tensor_bytes(desc=field(1, b"x") + field(2, 2), values=SHORT), "the type b'x'"),
    "no type": (tensor_bytes(desc=field(2, 2), values=SHORT), "the type None"),
    "another version": (tensor_bytes(ARRAYS["half"], version=7), "unknown version 7"),
    "endless levels": (struct.pack("<IQ", 0, 2**63) + bytes(100), "levels of detail"),
    "a level beyond the file": (struct.pack("<IQQ", 0, 1, 2**62) + bytes(100), "follow"),
    "a description beyond the file": (struct.pack("<IQIi", 0, 0, 0, 1000) + bytes(100), "follow"),
    "a huge description": (struct.pack("<IQIi", 0, 0, 0, 2**31 - 1), "a description of"),
    "a negative description": (struct.pack("<IQIi", 0, 0, 0, -5) + bytes(100), "a description of -5"),
    "a nested description": (tensor_bytes(desc=b"\x0b" * 1000, values=SHORT), "unknown type 3"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_nobody_writes_is_refused(name):
    data, words = HOSTILE[name]
    with pytest.raises(ValueError, match=words):
        read(data)


def test_every_truncation_and_a_size_that_is_not_true_are_refused():
    data = tensor_bytes(ARRAYS["weights"], levels=[(0, 2)])
    for length in range(len(data)):
        with pytest.raises(ValueError, match="cut short"):
            read(data[:length])
    with pytest.raises(ValueError, match="cut short"):
        read(data[:-1], size=len(data))  # a stream that ends before its size


def test_an_empty_tensor_has_its_shape_and_one_of_paddle_is_its_own():
    array = np.zeros((0, 3), "float32")
    assert_equal(read(tensor_bytes(array))[0], array)
    assert paddle.to_tensor(ARRAYS["weights"]).shape == list(ARRAYS["weights"].shape)
