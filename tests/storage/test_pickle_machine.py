"""The machine follows the opcodes of plain values and arrays, and refuses all others."""

import io
import pickle

import numpy as np
import pytest

from hubtune.storage.pickle_machine import PickleMachine, RefusedError


def run(content):
    return PickleMachine(len(content), most_opcodes=1000).run(io.BytesIO(content))


def test_plain_values_and_arrays_are_returned_and_all_else_refused():
    value = {"a": [1, 2.5, None, True], "b": ("x", "y")}
    for protocol in range(6):
        assert run(pickle.dumps(value, protocol)) == value
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(run(pickle.dumps(array)).filled, array)
    with pytest.raises(RefusedError, match=r"asks for 'builtins\.print', which arrays never need"):
        run(pickle.dumps(print))
    with pytest.raises(ValueError, match="instructions do not fit together"):
        run(b"\x80\x02t.")
