"""The machine follows the opcodes of plain values and arrays, and refuses all others."""

import io
import pickle

import pytest

from hubtune.storage.pickle_machine import PickleMachine, RefusedError


def run(content):
    return PickleMachine(len(content), most_opcodes=1000).run(io.BytesIO(content))


def test_plain_values_are_returned_and_all_else_refused():
    value = {"a": [1, 2.5, None, True], "b": ("x", "y")}
    assert run(pickle.dumps(value)) == value
    with pytest.raises(RefusedError, match=r"asks for 'builtins\.print', which arrays never need"):
        run(pickle.dumps(print))
    with pytest.raises(ValueError, match="instructions do not fit together"):
        run(b"\x80\x02t.")
