"""Messages between ranks hold a document and arrays, and nothing that could be run."""

import pickle

import numpy as np
import pytest
from safetensors import SafetensorError

from hubtune.train.distributed.message import Message


def test_a_message_arrives_as_it_was_sent():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1], "empty": np.zeros((0, 4))}
    document = {"order": "x", "path": "caf\udce9.jpg", "loss": float("inf"), "number": 0.1}
    received = Message.decode(Message(document, arrays).encode())
    assert received.document == document
    for name, array in arrays.items():
        np.testing.assert_array_equal(received.arrays[name], array)
        assert received.arrays[name].dtype == array.dtype


@pytest.mark.parametrize("data", [b"", b"x" * 100, pickle.dumps({"a": 1}), Message({}).encode()[:-1]])
def test_anything_else_is_refused(data):
    with pytest.raises((ValueError, SafetensorError, KeyError)):
        Message.decode(data)
